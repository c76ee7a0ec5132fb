"""Writing files so that each is there whole or not at all, and values that any file format can hold."""

import contextlib
import errno
import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ASIDE = '.aside'


@contextlib.contextmanager
def replacing(path: str | Path, flush: bool = False) -> Iterator[Path]:
    """A file aside to write to, which replaces ``path`` at the end of the block, or goes away where the block fails.

    Args:
        path: the file; its folder is made where it is missing.
        flush: wait for the disk, so that the file survives a power failure, too.

    Yields:
        ``.NAME.PID.aside`` beside it: hidden, so that scans of the folder pass over it, and each process's own.

    Raises:
        OSError: the file cannot be written; nothing of it is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'.{path.name}.{os.getpid()}{_ASIDE}')
    try:
        yield aside
        if flush:
            with open(aside, 'rb+') as file:
                os.fsync(file.fileno())
        os.replace(aside, path)
        if flush:
            _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def write_whole(path: str | Path, data: bytes | memoryview | str, flush: bool = False) -> None:
    """Write a file by :func:`replacing`; text as UTF-8."""
    with replacing(path, flush) as aside:
        aside.write_bytes(data.encode() if isinstance(data, str) else data)


def remove_asides(*folders: str | Path) -> None:
    """Remove what a killed process left half written in these folders; not while another process writes there."""
    for folder in folders:
        for file in Path(folder).glob(f'.*{_ASIDE}'):
            file.unlink(missing_ok=True)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def plain(value: Any, finite: bool = False) -> Any:
    """Dicts, lists and Python's own numbers, as JSON, YAML and ``torch.load(weights_only=True)`` take them.

    Args:
        value: mappings, lists, tuples, and numbers of NumPy or torch in them; keys of mappings become text.
        finite: nan and infinity become None, which JSON does not know.
    """
    if isinstance(value, dict):
        return {str(key): plain(item, finite) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, finite) for item in value]
    if hasattr(value, 'item'):
        value = value.item()
    return None if finite and isinstance(value, float) and not math.isfinite(value) else value


def _flush_folder(folder: Path) -> None:
    """Make the renaming last, where the system can (not on Windows)."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems flush no folders
            raise
    finally:
        os.close(descriptor)
