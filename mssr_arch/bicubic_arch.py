"""Bicubic downsampling as a degradation: the baseline that most of super-resolution is trained on."""

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_arch.checks import require_count
from mssr_arch.degradation_base import DegradationNetwork
from mssr_arch.imresize import bicubic_downsample


@ARCH_REGISTRY.register()
class BicubicDegradation(DegradationNetwork):
    """MATLAB's antialiased bicubic downsampling, for comparisons: it learns nothing and has neither weights nor noise.

    In ``degradations:`` it needs no ``checkpoint``. Its output is clamped to [0, 1].

    Args:
        scale (int): from 1; H x W becomes ceil(H / scale) x ceil(W / scale).

    Raises:
        UserError: ``scale`` is no integer of at least 1.
    """

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        require_count(type(self).__name__, scale=scale)
        self.scale = scale
        self.noises = nn.ModuleList()

    def degrade(self, y: Tensor, z: list[Tensor]) -> Tensor:
        return bicubic_downsample(y, self.scale)

    def noise_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        return []
