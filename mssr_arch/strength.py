"""Generated LR with less of what a generator does to photos, and all of its noise."""

from collections.abc import Callable

import torch
from torch import Tensor


def at_strength(draw: Callable[[list[Tensor]], Tensor], z: list[Tensor], bicubic: Tensor,
                share: float | Tensor) -> Tensor:  # fmt: skip
    """``G(y, z)``, in whose mean over ``z`` and ``-z`` the photo has undergone the share ``share`` of what G does.

    ``m + (G(y, z) - m)`` with ``m = (G(y, z) + G(y, -z)) / 2``: in the mean m, noise cancels to first order, and blur,
    colour, and texture that is computed from the photo remain. Only m moves, towards the bicubic LR.

    Args:
        draw: from noise maps to LR photos (N, 3, h, w).
        z: noise maps; none: G is deterministic.
        bicubic: bicubic LR of the same photos, (N, 3, h, w).
        share: 0: the bicubic LR and G's noise; 1: what G makes. For each photo: (N, 1, 1, 1).
    """
    x = draw(z)
    if not z:
        return torch.lerp(bicubic, x, share)
    mean = (x + draw([-n for n in z])) / 2
    return x + (1 - share) * (bicubic - mean)
