"""A set of pairs on disk that BasicSR, traiNNer-redux and Real-ESRGAN read as it is.

    SET/gt/NAME.png        HR photos, cut at the right and bottom to a multiple of the scale
    SET/lq/NAME.png        their LR photos
    SET/gt.lmdb, lq.lmdb   the same as databases, where asked for
    SET/meta_info.txt      a line ``gt/NAME.png, lq/NAME.png`` for each pair
    SET/manifest.json      all that the LR photos depend on, and where each comes from
"""

import hashlib
import json
import os
import re
from bisect import bisect_right
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate, groupby
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from mssr_compat.errors import UserError
from mssr_compat.files import replacing, write_whole
from mssr_data.decoding import CorruptImageError, to_rgb8
from mssr_data.image_source import ImageSource
from mssr_data.lmdb_store import COMPRESSION, Packed, pack_lmdb
from mssr_inference.degrader import Degrader, keyed_number
from mssr_inference.memory import is_out_of_memory

MANIFEST = 'manifest.json'
AHEAD = 2  # photos that are decoded while one is degraded
_PLAIN = re.compile(r'[^A-Za-z0-9_-]')


class Draw(NamedTuple):
    """One LR photo to make."""

    name: str  #: of the files, without suffix: letters, digits, - and _ alone, as an LMDB key of BasicSR's must be
    photo: int  #: number of the HR photo
    number: int  #: of this draw among the photo's, from 0
    generator: int  #: number of the generator
    key: str  #: all that its noise depends on


def plan_draws(photos: list[str], seed: int, draws: int = 1, weights: list[float] | None = None) -> list[Draw]:
    """List the pictures to make.

    Args:
        photos: names below the input's root, with suffix and forward slashes.
        seed: seed of the set.
        draws: pictures of each photo.
        weights: how often each generator is chosen, in any unit; None: one generator. The choice is a function of
            seed, photo and draw, as all else.

    Raises:
        UserError: the weights are not positive.
    """
    weights = weights or [1.0]
    if min(weights) < 0 or not sum(weights) > 0:
        raise UserError(f'--weights are {weights}, but must be numbers from 0 up, not all 0.')
    bounds = list(accumulate(weights))
    result = []
    for photo, (name, path) in enumerate(zip(plain_names(photos), photos, strict=True)):
        for number in range(draws):
            key = f'{seed}/{_without_suffix(path)}/{number}'
            place = keyed_number(f'{key}/generator') / 2**63 * bounds[-1]
            generator = min(bisect_right(bounds, place), len(weights) - 1)
            result.append(Draw(name if draws == 1 else f'{name}_d{number}', photo, number, generator, key))
    return result


def plain_names(photos: list[str]) -> list[str]:
    """A different name for each photo, of characters that every trainer reads; a clash adds a hash of the path."""
    names = [_PLAIN.sub('_', _without_suffix(path)) for path in photos]
    count = Counter(names)
    return [name if count[name] == 1 else f'{name}_{hashlib.sha256(path.encode()).hexdigest()[:8]}'
            for name, path in zip(names, photos, strict=True)]


def _without_suffix(path: str) -> str:
    return path.rpartition('.')[0] if '.' in path.rpartition('/')[2] else path


