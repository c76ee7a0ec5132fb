"""``--force_yml a:b=value``: options set from the command line, without evaluating any of it as code."""

import copy

from mssr_compat.errors import UserError
from mssr_options.source import KeyPath, Source
from mssr_options.yaml_loader import parse_value


def apply_forced(opt: dict, entries: list[str], source: Source) -> None:
    """Set options in place from entries such as ``train:total_iter=100`` or ``degradations:0:checkpoint=a.pth``.

    Missing sections and keys are created (the check then judges them); list items are named by their number, from 0.

    Args:
        opt: options, changed in place.
        entries: arguments of ``--force_yml``; later ones win. Values are YAML; ``None`` stands for nothing.
        source: remembers what was set.

    Raises:
        UserError: no ``=``, no key, a list item that is not there, or a key below something that is no section.
    """
    for entry in entries:
        key_text, sign, value_text = entry.partition('=')
        keys = [key.strip() for key in key_text.split(':')]
        if not sign or not all(keys):
            raise UserError(
                f'--force_yml {entry}: it must read key=value or section:key=value, such as train:total_iter=100.'
            )
        if len(keys) == 1 and '.' in keys[0] and keys[0] not in opt:
            raise UserError(f'--force_yml {entry}: keys are parted by colons: {keys[0].replace(".", ":")}=...')
        try:
            value = parse_value(value_text)
        except UserError as error:
            raise UserError(f'--force_yml {entry}: the value is not YAML; quote it if it is text.') from error
        source.forced[_set(opt, keys, value, entry)] = entry


def _set(opt, keys: list[str], value, entry: str) -> KeyPath:
    """Set one value; return its key path."""
    node, path = opt, ()
    for i, key in enumerate(keys):
        last = i == len(keys) - 1
        if isinstance(node, list):
            key = _item(node, key, entry, ':'.join(keys[:i]))
        elif not isinstance(node, dict):
            raise UserError(
                f"--force_yml {entry}: '{':'.join(keys[:i])}' is the value {node!r}, not a section; "
                f"it has no key '{key}'."
            )
        path = (*path, key)
        if last:
            node[key] = copy.deepcopy(value)
        else:
            if isinstance(node, dict) and node.get(key) is None:
                node[key] = {}
            node = node[key]
    return path


def _item(items: list, key: str, entry: str, name: str) -> int:
    if key.isdecimal() and int(key) < len(items):
        return int(key)
    count = f'items 0 to {len(items) - 1}' if items else 'no items'
    raise UserError(f"--force_yml {entry}: '{name}' is a list with {count}; '{key}' is none of them.")
