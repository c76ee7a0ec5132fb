"""A small language for what a value may be, as the key tables write it.

``int >= 1``, ``count >= 1`` (``5e3`` is one, but no ``int``), ``number > 0``, ``number >= 0 <= 1``, ``bool``, ``text``,
``file``, ``folder``, ``null``, ``any``, a choice in quotes (``'auto'``), a list (``[int >= 0]``, of a fixed length
``[number]*2``); alternatives are parted by `` | ``, and a trailing ``?`` allows ``~``. Section kinds (``section``,
``network``, ``loss``, ...) stand for a mapping that :mod:`mssr_options.check` looks into.
"""

import math
import re
from dataclasses import dataclass
from functools import cache

SECTIONS = frozenset(
    {'section', 'network', 'loss', 'metrics', 'optimizer', 'scheduler', 'datasets', 'io_backend', 'networks', 'mapping'}
)
_NUMBER = re.compile(r'(int|count|number)(?: (>=?) (\S+))?(?: (<=?) (\S+))?$')
_BAR = re.compile(r' \| (?![^\[]*\])')  # not inside a list
_LIST = re.compile(r'\[(.+)\](?:\*(\d+))?$')
_WORDS = {
    'bool': 'true or false',
    'text': 'text',
    'file': 'a file',
    'folder': 'a folder',
    'null': '~ (nothing)',
    'any': 'any value',
    'networks': 'a list of networks',
    'mapping': 'a mapping',
    'network': 'a network (a section with type: NAME)',
    'loss': 'a loss (a section with type: NAME)',
    'optimizer': 'an optimizer (a section with type: NAME)',
    'scheduler': 'a schedule (a section with type: NAME)',
}
_SCHEMA = {
    'bool': {'type': 'boolean'},
    'text': {'type': 'string'},
    'file': {'type': 'string'},
    'folder': {'type': 'string'},
    'null': {'type': 'null'},
    'any': {},
}


@dataclass(frozen=True)
class One:
    """One alternative of a kind."""

    name: str
    low: float | None = None
    low_open: bool = False
    high: float | None = None
    high_open: bool = False
    item: str = ''  # of a list
    length: int | None = None

    def fits(self, value) -> bool:
        """Whether ``value`` is one of these."""
        if self.name.startswith("'"):
            return value == self.name.strip("'")
        if self.name == 'list':
            return (
                isinstance(value, list)
                and (self.length is None or len(value) == self.length)
                and all(fits(self.item, v) for v in value)
            )
        if self.name in ('int', 'count', 'number'):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                return False
            if (self.name == 'int' and not isinstance(value, int)) or (self.name == 'count' and value != int(value)):
                return False
            above = self.low is None or (value > self.low if self.low_open else value >= self.low)
            below = self.high is None or (value < self.high if self.high_open else value <= self.high)
            return above and below
        if self.name in ('text', 'file', 'folder'):
            return isinstance(value, str) and value.strip() != ''
        if self.name == 'bool':
            return isinstance(value, bool)
        if self.name == 'null':
            return value is None
        if self.name == 'networks':
            return isinstance(value, list)
        return self.name == 'any' or isinstance(value, dict)

    def words(self) -> str:
        """What a message calls it."""
        if self.name.startswith("'"):
            return self.name.strip("'")
        if self.name == 'list':
            count = f' of {self.length}' if self.length else ''
            return f'a list{count}, each item {words(self.item)}'
        if self.name in ('int', 'count', 'number'):
            text = 'a number' if self.name == 'number' else 'a whole number'
            if self.low is not None:
                text += f' {">" if self.low_open else ">="} {self.low:g}'
            if self.high is not None:
                text += f'{" and" if self.low is not None else ""} {"<" if self.high_open else "<="} {self.high:g}'
            return text
        return _WORDS.get(self.name, 'a section')

    def schema(self) -> dict:
        """Its JSON schema."""
        if self.name.startswith("'"):
            return {'const': self.name.strip("'")}
        if self.name == 'list':
            bounds = {'minItems': self.length, 'maxItems': self.length} if self.length else {}
            return {'type': 'array', 'items': json_schema(self.item), **bounds}
        if self.name in ('int', 'count', 'number'):
            schema = {'type': 'number' if self.name == 'number' else 'integer'}
            if self.low is not None:
                schema['exclusiveMinimum' if self.low_open else 'minimum'] = self.low
            if self.high is not None:
                schema['exclusiveMaximum' if self.high_open else 'maximum'] = self.high
            return schema
        return dict(_SCHEMA.get(self.name, {'type': 'array' if self.name == 'networks' else 'object'}))


@cache
def parse(spec: str) -> tuple[One, ...]:
    """The alternatives of a kind.

    Raises:
        ValueError: ``spec`` is not in this language.
    """
    if spec.endswith('?'):
        return (*parse(spec[:-1]), One('null'))
    alternatives = []
    for text in _BAR.split(spec):
        number, items = _NUMBER.match(text), _LIST.match(text)
        if number:
            name, low_sign, low, high_sign, high = number.groups()
            low, high = low and _number(low), high and _number(high)
            alternatives.append(One(name, low, low_sign == '>', high, high_sign == '<'))
        elif items:
            parse(items[1])
            alternatives.append(One('list', item=items[1], length=items[2] and int(items[2])))
        elif text in _WORDS or text in SECTIONS or re.match(r"'.+'$", text):
            alternatives.append(One(text))
        else:
            raise ValueError(f'{spec!r} is no kind of value')
    return tuple(alternatives)


def _number(text: str) -> int | float:
    return int(text) if text.lstrip('-').isdigit() else float(text)


def fits(spec: str, value) -> bool:
    """Whether a value is of a kind."""
    return any(one.fits(value) for one in parse(spec))


def section(spec: str) -> str | None:
    """The section kind among the alternatives, if there is one."""
    return next((one.name for one in parse(spec) if one.name in SECTIONS), None)


def choices(spec: str) -> list[str]:
    """The quoted choices among the alternatives."""
    return [one.name.strip("'") for one in parse(spec) if one.name.startswith("'")]


def words(spec: str) -> str:
    """What a message calls a kind: ``a whole number >= 1 or auto``."""
    texts = [one.words() for one in parse(spec)]
    return f'{", ".join(texts[:-1])} or {texts[-1]}' if len(texts) > 1 else texts[0]


def json_schema(spec: str) -> dict:
    """The JSON schema of a kind."""
    ones = parse(spec)
    names = choices(spec)
    schemas = [one.schema() for one in ones if not one.name.startswith("'")]
    if names:
        schemas.insert(0, {'enum': names})
    return schemas[0] if len(schemas) == 1 else {'anyOf': schemas}
