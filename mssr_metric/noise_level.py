"""How noisy photos are, judged by their flat regions."""

import math

import torch

from mssr_metric.photo_sets import LEVELS, Photos, haar_bands, windows

PATCH = 4  # coefficients a side: eight pixels
_PATCHES = 512  # of each photo
_FLATTEST = 10  # of them
_MARGIN = 1 / 16  # of the range: nearer to black or white in any colour, noise is cut off


def noise_level(photos: Photos) -> float:
    """Standard deviation of the noise in 8-bit levels; about 0 to 1 for clean photos. The median over the photos.

    It is measured on the details of the Haar transform, as by Donoho and Johnstone (1994), but on all three bands, so
    that noise which a camera or JPEG has smoothed is not missed, and in each photo's flattest patches. Flatness is
    judged by the other band, ``LL``, whose noise is independent of theirs: choosing by the details themselves would
    choose small ones. Patches near black or white, where noise is cut off, are looked at last: a blown sky says nothing
    of it. A photo without other flat regions counts as noisier than it is.

    Args:
        photos: (3, H, W), RGB in [0, 1], eight pixels a side or more.

    Raises:
        UserError: a photo is smaller.
    """
    levels = []
    for k, photo in enumerate(photos):
        low, high = haar_bands(photo)
        found = windows(torch.cat([high.flatten(0, 1), low]), PATCH, _PATCHES, seed=k)
        low = found[:, 9:].flatten(2)
        cut_off = ((low.mean(2) / 2 - 0.5).abs() > 0.5 - _MARGIN).any(1)
        flattest = (low.std(2).mean(1) + 2 * cut_off).argsort()[:_FLATTEST]  # nothing in [0, 2] deviates by 2
        # Of normal numbers, the mean magnitude tells the deviation; it is less swayed by an edge than their squares.
        levels.append(found[flattest, :9].flatten(1).abs().mean(1).median())
    return math.sqrt(math.pi / 2) * torch.stack(levels).median().item() * LEVELS
