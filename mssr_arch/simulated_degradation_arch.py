"""A degradation that nobody learned: blur and noise of random strength, for networks that are to bear both."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor

from mssr_arch.degradation_base import BicubicDegradation
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.errors import UserError

_NORMAL = torch.distributions.Normal(0, 1)


@ARCH_REGISTRY.register()
class SimulatedDegradation(BicubicDegradation):
    """Gaussian blur, bicubic downsampling, white noise; how much of each is drawn for each photo, uniformly.

    Without noise maps it blurs by the mean and adds nothing. It has no weights; in ``degradations:`` it needs no
    ``checkpoint``. Its output is clamped to [0, 1].

    Args:
        scale (int): from 1; H x W becomes ceil(H / scale) x ceil(W / scale).
        blur: least and largest standard deviation, in HR pixels, 0 to 8.
        noise: least and largest standard deviation, in 8-bit levels, 0 to 255.

    Raises:
        UserError: ``scale`` is no integer of at least 1, or a range is none.
    """

    def __init__(self, scale: int = 4, blur: Sequence[float] = (0, 2), noise: Sequence[float] = (0, 10)) -> None:
        super().__init__(scale)
        for name, values, most in (('blur', blur, 8), ('noise', noise, 255)):
            if not (len(values) == 2 and 0 <= values[0] <= values[1] <= most):
                raise UserError(f'SimulatedDegradation: {name} is {list(values)}, but must be two numbers from 0 to '
                                f'{most}, the least first.')
        self.blur, self.noise = tuple(blur), tuple(noise)

    @property
    def num_noise(self) -> int:
        """Strength of the blur, of the noise, and the noise of each colour."""
        return 5

    def noise_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        return [(1, 1)] * 2 + [(-(-height // self.scale), -(-width // self.scale))] * 3

    def degrade(self, y: Tensor, z: list[Tensor]) -> Tensor:
        blur, noise = (low + (high - low) * (_NORMAL.cdf(z[k]) if z else torch.full_like(y[:, :1, :1, :1], 0.5))
                       for k, (low, high) in enumerate((self.blur, self.noise)))
        x = bicubic_downsample(_blurred(y, blur.clamp(min=1e-3)), self.scale)
        return (x + noise / 255 * torch.cat(z[2:], 1) if z else x).clamp(0, 1)


def _blurred(y: Tensor, sigma: Tensor) -> Tensor:
    """Blur each photo of (N, C, H, W) by its own ``sigma`` (N, 1, 1, 1), in pixels; borders count as they are."""
    number, colours, *_ = y.shape
    reach = int(3 * sigma.max()) + 1
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=y.device) / sigma) ** 2)  # (N, 1, 1, taps)
    taps = (taps / taps.sum(-1, keepdim=True)).repeat_interleave(colours, 0).to(y.dtype)
    flat = F.pad(y, (reach,) * 4, mode='replicate').flatten(0, 1)[None]
    flat = F.conv2d(F.conv2d(flat, taps, groups=number * colours), taps.transpose(2, 3), groups=number * colours)
    return flat.view_as(y)
