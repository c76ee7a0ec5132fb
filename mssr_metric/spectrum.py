"""The radial power spectrum of photos, and how far two of them are apart."""

import numpy as np
import torch
from torch import Tensor

from mssr_metric.photo_sets import LEVELS, Photos, luma, windows

WINDOW = 32  # pixels a side, of which each spectrum is taken
_WINDOWS = 1024  # of each set
_LEVELLED = 4  # the lower quarter of the frequencies sets the level
_ROUNDING = 1 / 12 / LEVELS**2  # power of rounding to 8 bits: nothing in a file is below it


def frequencies(size: int = WINDOW) -> np.ndarray:
    """Frequencies of :func:`radial_spectrum` in cycles per pixel, (size // 2,), from 1 / size to 0.5."""
    return np.arange(1, size // 2 + 1) / size


def radial_spectrum(photos: Photos, size: int = WINDOW) -> Tensor:
    """Power of the luma at each frequency in dB, relative to white noise of one 8-bit level, (size // 2,).

    The mean over all directions and over fixed windows (Hann), as many of each photo. Logarithms are averaged, as a
    few strong edges would otherwise drown all flat regions, where noise shows.

    Args:
        photos: (3, H, W), RGB in [0, 1].
        size: side of the windows in pixels, even.

    Raises:
        UserError: a photo is smaller than a window.
    """
    shares = np.diff(np.linspace(0, _WINDOWS, len(photos) + 1).round().astype(int))
    planes = torch.cat([windows(luma(photo)[None], size, int(share), seed=k)[:, 0]
                        for k, (photo, share) in enumerate(zip(photos, shares, strict=True))])
    hann = torch.hann_window(size, periodic=True)
    hann = hann[:, None] * hann
    planes = (planes - planes.mean((-2, -1), keepdim=True)) * hann
    power = torch.fft.rfft2(planes).abs().square() / hann.square().sum() + _ROUNDING
    decibel = 10 * torch.log10(power * LEVELS**2).mean(0)

    radius = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)) * size
    ring = radius.round().long().clamp(max=size // 2 + 1)  # the corners, beyond 0.5 cycles, share one ring
    sums = torch.zeros(size // 2 + 2).index_add_(0, ring.flatten(), decibel.flatten())
    return (sums / torch.bincount(ring.flatten(), minlength=size // 2 + 2))[1:-1]


def spectrum_gap(one: Tensor, other: Tensor) -> float:
    """Root mean square difference of two spectra in dB; 0 for equal ones.

    Both are first brought to one level at low frequencies: how strong the contrasts of the scenes are must not count,
    and degradations begin beyond.
    """
    difference = one - other
    level = difference[:len(difference) // _LEVELLED].mean()
    return (difference - level).square().mean().sqrt().item()
