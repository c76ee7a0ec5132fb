"""YAML as option files need it: PyYAML's safe loader, with duplicate keys refused and numbers read as numbers.

Differences from YAML 1.1, which BasicSR reads: ``1e-4`` is a number, not text; ``1:30`` is text, not base 60; ``010``
is text, not octal; a date is text. Anchors, aliases and merge keys (``<<``) work, and every use is a copy.
"""

import re

import yaml

from mssr_compat.errors import UserError
from mssr_options.source import KeyPath

_MERGE = 'tag:yaml.org,2002:merge'
_MAX_NODES = 100_000  # aliases of aliases can unfold to any size


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2, underscores in whole numbers allowed."""

    yaml_implicit_resolvers: dict = {}

    def construct_int(self, node):
        """Whole numbers: decimal, ``0x``, ``0o``."""
        return int(self.construct_scalar(node).replace('_', ''), 0)


_PATTERNS = {
    'null': (r'~|null|Null|NULL|', ['~', 'n', 'N', '']),
    'bool': (r'true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF', 'tTfFyYnNoO'),
    'int': (r'[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o[0-7]+', '-+0123456789'),
    'float': (
        r'[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?'
        r'|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)',
        '-+.0123456789',
    ),
    'merge': (r'<<', '<'),
}
# (tag, pattern, first characters) of each plain scalar that is not text.
SCALARS = [(f'tag:yaml.org,2002:{name}', re.compile(f'(?:{pattern})$'), list(first))
           for name, (pattern, first) in _PATTERNS.items()]
for _tag, _pattern, _first in SCALARS:
    StrictLoader.add_implicit_resolver(_tag, _pattern, _first)
StrictLoader.add_constructor('tag:yaml.org,2002:int', StrictLoader.construct_int)


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
        loader = StrictLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise UserError(f'{file}: the option file is empty.')
            if not isinstance(node, yaml.MappingNode):
                raise UserError(f'{file}: not an option file: it must hold `key: value` lines at its top.')
            builder = _Builder(loader, file)
            return builder.build(node, ()), builder.lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f'{file}{f":{mark.line + 1}" if mark else ""}: not YAML: {_one_line(error)}.') from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f'{file}: not YAML: {str(error).splitlines()[0]}.') from error


def parse_value(text: str):
    """The value of one ``--force_yml`` entry; plain text is taken whole, so that paths may hold ``#`` or ``: ``.

    Raises:
        UserError: it begins like a list, a mapping or a quoted text, and is none.
    """
    text = text.strip()
    if text.lower() == 'none':  # BasicSR's spelling
        return None
    loader = StrictLoader('')
    try:
        if text[:1] in ('[', '{', '"', "'", '!'):
            return parse(f'value: {text}', f'value {text}')[0]['value']
        return loader.construct_object(yaml.ScalarNode(loader.resolve(yaml.ScalarNode, text, (True, False)), text))
    finally:
        loader.dispose()


class _Builder:
    """Turns YAML nodes into dicts and lists, noting lines; each use of an alias becomes a copy of its own."""

    def __init__(self, loader, file):
        self.loader, self.file = loader, file
        self.lines: dict[KeyPath, int] = {}
        self.open: list = []  # the nodes around the present one
        self.count = 0

    def build(self, node, path):
        self.count += 1
        if node in self.open or self.count > _MAX_NODES:
            raise UserError(f'{self.file}:{node.start_mark.line + 1}: aliases contain themselves or never end.')
        if isinstance(node, yaml.ScalarNode) or not node.tag.endswith((':map', ':seq')):
            try:
                return self.loader.construct_object(node)
            except (ValueError, TypeError) as error:
                raise UserError(f'{self.file}:{node.start_mark.line + 1}: {error}.') from error
        self.open.append(node)
        if isinstance(node, yaml.SequenceNode):
            value = []
            for i, item in enumerate(node.value):
                self.lines[(*path, i)] = item.start_mark.line + 1
                value.append(self.build(item, (*path, i)))
        else:
            value = {}
            for key, (key_node, value_node) in self.pairs(node).items():
                self.lines[(*path, key)] = key_node.start_mark.line + 1
                value[key] = self.build(value_node, (*path, key))
        self.open.pop()
        return value

    def pairs(self, node):
        """Key to (key node, value node) of a mapping; merged mappings come first, and own keys override them."""
        own, merged = {}, {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in reversed(sources):
                    if not isinstance(source, yaml.MappingNode) or source in self.open:
                        raise UserError(f'{self.file}:{line}: `<<` merges mappings only, and not the one it is in.')
                    self.open.append(source)
                    merged.update(self.pairs(source))
                    self.open.pop()
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise UserError(f'{self.file}:{line}: a key must be one word, not a list or a mapping.')
            key = self.loader.construct_object(key_node)
            if key in own:
                first = own[key][0].start_mark.line + 1
                raise UserError(f"{self.file}:{line}: the key '{key}' stands twice, also in line {first}; keep one.")
            own[key] = (key_node, value_node)
        return {**merged, **own}


def _one_line(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return ', '.join(parts).replace('\n', ' ')
