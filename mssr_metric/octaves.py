"""Power in octaves of frequencies: whether restored photos are as rich in detail as clean ones of like contrast."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mssr_metric.photo_sets import LEVELS, Photos, luma

#: cycles per pixel, from the octave that tells a photo's contrast to the finest
OCTAVES = ((1 / 32, 1 / 16), (1 / 16, 1 / 8), (1 / 8, 1 / 4), (1 / 4, 0.75))
SIDE, STEP = 64, 32  # pixels a side of the windows, and between them
NEIGHBOURS = 40  # clean windows of like contrast that each window is compared with
_FLOOR = 0.05  # power that is added, in squares of 8-bit levels: below, there is nothing to see


def octave_power(photo: Tensor, side: int = SIDE, step: int = STEP) -> Tensor:
    """Power of the luma in the four octaves of :data:`OCTAVES`, in squares of 8-bit levels, of windows (Hann).

    Args:
        photo: (3, H, W), RGB in [0, 1], ``side`` pixels a side or more.
        side: pixels a side of a window, 32 or more.
        step: pixels between windows.

    Returns:
        (windows, 4)
    """
    planes = luma(photo).unfold(0, side, step).unfold(1, side, step).reshape(-1, side, side)
    return band_power(planes * LEVELS)[0]


def band_power(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Power of planes (..., h, w) in the four octaves (Hann window, 2D FFT), (..., 4), in squares of their values; and
    what part of all frequencies each octave has, (4,): that of white noise of power 1."""
    height, width = planes.shape[-2:]
    hann = torch.outer(*(torch.hann_window(side, dtype=planes.dtype) for side in (height, width)))
    planes = (planes - planes.mean((-2, -1), keepdim=True)) * hann
    power = torch.fft.fft2(planes).abs().square() / hann.square().sum() / (height * width)
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    bands = [(radius >= low) & (radius < high) for low, high in OCTAVES]
    return (torch.stack([power[..., band].sum(-1) for band in bands], -1),
            torch.stack([band.double().mean() for band in bands]))


class ContrastReference:
    """Clean photos, which others are compared with.

    Args:
        clean: (3, H, W), RGB in [0, 1], of the resolution of the photos that will be compared; smaller ones than a
            window are left out.

    Raises:
        ValueError: no photo is as large as a window.
    """

    def __init__(self, clean: Photos) -> None:
        found = [octave_power(photo) for photo in clean if min(photo.shape[1:]) >= SIDE]
        if not found:
            raise ValueError(f'no photo of {SIDE} pixels a side')
        powers = (torch.cat(found) + _FLOOR).log2()
        self.powers = powers[powers[:, 0].argsort()]

    def excess(self, photos: Sequence[Tensor]) -> Tensor:
        """By how much the photos have more power than clean ones in the upper three octaves, (3,), in octaves of power
        (1: twice as much; below 0: less), mean over windows, each against clean ones of like contrast."""
        found = [octave_power(photo) for photo in photos if min(photo.shape[1:]) >= SIDE]
        powers = (torch.cat(found) + _FLOOR).log2()
        place = torch.searchsorted(self.powers[:, 0].contiguous(), powers[:, 0].contiguous())
        near = place[:, None] + torch.arange(NEIGHBOURS) - NEIGHBOURS // 2
        alike = self.powers[near.clamp(0, len(self.powers) - 1)].mean(1)
        return (powers - alike)[:, 1:].mean(0)
