"""What else was done to a photo: enlarged, sharpened, cut off at black and white, tinted."""

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, median_filter

_PEAK = 6.0  # times its neighbours, from which a frequency stands out
_SOFT = 0.36  # of the factor: blur in pixels that an enlarged photo has at least
_REACH = 9  # pixels of an edge's profile, to either side
_EDGES = 400  # of a photo, the strongest


def enlargement(luma: np.ndarray, width: float) -> float | None:
    """By what factor a photo was enlarged, or None: it was not, or has been blurred, noisy or rounded since.

    The second differences of interpolated pixels are stronger or weaker in a rhythm of the factor (Gallagher, 2005).
    Factors below 2 and above it that have one rhythm are told apart by the blur, which enlarging multiplies. By 2 there
    is no rhythm: both phases lie alike between their neighbours.

    Args:
        luma: (H, W), levels, 64 pixels a side or more.
        width: of the photo's blur, sigma in pixels.
    """
    found = []
    for plane in (luma, luma.T):
        rhythm = np.abs(np.diff(plane.astype(np.float64), 2, axis=1)).mean(0)
        rhythm = np.log(rhythm + 0.05)
        rhythm = (rhythm - median_filter(rhythm, 7, mode='nearest')) * np.hanning(len(rhythm))
        power = np.abs(np.fft.rfft(rhythm, 1024))
        frequencies = np.fft.rfftfreq(1024)
        inner = frequencies > 0.12
        best = np.argmax(power * inner)
        around = inner & (np.abs(frequencies - frequencies[best]) > 4 / len(rhythm))
        if power[best] <= _PEAK * np.median(power[around]):  # also of a photo without any detail, where both are 0
            return None
        found.append(frequencies[best])
    if abs(found[0] - found[1]) > 0.01:
        return None
    rate = float(np.mean(found))
    return 1 / rate if width > _SOFT / rate else 1 / (1 - rate)


def overshoot(luma: np.ndarray) -> float | None:
    """By how much of their height edges overshoot, as sharpening makes them: about 0 without, 0.1 is seen as a halo.

    The median over the strongest edges, each along its gradient: the extremes just beside the edge against the
    plateaus further off.

    Args:
        luma: (H, W), levels.

    Returns:
        None: too few edges.
    """
    luma = luma.astype(np.float32)
    gx, gy = gaussian_filter(luma, 1.0, order=(0, 1)), gaussian_filter(luma, 1.0, order=(1, 0))
    strength = np.hypot(gx, gy)
    inner = np.zeros_like(strength, bool)
    inner[_REACH:-_REACH, _REACH:-_REACH] = True
    peaks = inner & (strength == cv2.dilate(strength, np.ones((5, 5), np.uint8)))
    y, x = np.nonzero(peaks)
    order = np.argsort(-strength[y, x])[:_EDGES]
    y, x = y[order], x[order]
    if len(y) < 20:
        return None
    steps = np.arange(-_REACH, _REACH + 1)
    nx, ny = gx[y, x] / strength[y, x], gy[y, x] / strength[y, x]
    profiles = map_coordinates(luma, [y[:, None] + ny[:, None] * steps, x[:, None] + nx[:, None] * steps], order=1)
    low, high = profiles[:, :4].mean(1), profiles[:, -4:].mean(1)
    height = high - low
    flat = np.maximum(np.ptp(profiles[:, :4], axis=1), np.ptp(profiles[:, -4:], axis=1)) < 0.4 * height
    if flat.sum() < 20:
        return None
    beside = profiles[:, _REACH - 5:_REACH + 6]
    over = (beside.max(1) - high + low - beside.min(1)) / 2 / height.clip(1)
    return float(np.median(over[flat]))


def clipped(photo: np.ndarray) -> tuple[float, float]:
    """Shares of the pixels of which a colour is cut off at 0, and at 255.

    Args:
        photo: (H, W, 3), uint8.
    """
    return float((photo == 0).any(2).mean()), float((photo == 255).any(2).mean())


def colour_cast(photo: np.ndarray) -> tuple[float, float]:
    """Red and blue of the light in octaves of green; 0, 0: neutral.

    The colour of edges is that of the light on average (van de Weijer et al., 2007), here with the sixth power of
    gradients that were blurred by two pixels.

    Args:
        photo: (H, W, 3) RGB, uint8.
    """
    smooth = cv2.GaussianBlur(photo.astype(np.float32), (0, 0), 2.0)
    slopes = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)).astype(np.float64)
    slopes[(photo == 0).any(2) | (photo == 255).any(2)] = 0
    light = np.log2((slopes**6).mean((0, 1)) ** (1 / 6) + 1e-3)
    return float(light[0] - light[1]), float(light[2] - light[1])
