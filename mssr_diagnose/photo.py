"""All that is measured of one photo."""

from dataclasses import dataclass

import numpy as np

from mssr_compat.errors import UserError
from mssr_data.jpeg_traces import JpegTrace, jpeg_trace
from mssr_diagnose.blur import PHOTOGRAPHS, Blur, Sharpness, measure_blur
from mssr_diagnose.noise import TO_YCBCR, Noise, measure_noise
from mssr_diagnose.traces import clipped, colour_cast, enlargement, overshoot

SMALLEST = 64  # pixels a side
CROP = 256  # pixels a side of the middle, which is measured
CAST_SIDE = 512  # about, of the whole photo, reduced for tones and colours


@dataclass(frozen=True)
class Measured:
    """One photo; None: cannot be told."""

    name: str
    size: tuple[int, int]  #: height, width
    blur: Blur | None
    noise: Noise
    jpeg: JpegTrace | None  #: quality, and the grid's offset in the whole photo
    enlarged: float | None  #: factor
    overshoot: float | None  #: of edges, share of their height
    dark: float  #: share of the pixels that are cut off at 0
    bright: float  #: share at 255
    cast: tuple[float, float]  #: red and blue, in octaves of green


def measure_photo(photo: np.ndarray, name: str = '', sharp: Sharpness = PHOTOGRAPHS) -> Measured:
    """Measure a photo: the middle in full, cut-off tones and tint in all of it.

    Args:
        photo: (H, W, 3) RGB, uint8.
        name: for messages.
        sharp: what is not to be called blur.

    Raises:
        UserError: it is smaller than 64 pixels a side.
    """
    height, width = photo.shape[:2]
    if min(height, width) < SMALLEST:
        raise UserError(f'{name} is {width}x{height}: too small to measure; {SMALLEST} pixels a side are needed.')
    top, left = max(height - CROP, 0) // 2, max(width - CROP, 0) // 2
    crop = np.ascontiguousarray(photo[top:top + CROP, left:left + CROP])
    luma = crop @ TO_YCBCR[0]
    trace = jpeg_trace(crop)
    blur = measure_blur(luma, trace and trace.quality, sharp)
    step = max(min(height, width) // CAST_SIDE, 1)
    few = np.ascontiguousarray(photo[::step, ::step])
    return Measured(name, (height, width), blur, measure_noise(crop, trace),
                    trace and JpegTrace(trace.quality, (trace.top + top) % 8, (trace.left + left) % 8),
                    enlargement(luma, blur.width) if blur and trace is None else None, overshoot(luma),
                    *clipped(few), colour_cast(few))
