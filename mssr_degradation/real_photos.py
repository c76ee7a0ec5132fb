"""What the real LR photos say of a degradation: their JPEG (``train.lq_jpeg``) and noise (``train.lq_noise: auto``)."""

from collections import Counter

import numpy as np
import torch
from basicsr.utils import get_root_logger

from mssr_arch.jpeg_coding import JPEGCoding
from mssr_data.jpeg_traces import jpeg_quality
from mssr_data.photo_pool import read_photos
from mssr_degradation.learned_degradation import LearnedDegradation
from mssr_metric.haar_distance import SMALLEST
from mssr_metric.noise_level import noise_level
from mssr_metric.photo_sets import Photos, as_8bit, as_pixels

JPEG_PHOTOS, JPEG_SIDE = 64, 256  # real LR photos whose JPEG is looked at, and pixels of each
NOISE_PHOTOS, NOISE_SIDE = 96, 96  # of either kind whose noise is looked at, and LR pixels of each
SHARES = (0, 0.25, 0.5, 0.75, 1)  # between which a straight line will do
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the photos' noise levels; beyond are photos without any flat region
TELLING = 1.25  # times as much, at least, has to be measured with all of the noise as without


def build_coding(wanted: str | list[int] | None, train_set: dict, device: torch.device,
                 meta_option: str | None = None) -> JPEGCoding | None:
    """What ``train.lq_jpeg`` asks for, or None: nothing, or the real LR photos have no traces of JPEG.

    Args:
        wanted: ``auto``: a quality of the real LR photos, drawn for each generated one; ``median``: always their
            median; a list of the lowest and the highest quality.
        train_set: the section ``datasets.train``.
        device: of the trained networks.
        meta_option: YAML key of ``train_set``'s list of LR photos, for messages; None: that of ``datasets.train``.

    Raises:
        UserError: the real LR photos are not there.
    """
    if not wanted:
        return None
    if isinstance(wanted, list):
        qualities = list(range(min(wanted), max(wanted) + 1))
    else:
        qualities = real_qualities(train_set, meta_option)
        if wanted == 'median':
            qualities = qualities[len(qualities) // 2:][:1]
    return JPEGCoding(qualities).to(device) if qualities else None


def real_qualities(train_set: dict, meta_option: str | None = None) -> list[int]:
    """The JPEG qualities of the real LR photos in order; none where fewer than half of the photos have traces."""
    photos = read_photos(train_set, 'lq', JPEG_PHOTOS, JPEG_SIDE, meta_option=meta_option)
    found = [jpeg_quality(as_pixels(photo)) for photo in photos]
    qualities = sorted(quality for quality in found if quality is not None)
    of = f'{meta_option}: ' if meta_option else ''
    traces = f'{of}{len(qualities)} of {len(photos)} real LR photos have traces of JPEG'
    if 2 * len(qualities) < len(photos):
        get_root_logger().info(f'{traces}: generated LR is not compressed.')
        return []
    often = Counter(qualities).most_common(1)[0][0]
    get_root_logger().info(f'{traces}, quality {qualities[0]} to {qualities[-1]}, most often {often}: generated LR is '
                           'compressed likewise.')
    return qualities


def read_hr(options: dict, scale: int, option: str | None = None) -> Photos:
    """Clean HR photos for :func:`matched_shares`, of all that ``dataroot_gt`` of a data set has; see
    :func:`mssr_data.photo_pool.read_photos`."""
    return read_photos(options, 'gt', NOISE_PHOTOS, NOISE_SIDE * scale, SMALLEST * scale, scale, option)


def read_real(options: dict, option: str | None = None, meta_option: str | None = None) -> Photos:
    """Real LR photos likewise, of ``dataroot_lq``."""
    return read_photos(options, 'lq', NOISE_PHOTOS, NOISE_SIDE, SMALLEST, option=option, meta_option=meta_option)


@torch.no_grad()
def matched_shares(degradation: LearnedDegradation, hr: Photos, real: Photos) -> list[float] | None:
    """Shares of a generator's noise with which its LR photos are as noisy as the real ones.

    A discriminator compares crops of other scenes, which are less flat or flatter, and noise makes up for the
    difference. The noise on the flattest regions of a photo (:func:`mssr_metric.noise_level.noise_level`) can be
    compared between any two sets of photos. For each of some quantiles of the levels, the share is that at which the
    generated photos, after JPEG and rounding, have the quantile of the real ones; never more than the whole noise. A
    quantile of photos so full of texture that noise hardly changes it tells nothing: its neighbours decide.

    The noise is drawn from a generator of its own with a fixed seed: the shares are the same each time, and training's
    random numbers are not touched.

    Args:
        degradation: on any device. Of its strength, the mean of least and largest counts; what it says of noise does
            not.
        hr: from :func:`read_hr`.
        real: from :func:`read_real`; of the size that the HR photos will have.

    Returns:
        Shares at quantiles from the least noisy photos to the noisiest, ascending from 0 to 1 at most; None: the
        generator has no noise.
    """
    if not degradation.generator.num_noise:
        return None
    device, random = degradation.device, torch.Generator().manual_seed(0)
    wanted = np.quantile([noise_level([x]) for x in real], QUANTILES)
    strength, every_share = sum(degradation.strength or (1, 1)) / 2, torch.tensor(SHARES, device=device)
    levels = []
    for y in hr:
        y = y[None].to(device)
        drawn = degradation.degrade(y, degradation.draw_noise(y, random), strength, every_share.view(-1, 1, 1, 1))
        drawn = [as_8bit(degradation.as_file(x, random)[0].cpu()) for x in drawn.split(1)]
        levels.append([noise_level([x]) for x in drawn])
    generated = np.maximum.accumulate(np.quantile(levels, QUANTILES, axis=0), axis=1)
    telling = np.flatnonzero(generated[:, -1] >= TELLING * generated[:, 0])
    shares = [np.interp(wanted[k], generated[k], SHARES) for k in telling]
    if shares:
        shares = np.maximum.accumulate(np.interp(range(len(QUANTILES)), telling, shares)).tolist()
    else:  # noise that hardly matters stays as it is
        shares = [1.0] * len(QUANTILES)
    get_root_logger().info(
        f'{type(degradation.generator).__name__}, noise on flat regions from quiet photos to noisy ones: real LR '
        f'{_listed(wanted)} levels, generated LR {_listed(generated[:, -1])}; shares of the noise that are drawn: '
        f'{_listed(shares, 2)}')
    return shares


def _listed(values, digits=1):
    return ', '.join(f'{value:.{digits}f}' for value in values)
