"""YAML as option files need it: duplicate keys refused, numbers read as numbers, and written so that all readers agree.

Differences from YAML 1.1, which BasicSR reads: ``1e-4`` is a number, not text; ``1:30`` is text, not base 60; ``010``
is text, not octal; a date is text. Anchors, aliases and merge keys (``<<``) work, and every use is a copy.
"""

import re
from typing import Any

import yaml

from mssr_compat.errors import UserError

KeyPath = tuple[str | int, ...]
_MERGE = 'tag:yaml.org,2002:merge'
_MAX_NODES = 100_000  # aliases of aliases can unfold to any size
_PATTERNS = {
    'null': (r'~|null|Null|NULL|', ['~', 'n', 'N', '']),
    'bool': (r'true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF', 'tTfFyYnNoO'),
    'int': (r'[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o[0-7]+', '-+0123456789'),
    'float': (r'[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?'
              r'|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)', '-+.0123456789'),
    'merge': (r'<<', '<'),
}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2, underscores in whole numbers allowed."""

    yaml_implicit_resolvers: dict = {}


class _Dumper(yaml.SafeDumper):
    """Writes YAML that this project's reader and YAML 1.1 readers (BasicSR's) take for the same."""

    def ignore_aliases(self, data):
        return True


for _name, (_pattern, _first) in _PATTERNS.items():
    for _class in (_Loader, _Dumper):  # text that either reader would take for something else is quoted
        _class.add_implicit_resolver(f'tag:yaml.org,2002:{_name}', re.compile(f'(?:{_pattern})$'), list(_first))
_Loader.add_constructor('tag:yaml.org,2002:int',
                        lambda loader, node: int(loader.construct_scalar(node).replace('_', ''), 0))


def parse(text: str, file: str) -> tuple[dict, dict[KeyPath, int]]:
    """Parse an option file.

    Args:
        text: its content.
        file: its name, for messages.

    Returns:
        The options, nested dicts and lists, and the line of every key path, from 1.

    Raises:
        UserError: not YAML, not a mapping, empty, a key twice, or a tag that would build an object.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise UserError(f'{file}: the option file is empty.')
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f'{file}: not an option file: it must hold `key: value` lines at its top.')
        builder = _Builder(loader, file)
        return builder.build(node, ()), builder.lines
    except UserError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ', '.join(part for part in (error.context, error.problem) if part).replace('\n', ' ')
        raise UserError(f'{file}{f":{mark.line + 1}" if mark else ""}: not YAML: {problem}.') from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f'{file}: not YAML: {str(error).splitlines()[0]}.') from error


def parse_value(text: str) -> Any:
    """The value of one ``--force_yml`` entry; plain text is taken whole, so that paths may hold ``#`` or ``: ``.

    Raises:
        UserError: it begins like a list, a mapping or a quoted text, and is none.
    """
    text = text.strip()
    if text.lower() == 'none':  # BasicSR's spelling
        return None
    if text[:1] in ('[', '{', '"', "'", '!'):
        return parse(f'value: {text}', f'value {text}')[0]['value']
    loader = _Loader('')
    return loader.construct_object(yaml.ScalarNode(loader.resolve(yaml.ScalarNode, text, (True, False)), text))


def write(value: Any) -> str:
    """ASCII text that :func:`parse` and BasicSR read back as the same plain values, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110)


class _Builder:
    """Turns YAML nodes into dicts and lists, noting lines; each use of an alias becomes a copy of its own."""

    def __init__(self, loader, file):
        self.loader, self.file = loader, file
        self.lines: dict[KeyPath, int] = {}
        self.open: list = []  # the nodes around the present one
        self.count = 0

    def error(self, node, text):
        return UserError(f'{self.file}:{node.start_mark.line + 1}: {text}.')

    def build(self, node, path):
        self.count += 1
        if node in self.open or self.count > _MAX_NODES:
            raise self.error(node, 'aliases contain themselves or never end')
        if isinstance(node, yaml.ScalarNode) or not node.tag.endswith((':map', ':seq')):
            try:
                return self.loader.construct_object(node)
            except (ValueError, TypeError) as error:
                raise self.error(node, error) from error
        self.open.append(node)
        is_list = isinstance(node, yaml.SequenceNode)
        pairs = {i: (item, item) for i, item in enumerate(node.value)} if is_list else self.pairs(node)
        found = {}
        for key, (at, value) in pairs.items():
            self.lines[(*path, key)] = at.start_mark.line + 1
            found[key] = self.build(value, (*path, key))
        self.open.pop()
        return list(found.values()) if is_list else found

    def pairs(self, node):
        """Key to (key node, value node) of a mapping; merged mappings come first, and own keys override them."""
        own, merged = {}, {}
        for at, value in node.value:
            if at.tag == _MERGE:
                for source in reversed(value.value if isinstance(value, yaml.SequenceNode) else [value]):
                    if not isinstance(source, yaml.MappingNode) or source in self.open:
                        raise self.error(at, '`<<` merges mappings only, and not the one it is in')
                    self.open.append(source)
                    merged.update(self.pairs(source))
                    self.open.pop()
                continue
            if not isinstance(at, yaml.ScalarNode):
                raise self.error(at, 'a key must be one word, not a list or a mapping')
            key = self.loader.construct_object(at)
            if key in own:
                raise self.error(at, f"the key '{key}' stands twice, also in line {own[key][0].start_mark.line + 1}; "
                                 'keep one')
            own[key] = (at, value)
        return {**merged, **own}
