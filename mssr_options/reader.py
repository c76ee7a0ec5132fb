"""Reads an option file."""

import os
from os import path as osp

from mssr_compat.errors import UserError
from mssr_options.forced import apply_forced
from mssr_options.source import Options, Source
from mssr_options.yaml_loader import parse


def read_options(path: str, force_yml: list[str] | None = None) -> Options:
    """Read an option file strictly.

    Args:
        path: a YAML file, UTF-8.
        force_yml: entries ``section:key=value`` that override it, as ``--force_yml`` gives them.

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
        raise UserError(
            f"-opt {path}: there is no such option file (looked for '{osp.abspath(path)}'){_files_beside(path)}."
        ) from error
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
    apply_forced(opt, force_yml or [], opt.source)
    if isinstance(opt.get('datasets'), dict):  # `val: ~` is how --force_yml leaves a data set out
        opt['datasets'] = {name: options for name, options in opt['datasets'].items() if options is not None}
    return opt


def _files_beside(path: str) -> str:
    """'; that folder has a.yml, b.yml', or nothing."""
    folder = osp.dirname(path) or '.'
    names = sorted(name for name in os.listdir(folder) if name.endswith(('.yml', '.yaml'))) if osp.isdir(folder) else []
    return f'; that folder has {", ".join(names[:12])}{", ..." if len(names) > 12 else ""}' if names else ''
