"""How noisy a photo is, what the noise looks like, and how it grows with brightness, from the flattest places."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.fft import dctn
from scipy.optimize import nnls
from scipy.stats import norm, spearmanr

from mssr_arch.jpeg_coding import quantization_steps
from mssr_data.jpeg_traces import JpegTrace

TO_YCBCR = np.float32([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_LUMA, _COLOR = 0.447, 0.410  # variance of luma, and of both chroma channels on average, for 1 in each of R, G and B
_MASK = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6  # Immerkaer (1996): blind to edges along the axes
_SHARE, _FEWEST = 0.02, 12  # of the patches, the flattest
_CHOSEN = 1.05  # the mask shares some of the noise by which patches are chosen; of white noise
_PATCH = 4  # coefficients a side, of the halved photo
_BINS = np.linspace(28, 227, 8)  # of brightness
_DARK, _BRIGHT = 28, 227  # levels; beyond them noise is cut off
_BLOCK = 8
_WAVE = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK))
_VISIBLE = 0.3  # of a step: noise of less deviation is rounded to nothing
_CLEAR = 9  # coefficients from which noise behind JPEG can be told from texture
_FALLING = -0.5  # correlation of frequency and deviation: of noise about 0
_RATIOS = np.geomspace(0.05, 20, 200)  # deviation of the noise over JPEG's step


@dataclass(frozen=True)
class Noise:
    """Noise of one photo; None: cannot be told."""

    level: float | None  #: standard deviation of a colour channel, in 8-bit levels; behind JPEG, before it
    gray: float | None  #: share of the variance that is common to the colours: 0 independent, 1 gray
    grain: float | None  #: correlation of neighbouring pixels: 0 white
    shot: float | None  #: variance that a level of brightness adds, in levels
    growth: float | None  #: share of the variance at middle gray that grows with brightness
    floor: float  #: less noise than this cannot be seen in the photo, in levels


def measure_noise(photo: np.ndarray, trace: JpegTrace | None = None) -> Noise:
    """The noise of a photo.

    It is measured where the photo is flattest, judged by averages of 2 x 2 pixels, whose noise is independent of what
    is measured then: the response to Immerkaer's mask. Behind JPEG the finest frequencies are rounded to nothing, so
    the coefficients with the smallest steps are looked at instead, and rounding is undone in their variance.

    Args:
        photo: (H, W, 3) RGB, uint8, 32 pixels a side or more.
        trace: JPEG's, where there is one.
    """
    planes = photo[:photo.shape[0] // 2 * 2, :photo.shape[1] // 2 * 2] @ TO_YCBCR.T
    _, details = _haar(planes)
    flat, brightness, score = _flattest(_haar(photo[:len(planes), :planes.shape[1]].astype(np.float32))[0])
    if trace is not None:  # colours are halved and rounded more coarsely: their noise is taken to be their own
        luma, floor = _behind_jpeg(planes[..., 0], trace)
        return Noise(luma and luma / _LUMA**0.5, None, None, None, None, floor / _LUMA**0.5)
    fine = _variances(_halved(np.abs(cv2.filter2D(planes, -1, _MASK)))).reshape(-1, 3)
    chroma, fine = np.median(fine[flat, 1:], 0).mean() / _COLOR, fine[:, 0]
    bands = np.median(_boxes(np.moveaxis(details[..., 0] ** 2, 0, 2)).reshape(-1, 3)[flat], 0)
    ratio = bands[2] / max((bands[0] + bands[1]) / 2, 1e-6)
    grain = float(np.clip((1 - ratio) / (1 + ratio), -1, 1))
    luma = float(np.median(fine[flat]))
    certain = luma > 2.0  # below, texture has more of the coarser details than noise has
    if luma > 6.0 and grain > 0.25:
        luma = bands.mean() / ((2 * (1 - grain**2) + (1 - grain) ** 2) / 3)
    level, gray = _level_and_gray(max(luma - _LUMA / 12, 0), max(chroma - 1 / 12, 0))
    shot, growth = _growth(fine, brightness, score, flat) if certain else (None, None)
    if shot is not None:
        shot *= level**2 / max(luma, 1e-6)
    return Noise(level, gray if certain else None, grain if certain else None, shot, growth, 0.5)


def _level_and_gray(luma: float, color: float) -> tuple[float, float]:
    """Deviation of a channel, and the share that is gray, from the variance of luma and that of each colour's own."""
    color = min(color, luma / _LUMA)
    common = luma - _LUMA * color
    return float(np.sqrt(common + color)), float(common / max(common + color, 1e-9))


