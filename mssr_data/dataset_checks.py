"""What is checked of a training set before the first iteration."""

import contextlib
import os

import numpy as np

from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError

# Reading every header of a very large folder would take minutes on a network disk; LMDBs and meta-info files state the
# sizes, so that all of theirs are checked.
MAX_HEADERS = 5000

# LR photos may be as large as the HR ones (AIM2019's and NTIRE2020's are): only a clear margin means swapped roles.
SWAPPED = 1.25


def check_sizes(dataset) -> None:
    """Refuse images without a readable header or smaller than their crop, and roles that look swapped.

    Args:
        dataset: a :class:`~mssr_data.datasets.CleanImageDataset`, or one with LR photos, too.

    Raises:
        UserError: names the image, the YAML key and the remedy.
    """
    sides = {role: _shorter_sides(dataset, role) for role in dataset.roles}
    medians = {role: np.median(list(values.values())) for role, values in sides.items() if values}
    if medians.get('lq', 0) > SWAPPED * medians.get('gt', np.inf) and not dataset.opt.get('allow_larger_lq', False):
        gt, lq = (f"dataroot_{role} ('{dataset.sources[role].root}')" for role in ('gt', 'lq'))
        raise UserError(f"datasets.train.{lq} holds larger photos than {gt}, median shorter side {medians['lq']:.0f} "
                        f"against {medians['gt']:.0f} px: swap them, or set datasets.train.allow_larger_lq to true if "
                        'that is meant.')
    for role, found in sides.items():
        crop, rule = dataset.sides[role], 'gt_size' if role == 'gt' else 'gt_size / scale'
        small = [index for index, side in found.items() if side < crop]
        for index in small:
            others = f' (as are {len(small) - 1} others)' if len(small) > 1 else ''
            dataset.refuse(role, index, f"'{dataset.sources[role].path(index)}' has a side of {found[index]} px, too "
                                        f'small for the {crop} px crop of {rule}{others}')


def check_cache(dataset) -> None:
    """Refuse to keep photos in memory where they would fill more than half of it.

    Raises:
        UserError: says how much it would take, and what there is.
    """
    if not dataset.opt.get('cache_data', False) or not hasattr(os, 'sysconf'):  # Windows does not tell this way
        return
    copies = max(dataset.opt.get('num_worker_per_gpu') or 0, 1)
    needed = copies * sum(map(_decoded_bytes, dataset.sources.values()))
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
    source = dataset.sources[role]
    step = -(-len(source) // MAX_HEADERS)
    sides = {}
    for index, image in enumerate(source.images):
        if image.size is not None or index % step == 0:
            try:
                sides[index] = min(source.size(index))
            except CorruptImageError as error:
                dataset.refuse(role, index, str(error))
    return sides
