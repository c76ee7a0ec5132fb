"""What a training started from, and under which licences as far as known: each file that it saves says so.

A licence that forbids commercial use binds what is trained from such weights, too, and is easily lost on the way.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from mssr_compat.checkpoint import read_metadata
from mssr_compat.checkpoint_names import find_checkpoint
from mssr_compat.files import file_hash

STARTED_FROM = 'started_from'  #: key of a checkpoint, and of the options of a running training
UNKNOWN = 'unknown'
OWN = 'none stated; trained by MSSR'  #: of a file that a training of this project wrote

# Names under which well-known weights are published; a file that says its licence itself is believed first.
_PUBLISHED = (
    (r'(RealESRGAN|RealESRNet)_x\d(plus|plus_anime_6B)', 'BSD-3-Clause (Real-ESRGAN)'),
    (r'(realesr-(general|animevideo)|RealESRGANv2-).+', 'BSD-3-Clause (Real-ESRGAN)'),
    (r'RRDB_(PSNR|ESRGAN)_x4(_old_arch)?', 'Apache-2.0 (ESRGAN)'),
    (r'.+_official-[0-9a-f]{8}', 'Apache-2.0 (BasicSR)'),
    (r'\d{3}_\w+_SwinIR-[SML]_.+', 'Apache-2.0 (SwinIR)'),
    (r'RealSR_DF2K(_x4|_JPEG)?', 'Apache-2.0 (RealSR)'),
    (r'SPAN_?x4_ch48', 'Apache-2.0 (SPAN)'),
    (r'4x-ClearReality.*', 'CC BY-NC-SA 4.0'),
)


def note_start(opt: dict, path: str | Path) -> None:
    """Remember that this training started from the weights in ``path``; call it wherever such a file is loaded.

    A resumed run's own networks are no start; what they were started from is.

    Args:
        opt: the options of the run, whose ``started_from`` it adds to; of the first process of a training alone, which
            is the one that saves.
        path: the file. It is read once more, for its checksum.
    """
    if not opt.get('is_train', True) or opt.get('rank', 0) != 0:
        return
    paths = opt.get('path') or {}
    resumed = paths.get('resume_state') and path in [paths[key] for key in paths if 'pretrain_network' in key]
    noted = opt.setdefault(STARTED_FROM, [])
    noted += [start for start in origins(path)[1 if resumed else 0:] if start not in noted]


def origins(path: str | Path) -> list[dict[str, str]]:
    """A file, and the files that it was itself made from: ``file`` (its name alone), ``sha256`` and ``licence``."""
    path = find_checkpoint(path)
    status = path.stat()
    return [dict(origin) for origin in _origins(path, status.st_mtime_ns, status.st_size)]


@lru_cache(maxsize=64)  # a network and its average, or several branches, come from one file
def _origins(path: Path, *_: int) -> list[dict[str, str]]:
    said = read_metadata(path)
    return [{'file': path.name, 'sha256': file_hash(path), 'licence': _licence(path, said)}, *inherited(said)]


def carried_on(path: str | Path) -> list[dict[str, str]]:
    """What is to be said of another form of the weights in ``path``: their starts or, of a foreign file, that file."""
    starts = origins(path)
    return starts[1:] if STARTED_FROM in read_metadata(path) else starts


def inherited(said: dict[str, Any]) -> list[dict[str, str]]:
    """What a checkpoint with this metadata says that it was started from."""
    starts = said.get(STARTED_FROM)
    return [{key: str(start.get(key, UNKNOWN)) for key in ('file', 'sha256', 'licence')}
            for start in (starts if isinstance(starts, list) else ()) if isinstance(start, dict)]


def _licence(path: Path, said: dict[str, Any]) -> str:
    for key in ('license', 'licence', 'modelspec.license'):
        if isinstance(said.get(key), str):
            return said[key]
    if STARTED_FROM in said:
        return OWN
    for name, licence in _PUBLISHED:
        if re.fullmatch(name, path.stem, re.IGNORECASE):
            return f'{licence}, by the name of the file'
    return UNKNOWN
