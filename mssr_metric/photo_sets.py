"""Sets of photos that need not be aligned, of one size or of one number, and fixed samples of them.

Every sample is a pure function of the photos: figures of two iterations, or of two runs, differ by the photos alone,
and no random generator that training uses is touched.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mssr_arch.frequency_filters import WaveletFilter
from mssr_compat.errors import UserError

LEVELS = 255  # 8-bit levels in the range of an image
_LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as JPEG has it

Photos = Sequence[Tensor]  # each (3, H, W), RGB in [0, 1]


def as_8bit(photo: Tensor) -> Tensor:
    """Clamped to [0, 1] and rounded to 8-bit levels, as a file would hold it; what is no number stays none."""
    return (photo.clamp(0, 1) * LEVELS).round() / LEVELS


def as_bytes(photo: Tensor) -> Tensor:
    """(..., 3, H, W) in [0, 1], clamped and rounded to uint8."""
    return (photo.clamp(0, 1) * LEVELS).round().to(torch.uint8)


def as_pixels(photo: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] as picture files have it: (H, W, 3) uint8."""
    return as_bytes(photo).permute(1, 2, 0).cpu().numpy()


def luma(photo: Tensor) -> Tensor:
    """(..., 3, H, W) RGB to (..., H, W) luma (BT.601), in the same range."""
    return torch.einsum('...chw,c->...hw', photo, _LUMA.to(photo))


def haar_bands(photo: Tensor) -> tuple[Tensor, Tensor]:
    """``LL`` (3, h, w) and ``LH, HL, HH`` (3, 3, h, w: colour, band) of the orthonormal one-level Haar transform.

    White noise has the same deviation in every band as in the photo.
    """
    low, high = _HAAR.split(photo[None])
    return low[0], high[0]


def windows(plane: Tensor, size: int, count: int, seed: int = 0) -> Tensor:
    """``count`` windows of (C, H, W) at fixed, seemingly random places, (count, C, size, size), with repetition.

    Raises:
        UserError: the plane is smaller than a window.
    """
    height, width = (length - size + 1 for length in plane.shape[-2:])
    if min(height, width) < 1:
        raise UserError(f'{plane.shape[-1]}x{plane.shape[-2]} values are too few for windows of {size}x{size}: '
                        'leave such small photos out')
    rng = np.random.default_rng((seed, height, width))
    rows, columns = (torch.from_numpy(rng.integers(length, size=count)) for length in (height, width))
    step = torch.arange(size)
    rows, columns = rows[:, None, None] + step[:, None], columns[:, None, None] + step
    return plane[:, rows, columns].transpose(0, 1)


def halves(photos: Photos, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """Two disjoint halves of the photos; a single photo is cut through its longer side."""
    if len(photos) == 1:
        photo = photos[0] if photos[0].shape[1] >= photos[0].shape[2] else photos[0].transpose(1, 2)
        middle = photo.shape[1] // 2
        return [photo[:, :middle]], [photo[:, middle:]]
    order = np.random.default_rng(seed).permutation(len(photos))
    middle = len(photos) // 2
    return [photos[i] for i in order[:middle]], [photos[i] for i in order[middle:]]


_HAAR = WaveletFilter()