def _flattest(low: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of the flattest patches among all, brightness of all, and how rough they are (variance)."""
    mean = _boxes(low)
    rough = (_boxes(low * low) - mean * mean).sum(2).ravel()
    brightness = mean.reshape(-1, 3) / 2
    score = rough + 1e6 * ((brightness < _DARK) | (brightness > _BRIGHT)).any(1)
    count = min(max(int(_SHARE * len(score)), _FEWEST), len(score))
    return np.argsort(score)[:count], brightness @ TO_YCBCR[0], score


def _growth(fine: np.ndarray, brightness: np.ndarray, score: np.ndarray,
            flat: np.ndarray) -> tuple[float | None, float | None]:
    """Variance that a level of brightness adds, and its share at middle gray; Nones with too few brightnesses."""
    limit, points = 3 * max(np.median(score[flat]), 1.0), []
    for low, high in zip(_BINS[:-1], _BINS[1:], strict=True):
        inside = np.flatnonzero((brightness >= low) & (brightness < high) & (score < limit))
        if len(inside) >= 2 * _FEWEST:
            inside = inside[np.argsort(score[inside])[:max(len(inside) // 10, _FEWEST)]]
            points.append((brightness[inside].mean(), np.median(fine[inside])))
    if len(points) < 3:
        return None, None
    x, y = np.array(points).T
    (constant, slope), _ = nnls(np.stack([np.ones_like(x), x], 1) / y[:, None], np.ones_like(x))
    return float(slope), float(slope * 128 / max(constant + slope * 128, 1e-9))


def _behind_jpeg(luma: np.ndarray, trace: JpegTrace) -> tuple[float | None, float]:
    """Deviation of the luma's noise before JPEG, None where it was rounded away, and the least that can be seen."""
    blocks = luma[trace.top:, trace.left:]
    rows, columns = blocks.shape[0] // _BLOCK, blocks.shape[1] // _BLOCK
    blocks = blocks[:rows * _BLOCK, :columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2)
    blocks = blocks.reshape(-1, _BLOCK, _BLOCK)
    inside = (blocks.mean((1, 2)) > _DARK) & (blocks.mean((1, 2)) < _BRIGHT)
    coefficients = dctn(blocks[inside] - 128, axes=(1, 2), norm='ortho')
    steps = quantization_steps(trace.quality).numpy()
    coarse, seen = (_WAVE > 0) & (_WAVE < 3), _WAVE >= 3
    least = _VISIBLE * float(np.sort(steps[seen])[:8].mean())
    if len(coefficients) < _FEWEST:
        return None, least
    order = np.argsort((coefficients[:, coarse] ** 2).sum(1))
    chosen = coefficients[order[:max(int(_SHARE * len(order)), _FEWEST)]][:, seen]
    whole = (chosen / steps[seen]).round()
    # Of a normal number that is rounded: its deviation before, by that after, and by how often it is not rounded to 0.
    before = np.interp(np.sqrt((whole**2).mean(0)), _rounded_deviation(_RATIOS), _RATIOS, left=0)
    often = (whole != 0).mean(0)
    before = np.minimum(before, np.where(often > 0.85, np.inf, 0.5 / norm.isf(often.clip(1e-6, 0.9) / 2)))
    clear, steps = before > _VISIBLE, steps[seen]
    # Texture is in few coefficients, and falls with frequency; noise is in all alike.
    if clear.sum() >= _CLEAR and spearmanr(_WAVE[seen][clear], (before * steps)[clear])[0] > _FALLING:
        # Where others would show it too, but do not, it is less.
        for share in (0.5, 0.25, 0.1):
            level = np.quantile((before * steps)[clear], share)
            if clear[_VISIBLE * steps < 0.8 * level].mean() > 0.75:
                return float(level), least
    return None, least


def _rounded_deviation(ratios: np.ndarray) -> np.ndarray:
    """Deviation of ``round(n)``, n normal with the deviations given."""
    whole = np.arange(1, 120)[:, None]
    tails = norm.sf((whole - 0.5) / ratios)  # the square of a whole number is the sum of the odd ones below it
    return np.sqrt(2 * ((2 * whole - 1) * tails).sum(0))


def _haar(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``LL`` (h, w, C) and ``LH, HL, HH`` (3, h, w, C), orthonormal."""
    a, b, c, d = planes[::2, ::2], planes[::2, 1::2], planes[1::2, ::2], planes[1::2, 1::2]
    return (a + b + c + d) / 2, np.stack([a + b - c - d, a - b + c - d, a - b - c + d]) / 2


def _halved(plane: np.ndarray) -> np.ndarray:
    return _haar(plane)[0] / 2


def _variances(details: np.ndarray) -> np.ndarray:
    """Of normal details of mean 0, the variances in all patches, by their mean magnitudes: an edge sways them less."""
    return _boxes(np.abs(details)) ** 2 * (np.pi / 2) * _CHOSEN


def _boxes(planes: np.ndarray) -> np.ndarray:
    """Means of all patches."""
    edge = _PATCH // 2
    return cv2.boxFilter(np.ascontiguousarray(planes), -1, (_PATCH, _PATCH))[edge:-edge, edge:-edge]
