"""Metrics of a degradation generator that need no aligned LR photo, in BasicSR's registry.

``img`` is LR that was generated, ``img2`` what it is compared with; each is an image or a list of images, (H, W, 3) BGR
or (H, W) gray in [0, 255]. Where photos of other scenes are compared, one photo against one says little: give lists, or
let stage 1's validation measure whole sets (:mod:`mssr_metric.degradation_figures`), which logs these figures unasked.

All take ``better``, which BasicSR's record of the best iteration reads, not they.
"""

import numpy as np
import torch
from basicsr.utils.registry import METRIC_REGISTRY
from torch.nn.functional import avg_pool2d

from mssr_arch.imresize import bicubic_downsample
from mssr_compat.errors import UserError
from mssr_metric.haar_distance import HaarReference
from mssr_metric.noise_level import noise_level
from mssr_metric.photo_sets import LEVELS, Photos, as_photos
from mssr_metric.spectrum import radial_spectrum, spectrum_gap

BLOCK = 8  # pixels a side over which a colour is averaged

Images = np.ndarray | list[np.ndarray]


@METRIC_REGISTRY.register()
def calculate_haar_distance(img: Images, img2: Images, better: str | None = None) -> float:
    """Distance of fine texture from that of real LR photos of any scenes; 1: as near as they are to each other.

    Range: 0 (the same photos) upwards; lower is better. Sliced Wasserstein distance of Haar-band patches, as
    :class:`~mssr_metric.haar_distance.HaarReference` says.

    Args:
        img: generated LR.
        img2: real LR photos, of any scenes, sizes and number.

    Raises:
        UserError: no image, or one under ten pixels a side (twenty for a single real photo).
    """
    return HaarReference(as_photos(img2, 'img2')).distance(as_photos(img))


@METRIC_REGISTRY.register()
def calculate_spectrum_distance(img: Images, img2: Images, better: str | None = None) -> float:
    """Difference of radial power spectra, in dB (root mean square over frequencies), real LR of any scenes.

    Range: 0 upwards; lower is better; halves of one set of real photos are about 0.5 dB apart. Low frequencies are
    brought to one level, as :func:`~mssr_metric.spectrum.spectrum_gap` says.

    Args:
        img: generated LR.
        img2: real LR photos.

    Raises:
        UserError: no image, or one under 32 pixels a side.
    """
    return spectrum_gap(radial_spectrum(as_photos(img)), radial_spectrum(as_photos(img2, 'img2')))


@METRIC_REGISTRY.register()
def calculate_noise_level(img: Images, img2: Images | None = None, better: str | None = None) -> float:
    """Deviation of the noise on flat regions, in 8-bit levels; neither high nor low is good: compare with real LR's.

    Range: 0 upwards. See :func:`~mssr_metric.noise_level.noise_level`. ``img2`` is not looked at.

    Raises:
        UserError: no image, or one under eight pixels a side.
    """
    return noise_level(as_photos(img))


@METRIC_REGISTRY.register()
def calculate_noise_distance(img: Images, img2: Images, better: str | None = None) -> float:
    """Difference of the noise levels of generated and real LR, in 8-bit levels.

    Range: 0 upwards; lower is better. Arguments and errors as for ``calculate_noise_level``.
    """
    return abs(noise_level(as_photos(img)) - noise_level(as_photos(img2, 'img2')))


@METRIC_REGISTRY.register()
def calculate_color_shift(img: Images, img2: Images, better: str | None = None) -> float:
    """Distance of the mean colours, in 8-bit levels (Euclidean over R, G, B).

    Range: 0 to 442; lower is better where the colours should stay. Measured against bicubic LR of the same HR photos
    it says how far the generator shifts colours; against real LR of other scenes, the scenes enter.

    Raises:
        UserError: no image.
    """
    return color_shift(as_photos(img), as_photos(img2, 'img2'))