class PairSet:
    """The files of a set.

    Args:
        root: the set's folder.
        settings: all that its LR photos depend on, as JSON takes it.
        keep_hr: whether the HR photos belong to it.
    """

    def __init__(self, root: str | Path, settings: dict, keep_hr: bool = True):
        self.root, self.settings, self.keep_hr = Path(root), settings, keep_hr

    def begin(self, draws: list[Draw], photos: list[str]) -> None:
        """Make the folders, and write what will be in them.

        Raises:
            UserError: the folder holds a set with other settings, or something else.
        """
        manifest = self.root / MANIFEST
        if manifest.exists():
            try:
                before = json.loads(manifest.read_text())['settings']
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f'-o {self.root}: {MANIFEST} is damaged; give another folder.') from error
            changed = [key for key in {**before, **self.settings} if before.get(key) != self.settings.get(key)]
            if changed:
                key = changed[0]
                raise UserError(f'-o {self.root} holds a set with {key} {_short(before.get(key))}, not '
                                f'{_short(self.settings.get(key))}: give another folder, or the same settings to '
                                'continue it.')
        elif self.root.exists() and any(self.root.iterdir()):
            raise UserError(f'-o {self.root} is not empty and holds no set of draws: give another folder.')
        for name in ('gt', 'lq'):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        pictures = [{'name': d.name, 'photo': photos[d.photo], 'draw': d.number,
                     'generator': d.generator} for d in draws]
        text = json.dumps({'settings': self.settings, 'pictures': pictures}, indent=1)
        write_whole(manifest, text)
        write_whole(self.root / 'meta_info.txt', ''.join(f'gt/{d.name}.png, lq/{d.name}.png\n' for d in draws))

    def path(self, folder: str, name: str) -> Path:
        """Where a picture lies: ``folder`` is gt or lq."""
        return self.root / folder / f'{name}.png'

    def fill(self, draws: list[Draw], source: ImageSource, degraders: list[Degrader],
             show_progress: bool = True) -> list[tuple[str, str]]:
        """Make what is missing of ``draws``: read ahead, degrade, write behind.

        Args:
            draws: pictures of the set.
            source: the HR photos.
            degraders: one for each generator, of one scale.
            show_progress: whether a bar is shown.

        Returns:
            Photos that could not be degraded, and why.

        Raises:
            OSError: a file cannot be written (a full disk), after which there is no point in going on.
        """
        folders = ('lq', 'gt') if self.keep_hr else ('lq',)
        missing = [draw for draw in draws if not all(self.path(folder, draw.name).exists() for folder in folders)]
        photos = [list(group) for _, group in groupby(missing, key=lambda draw: draw.photo)]
        failures, writing = [], deque()
        with tqdm(total=len(draws), initial=len(draws) - len(missing), unit='picture',
                  disable=not show_progress or None) as bar, ThreadPoolExecutor(AHEAD + 1) as pool:
            def read(group):
                return pool.submit(_read, source, group[0].photo, degraders[0].scale)

            reading = deque(map(read, photos[:AHEAD]))
            for k, draws_of_photo in enumerate(photos):
                path, read_photo = source.path(draws_of_photo[0].photo), reading.popleft()
                reading.extend(map(read, photos[k + AHEAD:k + AHEAD + 1]))
                try:
                    for draw in draws_of_photo:
                        lr = degraders[draw.generator](read_photo.result(), draw.key)
                        writing.append(pool.submit(self._write, draw, read_photo.result(), lr, source))
                        bar.update()
                except CorruptImageError as error:
                    failures.append((path, str(error).removeprefix(f"'{path}' ")))
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                    failures.append((path, 'memory does not hold it'))
                while len(writing) > 2 * AHEAD:
                    writing.popleft().result()
            for future in writing:
                future.result()
        return failures

    def _write(self, draw: Draw, photo: np.ndarray, lr: np.ndarray, source: ImageSource) -> None:
        """Under its final name, each file of a pair is complete."""
        if self.keep_hr:
            file = None if source.backend == 'lmdb' else Path(source.path(draw.photo))
            if not (file and _is_plain_png(file, photo.shape) and _linked(file, self.path('gt', draw.name))):
                _write_png(self.path('gt', draw.name), photo)
        _write_png(self.path('lq', draw.name), lr)

    def pack(self, folder: str, names: list[str]) -> None:
        """Put the pictures of a folder into ``folder.lmdb`` in BasicSR's layout; an old one is replaced when done."""
        def packed(name: str) -> Packed:
            path = self.path(folder, name)
            with Image.open(path) as image:
                return Packed(name, path.stat().st_size, image.height, image.width)

        pack_lmdb(self.root / f'{folder}.lmdb', map(packed, sorted(names)),
                  lambda name, _: self.path(folder, name).read_bytes())


def _read(source: ImageSource, photo: int, scale: int) -> np.ndarray:
    """An HR photo, (H, W, 3) RGB uint8, cut at the right and bottom to multiples of the scale."""
    image = to_rgb8(source.read(photo))
    height, width = (side // scale * scale for side in image.shape[:2])
    if not height or not width:
        raise CorruptImageError(f'{image.shape[1]} x {image.shape[0]} pixels are too few for scale {scale}')
    return np.ascontiguousarray(image[:height, :width])


def _write_png(path: Path, picture: np.ndarray) -> None:
    """Write an RGB picture (H, W, 3) uint8."""
    done, data = cv2.imencode('.png', picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])
    assert done
    write_whole(path, data.tobytes())


def _linked(file: Path, target: Path) -> bool:
    """Whether ``target`` could be made a link to ``file``, not a second copy; not on another disk, say."""
    with suppress(OSError):
        with replacing(target) as aside:
            os.link(file, aside)
        return True
    return False


def _is_plain_png(file: Path, shape: tuple[int, ...]) -> bool:
    """Whether a file's pixels are read as they are by everyone: an 8-bit RGB PNG of this shape, not turned by EXIF."""
    with open(file, 'rb') as stream:
        head = stream.read(26)
    if head[:8] != b'\x89PNG\r\n\x1a\n' or head[24:26] != b'\x08\x02':
        return False
    with Image.open(file) as image:
        return image.size == (shape[1], shape[0]) and image.getexif().get(0x0112, 1) == 1


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f'{text[:97]}...'
