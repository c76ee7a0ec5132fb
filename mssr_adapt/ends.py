"""Adaptation by arithmetic: what a network learns on draws is added to others as a difference of weights.

With F, a start that was trained on draws of the learned degradation, and B, the same start trained alike on bicubic
LR of the same crops, ``F - B`` is what the degradation alone teaches: the pull towards blur that any pixel loss has
cancels. A start of fidelity is its own B, since bicubic LR is what it was trained on.
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
    """Both ends of the knob, with a share of what the degradation taught.

    ================================ ========================== ===================================
    start                            fidelity end               perception end
    ================================ ========================== ===================================
    a fidelity and a perception one  ``S + share (F - S)``      ``C + share (F - S)``
    a perception one alone           ``F``                      ``C + share (F - B)``
    a fidelity one alone             ``S + share (F - S) / 2``  ``S + share (F - S)``
    ================================ ========================== ===================================

    Args:
        start: the start: S of fidelity, C of perception.
        F: the weights of the start that was trained on draws.
        B: the weights of the same, trained on bicubic LR; None where the start is one of fidelity.
        share: how much of what was learned.
        setting: where the knob stands.
    """
    S, C = start.fidelity, start.perception
    if S is not None:
        fidelity = added(S, share if C is not None else share / 2, F, S)
        perception = added(S if C is None else C, share, F, S)
    else:
        fidelity, perception = F, added(C, share, F, B)
    return Restorer(start.options, start.scale, fidelity, perception, setting, start.origins)
