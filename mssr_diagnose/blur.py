"""How wide a photo's blur is, and along which direction, from how fast its spectrum falls."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from mssr_arch.jpeg_coding import quantization_steps

SIDE = 64  # pixels a side of the windows of which spectra are taken; smaller photos take half of it
_FEWEST = 24  # frequencies from which a blur can be told
_ROUNDING = 1 / 12  # power of rounding to 8 bits, in squares of levels
_WIDEST = 6.0  # pixels
_DEAD = 0.35  # of a step of JPEG: coefficients that are smaller on average were mostly rounded to nothing


@dataclass(frozen=True)
class Sharpness:
    """What sharp photos have: power that falls with ``f ** -slope``, and a blur of pixels, ``rest`` (pixels squared).

    The defaults are medians of clean photographs, reduced by 2 and by 4.
    """

    slope: float = 2.4
    rest: float = 0.085


PHOTOGRAPHS = Sharpness()


@dataclass(frozen=True)
class Blur:
    """A Gaussian blur of one photo, in its pixels, beyond that of sharp photos."""

    width: float  #: sigma, the root of the mean variance of all directions
    narrow: float  #: sigma along the direction of the least blur
    wide: float  #: sigma along the direction of the most
    direction: float  #: of the most blur, degrees from the x axis towards the y axis, which points down; 0 to 180


def measure_blur(luma: np.ndarray, quality: int | None = None, sharp: Sharpness = PHOTOGRAPHS) -> Blur | None:
    """The blur of a photo.

    Power spectra of photos fall with ``f ** -slope`` (Field, 1987); a Gaussian blur of covariance ``C`` multiplies
    them by ``exp(-4 pi^2 f' C f)``, and noise adds a floor. All are fitted to the logarithm of the mean power of
    windows. Strengths that differ by direction, as those of buildings do, are fitted too, and not taken for blur.

    Args:
        luma: (H, W), levels from 0 to 255, 32 pixels a side or more.
        quality: of the JPEG file that the photo was; frequencies whose coefficients it rounded to nothing are left out.
        sharp: what is not to be called blur.

    Returns:
        None where too few frequencies are left to tell.
    """
    power, fx, fy = mean_power(luma)
    radius, angle = np.hypot(fx, fy), np.arctan2(fy, fx)
    used = (radius >= 2.5 / len(power)) & (radius <= 0.5)
    if quality is not None:
        place = np.minimum((16 * np.abs(np.stack([fy, fx]))).round().astype(int), 7)
        used &= power > (_DEAD * quantization_steps(quality).numpy()[tuple(place)]) ** 2
    if used.sum() < _FEWEST:
        return None
    levels, f, fx, fy, angle = np.log(power[used] + _ROUNDING), radius[used], fx[used], fy[used], angle[used]
    shape = np.stack([np.ones_like(f), np.cos(2 * angle), np.sin(2 * angle), np.cos(4 * angle), np.sin(4 * angle)])
    fall = -4 * np.pi**2 * np.stack([fx**2, 2 * fx * fy, fy**2])
    start = levels - -sharp.slope * np.log(f)

    basis, slope = np.concatenate([shape, fall]), sharp.slope * np.log(f)

    def signal_and_floor(values):
        return np.minimum(values[:8] @ basis - slope, 50), np.logaddexp(values[8], np.log(_ROUNDING))

    def floor_and_fall(values):
        return np.logaddexp(*signal_and_floor(values)) - levels

    def derivatives(values):
        signal, floor = signal_and_floor(values)
        share = expit(signal - floor)
        return np.concatenate([share * (signal < 50) * basis, [(1 - share) * expit(values[8] - np.log(_ROUNDING))]]).T

    fits = [least_squares(floor_and_fall, [np.quantile(start, 0.95), 0, 0, 0, 0, s, 0, s, levels.min() - 1],
                          derivatives, loss='soft_l1', max_nfev=50) for s in (0.3, 2.5)]
    xx, xy, yy = min(fits, key=lambda fit: fit.cost).x[5:8]
    variances, axes = np.linalg.eigh([[xx - sharp.rest, xy], [xy, yy - sharp.rest]])
    low, high = np.sqrt(variances.clip(0, _WIDEST**2))
    return Blur(float(np.sqrt(((xx + yy) / 2 - sharp.rest).clip(0, _WIDEST**2))), float(low), float(high),
                float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) % 180))


def mean_power(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean power of windows (Hann), 1 for white noise of one level, and its frequencies in cycles per pixel.

    Args:
        luma: (H, W), levels.

    Returns:
        Three arrays (side, side // 2 + 1): power, frequency along x, and along y.
    """
    side = SIDE if min(luma.shape) >= SIDE else SIDE // 2
    windows = np.lib.stride_tricks.sliding_window_view(luma.astype(np.float32), (side, side))[::side // 2, ::side // 2]
    windows = windows.reshape(-1, side, side)
    hann = np.hanning(side + 1)[:side].astype(np.float32)
    hann = np.outer(hann, hann)
    spectra = np.fft.rfft2((windows - windows.mean((1, 2), keepdims=True)) * hann)
    fx, fy = np.meshgrid(np.fft.rfftfreq(side), np.fft.fftfreq(side))
    return (np.abs(spectra) ** 2).mean(0) / (hann**2).sum(), fx, fy
