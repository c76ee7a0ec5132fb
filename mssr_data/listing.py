"""What images a folder, an LMDB or a meta-info file lists, in an order that is the same for all of them."""

import os
import re
from os import path as osp
from typing import NamedTuple

from mssr_compat.errors import UserError
from mssr_data.decoding import IMAGE_SUFFIXES

# BasicSR's line: `name.png (height,width,channels) compression`; all after the name is optional here.
_META_LINE = re.compile(r'^(?P<name>.+?)(?:\s+\((?P<h>\d+),\s*(?P<w>\d+)(?:,\s*\d+)?\))?(?:\s+\d+)?$')


class Listed(NamedTuple):
    """One image: its name below the root, with suffix and forward slashes; (height, width) in pixels if stated."""

    name: str
    size: tuple[int, int] | None = None


def key_of(name: str) -> str:
    """LMDB key of an image: its name without the suffix."""
    return osp.splitext(name)[0]


def list_folder(root: str, option: str) -> list[Listed]:
    """All images below ``root``, sub-folders included and hidden ones skipped, sorted by key.

    Raises:
        UserError: no such folder, not readable, or without images; ``option`` is the YAML key to name.
    """
    if not osp.isdir(root):
        what = 'is a file, not a folder' if osp.exists(root) else 'does not exist'
        raise UserError(f"{option}: '{root}' {what}; give a folder of images (relative paths start at the current "
                        f"folder, '{os.getcwd()}').")
    names, others = [], []
    seen = set()

    def fail(error: OSError):
        raise UserError(f"{option}: '{error.filename}' cannot be listed ({error.strerror}); make it readable.")

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=fail):
        if osp.realpath(folder) in seen:  # a link that leads back up
            subfolders.clear()
            continue
        seen.add(osp.realpath(folder))
        subfolders[:] = [name for name in subfolders if not name.startswith('.')]
        for file in files:
            if not file.startswith('.'):
                name = osp.relpath(osp.join(folder, file), root).replace(os.sep, '/')
                (names if name.lower().endswith(IMAGE_SUFFIXES) else others).append(name)
    if not names:
        what = f"has no image among its {len(others)} files (such as '{min(others)}')" if others else 'is empty'
        raise UserError(f"{option}: the folder '{root}' {what}; images end in {', '.join(IMAGE_SUFFIXES)}.")
    return [Listed(name) for name in sorted(names, key=lambda name: (key_of(name), name))]


def list_meta_info(path: str, option: str) -> list[Listed]:
    """Images that a meta-info file lists, one a line, sorted by key.

    Raises:
        UserError: no such file, not text, empty, or a name twice; ``option`` is the YAML key to name.
    """
    try:
        with open(path, encoding='utf-8') as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise UserError(f"{option}: the meta-info file '{path}' cannot be read ({error.strerror}); it lists one image "
                        'a line, as mssr prepare writes it.') from error
    except UnicodeDecodeError as error:
        raise UserError(f"{option}: the meta-info file '{path}' is no text file; it lists one image a line, such as "
                        '`0001_s001.png (480,480,3)`.') from error
    listed = {}
    for number, line in enumerate(lines, start=1):
        if line:
            match = _META_LINE.match(line)
            name = match['name']
            if name in listed:
                raise UserError(f"{option}: '{path}', line {number}: '{name}' is listed twice; names must be unique.")
            listed[name] = Listed(name, (int(match['h']), int(match['w'])) if match['h'] else None)
    if not listed:
        raise UserError(f"{option}: the meta-info file '{path}' is empty; it lists one image a line, such as "
                        '`0001_s001.png (480,480,3)`.')
    return sorted(listed.values(), key=lambda item: (key_of(item.name), item.name))
