"""What is checked of an unpaired data set before the first iteration."""

import contextlib
import os
from os import path as osp

import numpy as np

from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError

# Reading every header of a very large folder would take minutes on a network disk; LMDBs and meta-info files state the
# sizes, so that all of theirs are checked.
MAX_HEADERS = 5000

# LR photos may be as large as the HR ones (AIM2019's and NTIRE2020's are): only a clear margin means swapped roles.
SWAPPED = 1.25

_ROLES = {'gt': 'clean HR photos', 'lq': 'real LR photos'}


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def check_options(opt: dict) -> None:
    """Refuse options that the dataset cannot work with.

    Raises:
        UserError: names the YAML key and what would be right.
    """
    if opt.get('phase', 'train') != 'train':
        raise UserError(f"datasets.{opt['phase']}.type: UnpairedImageDataset is for training; validation uses "
                        "BasicSR's PairedImageDataset, or SingleImageDataset where there is no ground truth.")
    for role, photos in _ROLES.items():
        if not opt.get(f'dataroot_{role}'):
            raise UserError(f'datasets.train.dataroot_{role} is missing; set it to the folder or LMDB of {photos}.')
    for key in ('gt_size', 'scale', 'crops_per_image', 'content_match'):
        value = opt.get(key, 1 if key in ('crops_per_image', 'content_match') else None)
        if not _is_whole(value):
            name = key if key == 'scale' else f'datasets.train.{key}'
            raise UserError(f'{name} is {value!r}; it must be a whole number from 1 up.')
    if opt['gt_size'] % opt['scale']:
        near = opt['gt_size'] // opt['scale'] * opt['scale'] or opt['scale']
        raise UserError(f"datasets.train.gt_size is {opt['gt_size']}, which scale {opt['scale']} does not divide; "
                        f'{near} would do.')
    for key in ('use_hflip', 'use_rot', 'paired_augment', 'allow_larger_lq', 'cache_data'):
        if not isinstance(opt.get(key, False), bool):
            raise UserError(f'datasets.train.{key} is {opt[key]!r}; it must be true or false.')
    if opt.get('on_corrupt', 'stop') not in ('stop', 'skip'):
        raise UserError(f"datasets.train.on_corrupt is {opt['on_corrupt']!r}; it must be stop or skip.")
    if osp.realpath(opt['dataroot_gt']) == osp.realpath(opt['dataroot_lq']):
        raise UserError(f"datasets.train.dataroot_gt and dataroot_lq are both '{opt['dataroot_gt']}'; the one holds "
                        'clean HR photos, the other real LR photos of other scenes.')


def check_sizes(dataset) -> None:
    """Refuse images without a readable header or smaller than their crop, and roles that look swapped.

    Args:
        dataset: an :class:`~mssr_data.unpaired_image_dataset.UnpairedImageDataset`.

    Raises:
        UserError: names the image, the YAML key and the remedy.
    """
    sides = {role: _shorter_sides(dataset, role) for role in _ROLES}
    medians = {role: np.median(list(values.values())) for role, values in sides.items() if values}
    if len(medians) == 2 and medians['lq'] > SWAPPED * medians['gt'] and not dataset.opt.get('allow_larger_lq', False):
        raise UserError(f"datasets.train.dataroot_lq ('{dataset.lq.root}') holds larger photos than dataroot_gt "
                        f"('{dataset.gt.root}'), median shorter side {medians['lq']:.0f} against {medians['gt']:.0f} "
                        'px: swap them, or set datasets.train.allow_larger_lq to true if that is meant.')
    for role, crop, rule in (('gt', dataset.gt_size, 'gt_size'), ('lq', dataset.lq_size, 'gt_size / scale')):
        small = [index for index, side in sides[role].items() if side < crop]
        for index in small:
            others = f' (as are {len(small) - 1} others)' if len(small) > 1 else ''
            dataset.refuse(role, index, f"'{getattr(dataset, role).path(index)}' has a side of {sides[role][index]} "
                                        f'px, too small for the {crop} px crop of {rule}{others}')


def check_cache(dataset) -> None:
    """Refuse to keep photos in memory where they would fill more than half of it.

    Raises:
        UserError: says how much it would take, and what there is.
    """
    if not dataset.opt.get('cache_data', False) or not hasattr(os, 'sysconf'):  # Windows does not tell this way
        return
    copies = max(dataset.opt.get('num_worker_per_gpu') or 0, 1)
    needed = copies * sum(_decoded_bytes(getattr(dataset, role)) for role in _ROLES)
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    if needed > memory / 2:
        each = f' in {copies} workers' if copies > 1 else ''
        raise UserError(f'datasets.train.cache_data is true, but the photos take about {needed / 2**30:.1f} GiB{each}, '
                        f'and the machine has {memory / 2**30:.1f} GiB: set it to false.')


def _decoded_bytes(source) -> float:
    """Bytes of all photos as 8-bit RGB, from some of their headers."""
    some = range(0, len(source), -(-len(source) // MAX_HEADERS))
    sizes = []
    for index in some:
        with contextlib.suppress(CorruptImageError):
            height, width = source.size(index)
            sizes.append(3 * height * width)
    return float(np.mean(sizes)) * len(source) if sizes else 0.0


def _shorter_sides(dataset, role: str) -> dict[int, int]:
    """Shorter side in pixels by image number, without those that cannot be read."""
    source = getattr(dataset, role)
    step = -(-len(source) // MAX_HEADERS)
    sides = {}
    for index, image in enumerate(source.images):
        if image.size is not None or index % step == 0:
            try:
                sides[index] = min(source.size(index))
            except CorruptImageError as error:
                dataset.refuse(role, index, str(error))
    return sides
