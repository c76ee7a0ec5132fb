"""Some photos of a training set, always the same ones, to measure a generator on."""

import numpy as np
import torch
from torch import Tensor

from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError, to_rgb8
from mssr_data.image_source import ImageSource


def read_photos(options: dict, role: str, count: int, side: int, smallest: int = 1, multiple: int = 1,
                option: str | None = None, meta_option: str | None = None) -> list[Tensor]:
    """Photos spread evenly over a training set, cut to their middle.

    Args:
        options: the section ``datasets.train``, of which it reads ``dataroot_<role>``, ``meta_info_<role>`` and
            ``io_backend``.
        role: ``gt`` (clean HR) or ``lq`` (real LR).
        count: how many photos, if there are so many.
        side: pixels a side to cut out, less where a photo has less.
        smallest: photos with less on a side are left out, as are those that cannot be decoded.
        multiple: height and width are cut to multiples of it.
        option: what messages call the folder; None: its YAML key.
        meta_option: what they call the list; None: likewise.

    Returns:
        (3, H, W) RGB in [0, 1], 8-bit values.

    Raises:
        UserError: the folder or LMDB is not there, or holds no such photo.
    """
    option = option or f'datasets.train.dataroot_{role}'
    if not options.get(f'dataroot_{role}'):
        raise UserError(f'{option} is missing: the photos to measure on')
    source = ImageSource(options[f'dataroot_{role}'], option, options.get('io_backend') or {'type': 'disk'},
                         options.get(f'meta_info_{role}'), meta_option or f'datasets.train.meta_info_{role}')
    photos = []
    for index in np.unique(np.linspace(0, len(source) - 1, count).round().astype(int)):
        try:
            image = source.read(int(index))
        except CorruptImageError:
            continue  # training names it, where it meets it
        height, width = (min(length, side) // multiple * multiple for length in image.shape[:2])
        if min(height, width) < smallest:
            continue
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        image = to_rgb8(image[top:top + height, left:left + width])
        photos.append(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255)
    if not photos:
        raise UserError(f"{option}: '{source.root}' has no photo of {smallest} pixels a side among {len(source)}")
    return photos
