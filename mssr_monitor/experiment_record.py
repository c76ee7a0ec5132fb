"""What validation finds out, kept beside an experiment's checkpoints for the report and for people."""

import json
import math
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np

from mssr_compat.files import plain, replacing, write_whole

RECORD = 'validation.jsonl'  # in the experiment's folder: one line each validation of a data set
PICTURES = 'pictures_{stage}.npz'  # likewise: the newest pictures; stage is degradation or branches
BEST = 'net_g_best.json'  # in models/: the figures of net_g_best.pth


def append_validation(folder: Path, entry: dict) -> None:
    """Add one validation to the record, with the time."""
    with open(folder / RECORD, 'a', encoding='utf-8') as file:
        file.write(json.dumps(plain({'time': time.time(), **entry}, finite=True)) + '\n')


def read_validations(folder: Path) -> list[dict]:
    """All validations, oldest first; of an iteration that a resumed run repeated, the newest.

    Torn and foreign lines are left out. Missing numbers (nan) come as None.
    """
    entries = {}
    try:
        lines = (folder / RECORD).read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the process was killed while writing it
        if _is_validation(entry):
            entries[entry['dataset'], entry['iter']] = entry
    return sorted(entries.values(), key=lambda entry: entry['iter'])


def _is_validation(entry) -> bool:
    """Whether a line holds what :func:`append_validation` writes, with numbers where numbers belong."""
    if not isinstance(entry, dict) or type(entry.get('iter')) is not int or not isinstance(entry.get('dataset'), str):
        return False
    numbers = [entry.get('metrics')] + [entry[name] for name in ('figures', 'bicubic', 'real') if name in entry]
    return isinstance(entry.get('warnings', {}), dict) and all(
        isinstance(some, dict) and all(value is None or isinstance(value, int | float) for value in some.values())
        for some in numbers)


def write_pictures(folder: Path, stage: str, arrays: dict[str, np.ndarray]) -> None:
    """Replace the newest pictures, whole or not at all."""
    with replacing(folder / PICTURES.format(stage=stage)) as aside, open(aside, 'wb') as file:
        np.savez_compressed(file, **arrays)


def read_pictures(folder: Path, stage: str) -> dict[str, np.ndarray] | None:
    """The newest pictures, or None where there are none that can be read."""
    try:
        with np.load(folder / PICTURES.format(stage=stage), allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def read_best(models: Path) -> dict | None:
    """Figures of ``net_g_best.pth``: ``metric``, ``value``, ``better``, ``iter``, ``dataset``, ``figures``; or None."""
    try:
        best = json.loads((models / BEST).read_text(encoding='utf-8'))
        return best if {'metric', 'better', 'iter'} <= best.keys() and math.isfinite(best['value']) else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None


def write_best(models: Path, best: dict) -> None:
    """Replace them, whole or not at all."""
    write_whole(models / BEST, json.dumps(plain(best, finite=True), indent=1) + '\n')
