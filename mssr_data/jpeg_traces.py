"""Which JPEG quality photos were once saved with, and where its blocks lie, read from their pixels.

JPEG rounds the cosine coefficients of each 8 x 8 block to multiples of a step that depends on the quality. A photo that
was neither resized nor filtered since still has coefficients near such multiples, whatever file it is in now.
"""

import itertools
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.fft import dctn

from mssr_arch.jpeg_coding import quantization_steps

QUALITIES = np.arange(10, 96)  # above, the steps are lost in the rounding to 8 bits
CERTAIN = 0.6  # mean cosine of the coefficients' phases; 1: all are multiples, 0: as it comes
_LUMA = np.array([0.299, 0.587, 0.114])
_FREQUENCY = np.add.outer(np.arange(8), np.arange(8))
_LOW = (_FREQUENCY > 0) & (_FREQUENCY < 6)  # tell most of the steps; the mean brightness tells nothing
_FINE = _FREQUENCY >= 6
# Pixels of a block, in rows, to its cosine coefficients.
_WAVES = dctn(np.eye(64).reshape(64, 8, 8), axes=(1, 2), norm='ortho').reshape(64, 64).astype(np.float32)
_SEARCHED = 128  # pixels a side in which the grid of blocks is looked for
_FEWEST = 50  # coefficients that are not zero


class JpegTrace(NamedTuple):
    """What JPEG left."""

    quality: int  #: 10 to 95
    top: int  #: pixels above the first block that is whole, 0 to 7
    left: int  #: pixels left of it


def jpeg_quality(image: np.ndarray) -> int | None:
    """The quality that :func:`jpeg_trace` finds, or None."""
    trace = jpeg_trace(image)
    return trace and trace.quality


def jpeg_trace(image: np.ndarray) -> JpegTrace | None:
    """The quality of the last JPEG compression of a photo, and its grid.

    Encoders with tables of their own give the quality whose standard table comes nearest.

    Args:
        image: (H, W, 3) RGB or (H, W), uint8; a part of a photo, cut anywhere, will do from about 64 x 64.

    Returns:
        None: no traces, too faint ones, or too little to tell.
    """
    luma = ((image @ _LUMA if image.ndim == 3 else image) - 128.0).astype(np.float32)
    cut_off = (image == 0) | (image == 255)
    luma[cut_off.any(2) if image.ndim == 3 else cut_off] = np.nan  # what was cut off is no multiple any more
    best_score, best = CERTAIN, None
    for top, left in dict.fromkeys([(0, 0), _grid(luma)]):
        coefficients = _coefficients(luma[top:, left:], _LOW)
        for quality, steps in zip(QUALITIES, _steps(), strict=True):
            multiples = coefficients[:, steps >= 3] / steps[steps >= 3]
            multiples = multiples[np.abs(multiples) > 0.7]
            if len(multiples) >= _FEWEST:
                score = np.cos(2 * np.pi * multiples).mean()
                if score > best_score:
                    best_score, best = score, JpegTrace(int(quality), top, left)
    return best


def _grid(luma: np.ndarray) -> tuple[int, int]:
    """Where blocks begin, 0 to 7 from the top and from the left: there most fine detail has been rounded to nothing."""
    part = luma[:_SEARCHED + 7, :_SEARCHED + 7]

    def empty(start):
        fine = _coefficients(part[start[0]:, start[1]:], _FINE)
        return (np.abs(fine) < 0.5).mean() if fine.size else 0

    return max(itertools.product(range(8), repeat=2), key=empty)


def _coefficients(luma: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(blocks, coefficients) of the blocks that are whole and not cut off; ``wanted``: (8, 8), which coefficients."""
    rows, columns = luma.shape[0] // 8, luma.shape[1] // 8
    blocks = luma[:rows * 8, :columns * 8].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3).reshape(-1, 64)
    return blocks[~np.isnan(blocks).any(1)] @ _WAVES[:, wanted.ravel()]


@cache
def _steps() -> np.ndarray:
    """(qualities, coefficients): the steps of those that tell."""
    return np.stack([quantization_steps(quality).numpy()[_LOW] for quality in QUALITIES])
