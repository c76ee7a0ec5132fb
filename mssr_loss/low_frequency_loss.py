"""The colour loss of stage 1: low frequencies of a generated LR image must be those of the clean one."""

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from mssr_arch.frequency_filters import build_filter


@LOSS_REGISTRY.register()
class LowFrequencyLoss(nn.Module):
    """``loss_weight * mean |LL(x) - LL(y)|`` (the paper's colour loss, ``L_col``).

    Only the low band is compared, so that the generator is free to add real noise and blur in the high band, which
    the discriminator judges. Blurs are compared where their kernel lies inside the image, as published.

    Args:
        filter: what takes the low band: ``wavelet`` (Haar LL times 0.5, half the size), ``gaussian`` or ``average``
            (a blur of the same size); None compares whole images.
        loss_weight: weight of the loss.
        kernel_size: side of the Gaussian or average kernel in pixels; the Haar filter has none.

    Raises:
        UserError: another ``filter``, or an even ``kernel_size``.
    """

    def __init__(self, filter: str | None = 'wavelet', loss_weight: float = 1.0, kernel_size: int = 5) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.filter = build_filter(filter, kernel_size=kernel_size)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Compare the low bands of ``x`` and ``y``, both (N, C, H, W) RGB in [0, 1]; returns a scalar.

        Raises:
            UserError: images smaller than the blur's kernel.
        """
        return self.loss_weight * F.l1_loss(self.filter.low(x), self.filter.low(y))
