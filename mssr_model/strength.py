"""Generated LR of less than a generator's full strength (``train.lq_strength``)."""

import torch
from torch import Tensor, nn

from mssr_arch.imresize import bicubic_downsample
from mssr_arch.strength import at_strength


def draw_lq(G: nn.Module, bare: nn.Module, y: Tensor, scale: int, strength: list[float] | None = None) -> Tensor:
    """LR photos drawn from a generator, of a strength that is drawn uniformly for each photo.

    Cameras are not all alike, and a generator of small data errs: SR that has seen its blur at any strength neither
    sharpens what is sharp nor amplifies what no camera of training did. Its noise stays as it was learned.

    Args:
        G: the generator as it is called.
        bare: its network; one that does not downsample (DSGAN) reads the bicubic LR.
        y: HR photos (N, 3, H, W), RGB.
        scale: H / h.
        strength: the least and the largest share, see :func:`mssr_arch.strength.at_strength`; None: what G makes.

    Returns:
        (N, 3, H / scale, W / scale), RGB, neither clamped nor rounded.
    """
    factor = scale // bare.scale
    read = y if factor == 1 else bicubic_downsample(y, factor)
    if not strength:
        return G(read)
    least, most = strength
    z = bare.draw_noise(read)
    share = torch.rand(len(y), 1, 1, 1, device=y.device) * (most - least) + least
    return at_strength(lambda maps: G(read, maps) if maps else G(read), z, bicubic_downsample(y, scale), share)
