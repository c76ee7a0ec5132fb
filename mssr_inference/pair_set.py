"""A set of pairs on disk that BasicSR, traiNNer-redux and Real-ESRGAN read as it is.

    SET/gt/NAME.png        HR photos, cut at the right and bottom to a multiple of the scale
    SET/lq/NAME.png        their LR photos
    SET/gt.lmdb, lq.lmdb   the same as databases, where asked for
    SET/meta_info.txt      a line ``gt/NAME.png, lq/NAME.png`` for each pair
    SET/manifest.json      all that the LR photos depend on, and where each comes from
"""

import json
import os
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mssr_compat.errors import UserError
from mssr_compat.files import replacing, write_whole
from mssr_data.lmdb_store import COMPRESSION, Packed, pack_lmdb
from mssr_inference.draws import Draw

MANIFEST = 'manifest.json'


class PairSet:
    """The files of a set.

    Args:
        root: the set's folder.
        settings: all that its LR photos depend on, as JSON takes it.
    """

    def __init__(self, root: str | Path, settings: dict):
        self.root, self.settings = Path(root), settings

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

    def write(self, folder: str, name: str, picture: np.ndarray) -> None:
        """Write an RGB picture (H, W, 3) uint8; under its final name it is complete."""
        done, data = cv2.imencode('.png', picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])
        assert done
        write_whole(self.path(folder, name), data.tobytes())

    def add_hr(self, name: str, photo: np.ndarray, file: Path | None) -> None:
        """The HR photo of a pair: a link to ``file`` if that is exactly ``photo``, else a new file."""
        target = self.path('gt', name)
        if file is not None and _is_plain_png(file, photo.shape):
            with suppress(OSError):  # another disk, or one without links
                with replacing(target) as aside:
                    os.link(file, aside)
                return
        self.write('gt', name, photo)

    def pack(self, folder: str, names: list[str]) -> None:
        """Put the pictures of a folder into ``folder.lmdb`` in BasicSR's layout; an old one is replaced when done."""
        def packed(name: str) -> Packed:
            path = self.path(folder, name)
            with Image.open(path) as image:
                return Packed(name, path.stat().st_size, image.height, image.width)

        pack_lmdb(self.root / f'{folder}.lmdb', map(packed, sorted(names)),
                  lambda name, _: self.path(folder, name).read_bytes())


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
