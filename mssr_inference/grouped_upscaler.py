"""Photos of several cameras: an ensemble of which each branch is for one group of photos."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mssr_compat.errors import UserError
from mssr_inference.picture_files import Picture
from mssr_inference.upscaler import BY_MEMORY, Tiling, Upscaler


class GroupedUpscaler:
    """Upscales each photo with the branch of its group alone, or with the mean of all where its group is not known.

    It takes the place of an :class:`Upscaler` in :func:`mssr_inference.upscale_files.upscale_file`. What a group is, it
    is told: measuring photos is not this room's.

    Args:
        mean: the ensemble; the branches compute as it does, with its weights.
        count: number of groups.
        group_of: the group (from 0) of a photo (H, W, 3) RGB uint8, or None.

    Raises:
        UserError: there are not as many branches as groups.
    """

    def __init__(self, mean: Upscaler, count: int, group_of: Callable[[np.ndarray], int | None]):
        options, net = mean.loaded.options, mean.loaded.net
        if len(net.branches) != count:
            raise UserError(f'{mean.loaded.path} has {_number(len(net.branches), "branch", "branches")}, but there are '
                            f'{_number(count, "group", "groups")} of photos: each group needs a branch of its own, in '
                            'the same order.')
        self.mean, self.scale, self.group_of = mean, mean.scale, group_of
        self.branches = [replace(mean, loaded=replace(mean.loaded, net=net.alone(k), options={
            **options, 'branches': options['branches'][k:k + 1]})) for k in range(count)]
        self.num_unknown = 0  #: photos so far that the mean of all branches upscaled

    def upscaled(self, picture: Picture, tiling: Tiling = BY_MEMORY, dtype: type = np.uint8,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> np.ndarray:
        """As :meth:`Upscaler.upscaled`."""
        group = self.group_of(picture.rgb8())
        result = (self.mean if group is None else self.branches[group]).upscaled(picture, tiling, dtype, progress)
        self.num_unknown += group is None
        return result


def _number(count: int, one: str, more: str) -> str:
    return f'{count} {one if count == 1 else more}'
