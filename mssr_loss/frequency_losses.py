"""Losses of frequencies: low ones of a generated LR photo as the clean one's, the power of the others as real LR's."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from mssr_arch.frequency_filters import build_filter
from mssr_arch.keyword_checks import require_count
from mssr_compat.errors import UserError

_ROUNDING = 1 / 12 / 255**2  # power of what rounding to 8 bits adds: below, logarithms would tell nothing


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


@LOSS_REGISTRY.register()
class SpectrumLoss(nn.Module):
    """Mean distance between the logarithms of two crops' powers, in rings of frequencies and in each colour.

    Crops of two scenes differ by chance, and least where crops of like contrast meet
    (``datasets.train.content_match``); what remains on average is what blur takes away and noise adds. The distance is
    absolute, so that the median counts, and few odd pairs do not.

    Args:
        loss_weight: weight of the loss.
        bands: rings of equal width from 0 to half a cycle in a pixel. The first, that of contents and colours, does
            not count.

    Raises:
        UserError: fewer than two bands.
    """

    def __init__(self, loss_weight: float = 1.0, bands: int = 6) -> None:
        super().__init__()
        require_count('SpectrumLoss', bands=bands)
        if bands < 2:
            raise UserError(f'SpectrumLoss: bands is {bands}, but must be 2 or more: the first does not count.')
        self.loss_weight, self.bands = loss_weight, bands

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Compare generated with real crops, (N, C, H, W) each, RGB in [0, 1]; returns a scalar. In float32.

        Raises:
            UserError: crops too small for so many bands.
        """
        return self.loss_weight * (self.log_power(x) - self.log_power(target)).abs().mean()

    def log_power(self, x: Tensor) -> Tensor:
        """Logarithm of the power in each ring, (N, C, bands - 1), of crops (N, C, H, W), windowed (Hann)."""
        height, width = x.shape[-2:]
        if min(height, width) < 2 * self.bands:
            raise UserError(f'SpectrumLoss: LR crops of {width}x{height} pixels are too small for bands: {self.bands}, '
                            f'which needs {2 * self.bands} a side; take a larger gt_size or fewer bands.')
        window = torch.hann_window(height, device=x.device)[:, None] * torch.hann_window(width, device=x.device)
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            spectrum = torch.fft.rfft2((x - x.mean((-2, -1), keepdim=True)) * window)
            power = (spectrum.real.square() + spectrum.imag.square()) / window.square().sum() + _ROUNDING
            radius = torch.hypot(torch.fft.fftfreq(height, device=x.device)[:, None],
                                 torch.fft.rfftfreq(width, device=x.device))
            ring = (radius * 2 * self.bands).long()
            rings = torch.stack([ring == k for k in range(1, self.bands)]).float().flatten(1)
            return (power.flatten(2) @ (rings / rings.sum(1, keepdim=True)).T).log()
