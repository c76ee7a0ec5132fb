"""Collects the mistakes of an option file, and says in words what is there, what may be, and what was meant."""

from difflib import get_close_matches
from functools import cache
from typing import Any

from mssr_compat.errors import UserError
from mssr_options.fields import Section
from mssr_options.reader import KeyPath, Source, dotted

_BOUNDS = {'minimum': '>=', 'exclusiveMinimum': '>', 'maximum': '<=', 'exclusiveMaximum': '<'}
_FORMATS = {'file': 'a file', 'folder': 'a folder'}
_TYPES = {'boolean': 'true or false', 'string': 'text', 'null': '~ (nothing)', 'object': 'a section'}


class Report:
    """The mistakes found so far, each with its place in the file."""

    def __init__(self, source: Source):
        self.source = source
        self.bad: set[KeyPath] = set()  # what later rules must not rely on
        self._mistakes: list[tuple[int, str]] = []

    def add(self, path: KeyPath, text: str) -> None:
        """Note a mistake at a key path; ``text`` goes on after ``file:line: key: ``."""
        self.bad.add(path)
        where, end = self.source.where(path), '' if text.endswith('?') else '.'
        parts = [part for part in (where, dotted(path), f'{text}{end}') if part]
        self._mistakes.append((self.source.line(path), ': '.join(parts)))

    def sound(self, path: KeyPath, below: bool = False) -> bool:
        """Whether nothing was found wrong with a key or a section around it, nor (``below``) with what it holds."""
        return (not any(path[:end] in self.bad for end in range(1, len(path) + 1))
                and not (below and any(bad[:len(path)] == path for bad in self.bad)))

    def close(self) -> None:
        """Report all mistakes at once, in the order of the file.

        Raises:
            UserError: there are some; one line each.
        """
        if self._mistakes:
            raise UserError('\n'.join(dict.fromkeys(text for _, text in sorted(self._mistakes, key=lambda m: m[0]))))


def nearest(name: Any, names, count: int = 3, cutoff: float = 0.6) -> list[str]:
    """Names that look like ``name``, best first; letter case and ``-`` or ``_`` do not matter."""
    plain = {}
    for candidate in names:
        plain.setdefault(_plain(candidate), candidate)
    return [plain[match] for match in get_close_matches(_plain(name), list(plain), count, cutoff)]


def did_you_mean(name: Any, names) -> str:
    """``; did you mean A or B?``, or all names if none looks like it."""
    close = nearest(name, names)
    return f'; did you mean {" or ".join(close)}?' if close else f'; there are {", ".join(sorted(map(str, names)))}'


def show(value: Any) -> str:
    """A value as a message shows it."""
    if value is None or isinstance(value, (bool, dict)):
        return 'a section' if isinstance(value, dict) else '~' if value is None else str(value).lower()
    if isinstance(value, str):
        return f"'{value}'" if value else 'empty text'
    text = str(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


@cache
def schema_of(model: type[Section]) -> dict[str, dict]:
    """The JSON schema of each field of a section."""
    return model.model_json_schema()['properties']


def words(node: dict) -> str:
    """What a message calls the values that a JSON schema allows: ``a whole number >= 1 or auto``."""
    texts = [text for one in node.get('anyOf', ()) for text in choices(one) or [words(one)]] or choices(node)
    if texts:
        return f'{", ".join(texts[:-1])} or {texts[-1]}' if len(texts) > 1 else texts[0]
    if 'kind' in node:
        return f'{"an" if node["kind"][0] in "aeiou" else "a"} {node["kind"]} (a section with type: NAME)'
    if node.get('type') == 'array':
        items = node.get('items') or {}
        if 'kind' in items:
            return f'a list of {items["kind"].split()[-1]}s, one at least'
        length = f' of {node["minItems"]}' if 'maxItems' in node else ''
        return f'a list{length}, each item {words(items)}'
    if node.get('type') in ('integer', 'number'):
        text = 'a whole number' if node['type'] == 'integer' or 'multipleOf' in node else 'a number'
        bounds = [f'{sign} {node[key]:g}' for key, sign in _BOUNDS.items() if key in node]
        return f'{text} {" and ".join(bounds)}'.strip()
    return _FORMATS.get(node.get('format')) or ('a section' if '$ref' in node else _TYPES.get(node.get('type'),
                                                                                              'any value'))


def choices(node: dict) -> list[str]:
    """The words among the values that a JSON schema allows."""
    return [*node.get('enum', ()), *([node['const']] if 'const' in node else ()),
            *(word for one in node.get('anyOf', ()) for word in choices(one))]


def _plain(name: Any) -> str:
    return str(name).lower().replace('-', '_')
