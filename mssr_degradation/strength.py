"""Generated LR of less than a generator's full strength (``train.lq_strength``, ``train.lq_noise``)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mssr_arch.degradation_base import what_is_read
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.strength import at_strength


def draw_lq(G: nn.Module, y: Tensor, scale: int, strength: Sequence[float] | None = None,
            noise: Sequence[float] | None = None) -> Tensor:
    """LR photos drawn from a generator, each of a strength of its own.

    Cameras are not all alike, and a generator of small data errs: SR that has seen its degradation at any strength
    neither sharpens what is sharp nor amplifies what no camera of training did.

    Args:
        G: the generator.
        y: HR photos (N, 3, H, W), RGB.
        scale: H / h.
        strength: least and largest share, drawn uniformly for each photo, of what G does beyond bicubic downsampling;
            None: all of it.
        noise: the same of G's noise, or more than two shares, those at evenly spaced quantiles, between which straight
            lines are drawn (:func:`mssr_degradation.noise_match.matched_shares`); None: noise belongs to what
            ``strength`` is about.

    Returns:
        (N, 3, H / scale, W / scale), RGB, neither clamped nor rounded.
    """
    read = what_is_read(G, y, scale)
    if not strength and not noise:
        return G(read)
    z = G.draw_noise(read)
    shares = [_drawn(y, quantiles) if quantiles else None for quantiles in (strength or [1, 1], noise)]
    return at_strength(lambda maps: G(read, maps), z, bicubic_downsample(y, scale), *shares)


def _drawn(y: Tensor, quantiles: Sequence[float]) -> Tensor:
    """For each photo one number, distributed with these ``quantiles``, evenly spaced from 0 to 1; two: uniformly.

    No number is copied to a GPU, which would have to wait for it.
    """
    at = torch.rand(len(y), 1, 1, 1, device=y.device) * (len(quantiles) - 1)
    return quantiles[0] + sum((b - a) * (at - k).clamp(0, 1) for k, (a, b) in enumerate(pairwise(quantiles)))
