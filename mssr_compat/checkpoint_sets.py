"""Checkpoints as sets: the networks and the training state of one iteration, whole or not there at all.

A file is written aside, flushed to the disk, and renamed. The state is written last and lists the other files with
their checksums: a set whose state is there and whose checksums are right is complete, whatever happened meanwhile.
"""

import errno
import io
import os
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import torch

from mssr_compat.checkpoint import read_training_state, read_weights
from mssr_compat.errors import UserError
from mssr_compat.files import write_whole

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SaveError(UserError):
    """A checkpoint cannot be written: full disk, quota, no permission. The sets before it are as they were.

    ``no_room``: whether it is space that is wanting.
    """

    no_room = False


def write_file(path: str | Path, content: Any) -> dict[str, int]:
    """Write what ``torch.save`` takes, so that at any moment ``path`` is the old file or the whole new one.

    The bytes are made in memory first (host memory for one copy), so that the disk sees one plain write.

    Returns:
        ``{size, crc32}`` of the file.

    Raises:
        SaveError: the file cannot be written; nothing of it is left.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getbuffer()
    try:
        write_whole(path, data, flush=True)
    except OSError as error:
        no_room = error.errno in _NO_ROOM
        needed = f'; it needs {len(data) / 2**20:.1f} MiB{_free(Path(path).parent)}' if no_room else ''
        failure = SaveError(f'{path} cannot be saved: {error.strerror or error}{needed}.')
        failure.no_room = no_room
        raise failure from error
    return {'size': len(data), 'crc32': zlib.crc32(data)}


def _free(folder: Path) -> str:
    try:
        return f', and {shutil.disk_usage(folder).free / 2**20:.1f} MiB are free there'
    except OSError:
        return ''


def iterations(states: str | Path) -> list[int]:
    """Iterations that have a state in the folder ``states``, newest first; other files are passed over.

    Raises:
        UserError: the folder cannot be read. One that is not there holds none.
    """
    try:
        found = os.listdir(states)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f'{states} cannot be read: {error.strerror}') from error
    numbers = (re.fullmatch(r'(0|[1-9][0-9]*)\.state', name) for name in found)
    return sorted((int(number[1]) for number in numbers if number), reverse=True)


def read_set(state_file: str | Path, networks: list[str], models: list[Path],
             key: str | None = None) -> tuple[dict[str, Any], Path]:
    """Read a state, and check that the networks that belong to it are whole.

    Args:
        state_file: the ``.state``.
        networks: labels of the networks that are needed: ``g``, ``d``.
        models: folders in which they may lie; the first that has them all.
        key: YAML key that named the state, for messages.

    Returns:
        The state, and the folder of the networks.

    Raises:
        UserError: a file is missing or damaged, is no state, or belongs to another set.
    """
    state = read_training_state(state_file, key)
    wrong = _wrong_part(state)
    if wrong:
        raise UserError(f'{f"{key}: " if key else ""}{state_file} is no state of a training: its {wrong} is not as it '
                        'is written')
    names = [f'net_{label}_{state["iter"]}.pth' for label in networks]
    folder = next((folder for folder in models if all(os.path.isfile(folder / name) for name in names)), models[0])
    for name in names:
        written = (state.get('files') or {}).get(name)
        if written is None:
            read_weights(folder / name)  # a state of BasicSR's own: no checksums, so read the whole file
        else:
            _check_sum(folder / name, written)
    return state, folder


def _wrong_part(state: dict[str, Any]) -> str | None:
    """The first part of a state that has not the form in which this project and BasicSR write it."""
    def dicts(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)

    right = {
        'iter': lambda value: type(value) is int and value >= 0,
        'optimizers': lambda value: dicts(value) and all({'state', 'param_groups'} <= item.keys() for item in value),
        'schedulers': dicts,
        'seed': lambda value: value is None or type(value) is int,
        'processes': dicts,
        'best_metric_results': lambda value: isinstance(value, dict),
        'validated': lambda value: isinstance(value, dict),
        'files': lambda value: isinstance(value, dict) and all(
            isinstance(item, dict) and item.keys() == {'size', 'crc32'} for item in value.values()),
    }
    return next((name for name, is_right in right.items() if name in state and not is_right(state[name])), None)


def _check_sum(file: Path, written: dict[str, int]) -> None:
    size, crc = 0, 0
    try:
        with open(file, 'rb') as stream:
            while block := stream.read(2**22):
                size, crc = size + len(block), zlib.crc32(block, crc)
    except FileNotFoundError as error:
        raise UserError(f'{file} is missing') from error
    except OSError as error:
        raise UserError(f'{file} cannot be read: {error.strerror}') from error
    if size != written['size']:
        raise UserError(f'{file} has {size} bytes instead of the {written["size"]} that were saved')
    if crc != written['crc32']:
        raise UserError(f'{file} is damaged, or belongs to another run: its checksum is not the one that was saved')


def newest_set(states: str | Path, networks: list[str],
               models: list[Path]) -> tuple[Path | None, Path | None, list[str]]:
    """The newest complete set whose state is in the folder ``states``.

    Args:
        states, networks, models: as for :func:`read_set`.

    Returns:
        State file and folder of the networks, or None twice; why newer sets are not complete.
    """
    complaints = []
    for iteration in iterations(states):
        file = Path(states) / f'{iteration}.state'
        try:
            return file, read_set(file, networks, models)[1], complaints
        except UserError as error:
            complaints.append(f'iteration {iteration}: {error}')
    return None, None, complaints


def remove_old_sets(states: str | Path, models: str | Path, keep_last: int, keep_every: int = 0) -> None:
    """Remove all but the newest ``keep_last`` sets and those at multiples of ``keep_every`` (0: none).

    Left-overs of a killed run go too: files written aside, and networks whose state was never written.
    """
    found = iterations(states)
    if not found or keep_last < 1:
        return
    kept = {n for n in found if n in found[:keep_last] or (keep_every and n % keep_every == 0)}
    old = [n for n in found if n not in kept]
    for iteration in old:  # the state first: a state without its networks would look like damage
        (Path(states) / f'{iteration}.state').unlink(missing_ok=True)
    for file in Path(models).glob('net_*.pth'):
        number = re.fullmatch(r'net_.+_([0-9]+)\.pth', file.name)
        if number and int(number[1]) < found[0] and int(number[1]) not in kept:
            file.unlink(missing_ok=True)


def set_newer_aside(states: str | Path, iteration: int) -> list[str]:
    """Rename states of later iterations to ``N.state.old``: those that a run left behind by going on from an earlier
    one. Auto-resume must not go back to them, nor ``remove_old_sets`` keep them in the new ones' stead.

    Returns:
        The new names.
    """
    newer = [Path(states) / f'{n}.state' for n in iterations(states) if n > iteration]
    for file in newer:
        os.replace(file, f'{file}.old')
    return [f'{file.name}.old' for file in newer]
