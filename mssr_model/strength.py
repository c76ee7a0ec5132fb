"""Generated LR of less than a generator's full strength (``train.lq_strength``, ``train.lq_noise``)."""

import torch
from torch import Tensor, nn

from mssr_arch.degradation_base import what_is_read
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.strength import at_strength


def draw_lq(G: nn.Module, y: Tensor, scale: int, strength: list[float] | None = None,
            noise: list[float] | None = None) -> Tensor:  # fmt: skip
    """LR photos drawn from a generator, each of a strength of its own.

    Cameras are not all alike, and a generator of small data errs: SR that has seen its degradation at any strength
    neither sharpens what is sharp nor amplifies what no camera of training did.

    Args:
        G: the generator.
        y: HR photos (N, 3, H, W), RGB.
        scale: H / h.
        strength: least and largest share, drawn uniformly for each photo, of what G does beyond bicubic downsampling;
            None: all of it.
        noise: the same of G's noise; None: it belongs to what ``strength`` is about.

    Returns:
        (N, 3, H / scale, W / scale), RGB, neither clamped nor rounded.
    """
    read = what_is_read(G, y, scale)
    if not strength and not noise:
        return G(read)
    z = G.draw_noise(read)
    shares = [_uniform(y, limits) if limits else None for limits in (strength or [1, 1], noise)]
    return at_strength(lambda maps: G(read, maps), z, bicubic_downsample(y, scale), *shares)


def _uniform(y: Tensor, limits: list[float]) -> Tensor:
    least, most = limits
    return torch.rand(len(y), 1, 1, 1, device=y.device) * (most - least) + least
