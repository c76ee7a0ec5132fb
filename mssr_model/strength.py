"""Generated LR between the bicubic LR and what a generator makes of it (``train.lq_strength``)."""

import torch
from torch import Tensor

from mssr_arch.imresize import bicubic_downsample


def weaken(lq: Tensor, y: Tensor, strength: list[float] | None) -> Tensor:
    """``B(y) + a (lq - B(y))``, B the bicubic downsampling, with an ``a`` drawn uniformly for each photo.

    Cameras are not all alike, and a generator of small data errs: SR that has seen its degradation at any strength
    neither sharpens what is sharp nor amplifies what no camera of training did.

    Args:
        lq: drawn LR photos (N, 3, H/s, W/s), RGB.
        y: the HR photos (N, 3, H, W) that they were drawn from.
        strength: least and largest ``a``: 0 is the bicubic LR, 1 is ``lq``; None: ``lq`` as it is.
    """
    if not strength:
        return lq
    least, most = strength
    share = torch.rand(len(lq), 1, 1, 1, device=lq.device) * (most - least) + least
    return torch.lerp(bicubic_downsample(y, y.shape[-1] // lq.shape[-1]), lq, share)
