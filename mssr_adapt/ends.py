"""Adaptation by arithmetic: what a network learns on draws is added to others as a difference of weights.

With F, a start that was trained on draws of the learned degradation, and B, the same start trained alike on bicubic
LR of the same crops, ``F - B`` is what the degradation alone teaches: the pull towards blur that any pixel loss has
cancels. A start of fidelity is its own B: a pixel loss on bicubic LR, or on degradations of all kinds, is what it was
trained by.
"""

from torch import Tensor

from mssr_adapt.starts import Start
from mssr_inference.restorer import Restorer

Weights = dict[str, Tensor]


def added(base: Weights, share: float, one: Weights, other: Weights) -> Weights:
    """``base + share * (one - other)``; what is no floating-point number stays."""
    return {name: tensor + share * (one[name] - other[name]) if tensor.is_floating_point() else tensor
            for name, tensor in base.items()}


def make_restorer(start: Start, F: Weights, B: Weights | None, share: float, setting: float) -> Restorer:
    """Both ends of the knob: the starts, each with a share of what the degradation taught.

    These are ``S + share (F - S)`` and ``C + share (F - S)`` of two starts. All that was learned, F itself, sharpens
    more than it restores: on pairs it has less PSNR than S. For a start of perception alone they are F and
    ``C + share (F - B)``; for one of fidelity alone ``S + share (F - S)`` and as far beyond F, ``F + share (F - S)``.

    Args:
        start: the start.
        F: the weights of the start that was trained on draws.
        B: the weights of the same, trained on bicubic LR; None where the start is one of fidelity.
        share: how much of what was learned.
        setting: where the knob stands.
    """
    S, C = start.fidelity, start.perception
    fidelity = F if S is None else added(S, share, F, S)
    perception = added(F if C is None else C, share, F, B if S is None else S)
    return Restorer(start.options, start.scale, fidelity, perception, setting, start.origins)
