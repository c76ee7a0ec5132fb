"""The JPEG compression that generated LR goes through, as the real LR photos did."""

from collections import Counter

import torch
from basicsr.utils import get_root_logger

from mssr_arch.jpeg_coding import JPEGCoding
from mssr_data.jpeg_traces import jpeg_quality
from mssr_data.photo_pool import read_photos

PHOTOS, SIDE = 64, 256  # real LR photos that are looked at, and pixels of each


def build_coding(wanted: str | list[int] | None, train_set: dict, device: torch.device) -> JPEGCoding | None:
    """What ``train.lq_jpeg`` asks for, or None: nothing, or the real LR photos have no traces of JPEG.

    Args:
        wanted: ``auto``: a quality of the real LR photos, drawn for each generated one; ``median``: always their
            median; a list of the lowest and the highest quality.
        train_set: the section ``datasets.train``.
        device: of the trained networks.

    Raises:
        UserError: the real LR photos are not there.
    """
    if not wanted:
        return None
    if isinstance(wanted, list):
        qualities = list(range(min(wanted), max(wanted) + 1))
    else:
        qualities = real_qualities(train_set)
        if wanted == 'median':
            qualities = qualities[len(qualities) // 2:][:1]
    return JPEGCoding(qualities).to(device) if qualities else None


def real_qualities(train_set: dict) -> list[int]:
    """The JPEG qualities of the real LR photos in order; none where fewer than half of the photos have traces."""
    photos = read_photos(train_set, 'lq', PHOTOS, SIDE)
    found = [jpeg_quality((photo * 255).round().byte().permute(1, 2, 0).numpy()) for photo in photos]
    qualities = sorted(quality for quality in found if quality is not None)
    traces = f'{len(qualities)} of {len(photos)} real LR photos have traces of JPEG'
    if 2 * len(qualities) < len(photos):
        get_root_logger().info(f'{traces}: generated LR is not compressed.')
        return []
    often = Counter(qualities).most_common(1)[0][0]
    get_root_logger().info(f'{traces}, quality {qualities[0]} to {qualities[-1]}, most often {often}: generated LR is '
                           'compressed likewise.')
    return qualities
