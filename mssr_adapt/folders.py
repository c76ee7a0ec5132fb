"""What is in the two folders: whether they will do, and what is said of them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError
from mssr_data.image_source import ImageSource
from mssr_data.jpeg_traces import jpeg_quality
from mssr_data.photo_pool import read_photos
from mssr_metric.noise_level import noise_level
from mssr_metric.photo_sets import as_pixels
from mssr_metric.spectrum import WINDOW, radial_spectrum

FEWEST = 6  # photos of either kind; a hundred are better
LOOKED_AT, SIDE = 48, 256  # photos of each folder that are measured, and pixels a side of them
SHARPER = 3.0  # dB: by how much more fine detail the real photos have where the folders are swapped
NOISIER = 1.0  # 8-bit levels: noise that tells real photos from clean ones
BUNDLED = ('astronaut.png', 'chelsea.png', 'coffee.png', 'rocket.jpg', 'motorcycle_left.png', 'grass.png',
           'gravel.png')  # of scikit-image


@dataclass
class Folder:
    """Photos of one kind."""

    path: Path
    count: int
    sides: tuple[int, int]  #: median width and height, in pixels
    unreadable: list[str]  #: messages
    photos: list[Tensor]  #: some of them, (3, h, w), cut to their middle
    noise: float  #: 8-bit levels on flat regions
    detail: float  #: dB: power at the finest frequencies relative to coarse ones
    qualities: list[int]  #: JPEG qualities of those with traces of it

    def described(self) -> str:
        """In a sentence."""
        often = len(self.qualities) * 2 >= len(self.photos)
        jpeg = f', JPEG of quality {min(self.qualities)} to {max(self.qualities)}' if often else ''
        lost = f'; {len(self.unreadable)} cannot be read ({self.unreadable[0]})' if self.unreadable else ''
        return (f'{self.count} photos, {self.sides[0]} x {self.sides[1]} pixels in the middle, noise of '
                f'{self.noise:.1f} levels{jpeg}{lost}')


def look(path: Path, flag: str) -> Folder:
    """Look at a folder.

    Args:
        path: the folder.
        flag: that named it, for messages.

    Raises:
        UserError: it is missing, empty, or has too few photos that can be read.
    """
    source = ImageSource(str(path), flag, {'type': 'disk'})
    sizes, unreadable = [], []
    for index in range(len(source)):
        try:
            sizes.append(source.size(index))
        except CorruptImageError as error:
            unreadable.append(str(error))
    if len(sizes) < FEWEST:
        lost = f', and {len(unreadable)} that cannot be read' if unreadable else ''
        raise UserError(f"{flag}: '{path}' has {len(sizes)} photos{lost}, but at least {FEWEST} are needed, and a "
                        'hundred or so to learn well.')
    photos = read_photos({'dataroot_gt': str(path)}, 'gt', LOOKED_AT, SIDE, WINDOW, option=flag)
    spectrum = radial_spectrum(photos)
    found = [jpeg_quality(as_pixels(photo)) for photo in photos]
    height, width = np.median(sizes, axis=0).astype(int)
    return Folder(path, len(sizes), (int(width), int(height)), unreadable, photos, noise_level(photos),
                  float(spectrum[-4:].mean() - spectrum[:4].mean()), [quality for quality in found if quality])


def check_roles(clean: Folder, real: Folder) -> None:
    """Refuse folders that seem to be swapped.

    Raises:
        UserError: the real photos are as large as the clean ones, as free of noise, and sharper.
    """
    larger = min(real.sides) >= min(clean.sides)
    if larger and real.noise < clean.noise + NOISIER and real.detail > clean.detail + SHARPER:
        raise UserError(f"--real '{real.path}' is sharper than --clean '{clean.path}' ("
                        f'{real.detail - clean.detail:.0f} dB more fine detail) and no noisier: swap the two folders.')


def write_bundled(folder: Path) -> Path:
    """Clean photographs that scikit-image brings along, for those who have none; the folder.

    Raises:
        UserError: they are not there.
    """
    import skimage

    data = Path(skimage.__file__).parent / 'data'
    folder.mkdir(parents=True, exist_ok=True)
    for name in BUNDLED:
        if not (data / name).is_file():
            raise UserError(f'--clean is missing, and {data / name}, a photograph that stands in for them, is not '
                            'there: give --clean a folder of clean photos.')
        if not (folder / name).is_file():
            shutil.copyfile(data / name, folder / name)
    return folder