@METRIC_REGISTRY.register()
def calculate_color_drift(img: Images, img2: Images, better: str | None = None) -> float:
    """Distance of local colours, means over 8 x 8 pixels, in 8-bit levels (Euclidean over R, G, B).

    Range: 0 to 442; lower is better. It also sees what leaves the mean colour of a photo alone: colours that fade, or
    that turn green in the dark and red in the light.

    Args:
        img: generated LR.
        img2: bicubic LR of the same HR photos, of the same size; eight pixels a side or more.

    Raises:
        UserError: the numbers or sizes do not fit.
    """
    photos, others = as_photos(img), as_photos(img2, 'img2')
    shapes = [[photo.shape for photo in some] for some in (photos, others)]
    if shapes[0] != shapes[1] or min(min(shape[1:]) for shape in shapes[0]) < BLOCK:
        raise UserError('the colour drift compares LR photos with aligned ones of the same size, at least '
                        f'{BLOCK} pixels a side')
    return color_drift(photos, others)


@METRIC_REGISTRY.register()
def calculate_bicubic_distance(img: Images, img2: Images, better: str | None = None) -> float:
    """Mean absolute difference of generated LR from the bicubic LR of its HR photo, in 8-bit levels.

    Range: 0 to 255; near 0 the generator is a bicubic downsampler. Neither high nor low is good by itself.

    Args:
        img: generated LR.
        img2: the HR photo of each, larger by an integer factor from 2.

    Raises:
        UserError: the numbers or sizes do not fit.
    """
    small, large = as_photos(img), as_photos(img2, 'img2')
    if len(small) != len(large):
        raise UserError(f'the distance to bicubic compares {len(small)} LR photos with {len(large)} HR photos: it '
                        'needs the HR photo of each')
    bicubic = []
    for lq, gt in zip(small, large, strict=True):
        scale = round(gt.shape[1] / lq.shape[1])
        if scale < 2 or any(-(-gt.shape[d] // scale) != lq.shape[d] for d in (1, 2)):
            raise UserError('the distance to bicubic compares an LR photo with its HR photo, but they are '
                            f'{lq.shape[2]}x{lq.shape[1]} and {gt.shape[2]}x{gt.shape[1]}: img2 must be larger by an '
                            'integer factor')
        bicubic.append(bicubic_downsample(gt[None], scale)[0])
    return mean_difference(small, bicubic)


@METRIC_REGISTRY.register()
def calculate_diversity(img: list[np.ndarray], img2: Images | None = None, better: str | None = None) -> float:
    """How much draws for one HR photo differ: the deviation of a pixel between them, in 8-bit levels.

    Range: 0 (a deterministic or collapsed generator) upwards; about the noise level where the generator is sound.
    ``img2`` is not looked at.

    Args:
        img: two or more draws for the same HR photo.

    Raises:
        UserError: fewer than two draws, or of different sizes.
    """
    draws = as_photos(img)
    if len(draws) < 2 or any(draw.shape != draws[0].shape for draw in draws):
        raise UserError('diversity needs two or more draws for one HR photo, all of one size')
    return diversity(torch.stack(draws))


def color_shift(photos: Photos, others: Photos) -> float:
    """Euclidean distance of the mean colours of two sets, in 8-bit levels; each photo counts the same."""
    mean = [torch.stack([photo.mean((1, 2)) for photo in some]).mean(0) for some in (photos, others)]
    return (mean[0] - mean[1]).norm().item() * LEVELS


def color_drift(photos: Photos, others: Photos) -> float:
    """Mean Euclidean distance of the colours of aligned blocks of 8 x 8 pixels, in 8-bit levels."""
    distances = [avg_pool2d(a - b, BLOCK).norm(dim=0).mean() for a, b in zip(photos, others, strict=True)]
    return torch.stack(distances).mean().item() * LEVELS


def mean_difference(photos: Photos, others: Photos) -> float:
    """Mean absolute difference of aligned photos, in 8-bit levels."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(photos, others, strict=True)]).mean().item() * LEVELS


def diversity(draws: torch.Tensor) -> float:
    """Deviation between draws (D, 3, H, W) of each value, root mean square over all, in 8-bit levels."""
    return draws.var(0).mean().sqrt().item() * LEVELS
