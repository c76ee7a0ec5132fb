"""Reads an option file, applies ``--force_yml``, and writes the options that ran."""

import copy
import os
from collections.abc import Sequence
from os import path as osp

from mssr_compat.errors import UserError
from mssr_compat.files import plain
from mssr_options.yaml_loader import KeyPath, parse, parse_value, write


def dotted(path: Sequence[str | int]) -> str:
    """A key path as messages show it: ``degradations[0].checkpoint``."""
    return ''.join(f'[{key}]' if isinstance(key, int) else f'.{key}' for key in path).removeprefix('.')


class Source:
    """Where each option was written: the lines of one option file, and the entries of ``--force_yml``.

    Attributes:
        file (str): the option file, as the user named it.
        lines (dict): key path to line number, from 1.
        forced (dict): key path to the entry of ``--force_yml`` that set it.
        removed (list): entries of ``--force_yml`` that removed a key.
    """

    def __init__(self, file: str, lines: dict[KeyPath, int] | None = None):
        self.file = file
        self.lines = lines or {}
        self.forced: dict[KeyPath, str] = {}
        self.removed: list[str] = []

    def line(self, path: KeyPath) -> int:
        """Line of a key or, if it is not in the file, of the nearest section around it; 0 if there is none."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def where(self, path: KeyPath) -> str:
        """``file:line`` of a key, or the entry of ``--force_yml`` that set it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.forced:
                return f'--force_yml {self.forced[path[:end]]}'
            if path[:end] in self.lines:
                break
        line = self.line(path)
        return f'{self.file}:{line}' if line else self.file


class Options(dict):
    """Options as a plain nested dict that remembers its :class:`Source`."""

    source: Source


def source_of(opt: dict, source: Source | str | None) -> Source:
    """``source``, or what ``opt`` remembers, or one without lines."""
    if isinstance(source, Source):
        return source
    return getattr(opt, 'source', None) or Source(str(source or ''))


def read_options(path: str, force_yml: list[str] | None = None) -> Options:
    """Read an option file strictly.

    Args:
        path: a YAML file, UTF-8.
        force_yml: entries that override it, as ``--force_yml`` gives them: ``train:total_iter=100`` or
            ``degradations:0:checkpoint=a.pth`` sets an option, and ``~train:gan_opt`` removes one. They apply one after
            the other. Values are YAML, none of it run as code; ``None`` stands for nothing. Missing sections and keys
            are created (the check then judges them); list items are named by their number, from 0.

    Returns:
        The options, a dict of dicts, lists and plain values, with ``.source`` saying where each was written.

    Raises:
        UserError: the file is missing, a folder, no text, empty or no YAML; a key stands twice; a bad entry.
    """
    path = str(path)
    try:
        with open(path, encoding='utf-8-sig') as file:
            text = file.read()
    except FileNotFoundError as error:
        raise UserError(f"-opt {path}: there is no such option file (looked for '{osp.abspath(path)}')"
                        f'{_files_beside(path)}.') from error
    except IsADirectoryError as error:
        inside = _files_beside(osp.join(path, '_'))
        raise UserError(f'-opt {path}: this is a folder; give an option file{inside}.') from error
    except UnicodeDecodeError as error:
        raise UserError(f'-opt {path}: not an option file: it is no UTF-8 text.') from error
    except OSError as error:
        raise UserError(f'-opt {path}: cannot be read ({error.strerror}).') from error
    content, lines = parse(text, path)
    opt = Options(content)
    opt.source = Source(path, lines)
    for entry in force_yml or ():
        try:
            _force(opt, entry, opt.source)
        except UserError as error:
            raise UserError(f'--force_yml {entry}: {error}') from error
    if isinstance(opt.get('datasets'), dict):  # `val: ~` leaves a data set out
        opt['datasets'] = {name: options for name, options in opt['datasets'].items() if options is not None}
    return opt


def effective_yaml(opt: dict) -> str:
    """YAML that reproduces ``opt`` when it is read again, by this project's reader or by BasicSR's.

    Args:
        opt: options as :func:`read_options` gives them, before BasicSR adds its own.

    Returns:
        ASCII text, keys in their order; beyond a header line it holds no comments.
    """
    source, header = getattr(opt, 'source', None), ''
    if source is not None:
        forced = ' '.join(f"'{entry}'" if set(entry) & set(' \n#~') else entry
                          for entry in (*source.removed, *source.forced.values()))
        header = f'# The options that ran: {source.file}{f", --force_yml {forced}" if forced else ""}\n'
        header = header.encode('ascii', 'backslashreplace').decode()
    return header + write(plain(opt))


def _force(opt: Options, entry: str, source: Source) -> None:
    """Set or remove one option."""
    removes, text = entry.strip().startswith('~'), entry.strip()
    key_text, sign, value_text = (text[1:], '=', '') if removes else text.partition('=')
    names = [key.strip() for key in key_text.split(':')]
    if not sign or not all(names):
        raise UserError('it must read key=value or section:key=value, such as train:total_iter=100, or ~section:key, '
                        'which removes a key.')
    if len(names) == 1 and '.' in names[0] and names[0] not in opt:
        raise UserError(f'keys are parted by colons: {names[0].replace(".", ":")}=...')
    node, path = opt, ()
    for i, name in enumerate(names):
        around = ':'.join(names[:i])
        if isinstance(node, list):
            if not (name.isdecimal() and int(name) < len(node)):
                count = f'items 0 to {len(node) - 1}' if node else 'no items'
                raise UserError(f"'{around}' is a list with {count}; '{name}' is none of them.")
            name = int(name)
        elif not isinstance(node, dict):
            raise UserError(f"'{around}' is the value {node!r}, not a section; it has no key '{name}'.")
        elif removes and name not in node:
            raise UserError(f"there is no '{name}' to remove{f' in {around}' if around else ''}.")
        path = (*path, name)
        if i < len(names) - 1:
            if isinstance(node, dict) and node.get(name) is None:
                node[name] = {}
            node = node[name]
    if removes:
        del node[name]
        source.removed.append(text)
        kept = path[:-1] if isinstance(node, list) else path  # the items after it have other numbers now
        for places in (source.lines, source.forced):
            for place in [place for place in places if place[:len(kept)] == kept and len(place) >= len(path)]:
                del places[place]
        return
    try:
        node[name] = copy.deepcopy(parse_value(value_text))
    except UserError as error:
        raise UserError('the value is not YAML; quote it if it is text.') from error
    source.forced[path] = entry


def _files_beside(path: str) -> str:
    """'; that folder has a.yml, b.yml', or nothing."""
    folder = osp.dirname(path) or '.'
    names = sorted(name for name in os.listdir(folder) if name.endswith(('.yml', '.yaml'))) if osp.isdir(folder) else []
    return f'; that folder has {", ".join(names[:12])}{", ..." if len(names) > 12 else ""}' if names else ''
