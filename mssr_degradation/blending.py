"""Generated LR with less of what a generator does to photos, or of its noise."""

from collections.abc import Callable

from torch import Tensor, lerp


def negated(z: list[Tensor]) -> list[Tensor]:
    """All maps with the other sign."""
    return [-n for n in z]


def at_strength(draw: Callable[[list[Tensor]], Tensor], z: list[Tensor], bicubic: Tensor, strength: float | Tensor,
                noise: float | Tensor | None = None,
                opposite: Callable[[list[Tensor]], list[Tensor]] = negated) -> Tensor:
    """``G(y, z)`` moved to between the bicubic LR ``B(y)`` and itself.

    With m the mean of the draws for z and -z (:func:`mean_of_pair`), ``G(y, z) - m`` is the noise, and ``m - B(y)``
    all else: blur, colour, and texture that is computed from the photo.

    Args:
        draw: from noise maps to LR photos (N, 3, h, w).
        z: noise maps; none: G is deterministic.
        bicubic: bicubic LR of the same photos, (N, 3, h, w).
        strength: 0 is the bicubic LR, 1 what G makes. For each photo: (N, 1, 1, 1).
        noise: share of the noise, likewise; None: it is weakened with all else, by ``strength``.
        opposite: as for :func:`mean_of_pair`.
    """
    x = draw(z)
    if noise is None or not z:
        return lerp(bicubic, x, strength)
    mean = mean_of_pair(x, draw, z, opposite)
    return lerp(bicubic, mean, strength) + noise * (x - mean)


def mean_of_pair(x: Tensor, draw: Callable[[list[Tensor]], Tensor], z: list[Tensor],
                 opposite: Callable[[list[Tensor]], list[Tensor]] = negated) -> Tensor:
    """``(G(y, z) + G(y, -z)) / 2``: noise cancels to first order; a shift of colours or a blur does not.

    Args:
        x: ``draw(z)``.
        draw: from noise maps to LR photos (N, 3, h, w).
        z: noise maps.
        opposite: what stands for ``-z``: :meth:`mssr_arch.degradation_base.DegradationNetwork.opposite`.
    """
    return (x + draw(opposite(z))) / 2
