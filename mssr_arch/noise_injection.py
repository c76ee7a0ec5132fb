"""The latent variables of a degradation generator: noise maps between its layers."""

import torch
from torch import Tensor, nn


class NoiseInjection(nn.Module):
    """``h + w * (std * n)``: add one noise map to all channels, each by its own learned weight (Lee et al., 2022).

    ``w`` starts at 0, so that an untrained generator is deterministic, and its draws begin to differ as far as
    the discriminator asks for it. The layer behaves alike in training and evaluation.

    Args:
        num_feat (int): Channels of the features ``h``.
        std (float): Standard deviation of the injected noise before weighting, in units of the features.
    """

    def __init__(self, num_feat: int, std: float = 0.1) -> None:
        super().__init__()
        self.std = std
        self.w = nn.Parameter(torch.zeros(1, num_feat, 1, 1))

    def forward(self, h: Tensor, n: Tensor) -> Tensor:
        """Args: ``h`` (N, C, H, W) features, changed in place; ``n`` (N, 1, H, W) standard normal map. Returns ``h``.

        No layer before an injection needs its output for its backward pass, and new memory costs more than the sum.
        """
        # One fused pass; the casts keep half-precision features in half precision, for w and n are float32.
        return h.addcmul_(self.w.to(h.dtype), (self.std * n).to(h.dtype))

    def extra_repr(self) -> str:
        return f'{self.w.shape[1]}, std={self.std}'
