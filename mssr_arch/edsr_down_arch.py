"""EDSR turned round: a wide residual network that downsamples at its end."""

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_arch.degradation_base import DegradationNetwork, NoiseInjection, halved, num_halvings
from mssr_arch.keyword_checks import require_choice, require_count, require_non_negative


class ScaledResidualBlock(nn.Module):
    """``h + res_scale * conv(ReLU(conv(h)))``, (N, C, H, W) to the same."""

    def __init__(self, num_feat: int, res_scale: float) -> None:
        super().__init__()
        self.res_scale = res_scale
        self.body = nn.Sequential(
            nn.Conv2d(num_feat, num_feat, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat, num_feat, 3, padding=1),
        )

    def forward(self, h: Tensor) -> Tensor:
        return h.add(self.body(h), alpha=self.res_scale)


@ARCH_REGISTRY.register()
class DegradationEDSR(DegradationNetwork):
    """Probabilistic degradation generator after EDSR (Lim et al., 2017), one of the published alternatives.

    Noise enters after each body member (the blocks and the convolution that ends them), at HR size, and after each
    stride-2 convolution, at its output's size. The output is linear: it may leave [0, 1] a little.

    Args:
        num_in_ch (int): Channels of the HR photo.
        num_out_ch (int): Channels of the LR photo.
        num_feat (int): Channels of the features.
        num_block (int): Residual blocks.
        res_scale (float): Factor of each block's residual.
        scale (int): 1, 2 or 4; H x W becomes ceil(H / scale) x ceil(W / scale).
        noise_std (float): Standard deviation of the injected noise; 0 builds the deterministic ablation.

    Raises:
        UserError: A keyword has an impossible value.
    """

    def __init__(self, num_in_ch: int = 3, num_out_ch: int = 3, num_feat: int = 256, num_block: int = 32,
                 res_scale: float = 0.1, scale: int = 4, noise_std: float = 0.1) -> None:
        super().__init__()
        name = type(self).__name__
        require_choice(name, 'scale', scale, (1, 2, 4))
        require_count(name, num_in_ch=num_in_ch, num_out_ch=num_out_ch, num_feat=num_feat, num_block=num_block)
        require_non_negative(name, res_scale=res_scale, noise_std=noise_std)
        self.scale = scale

        num_noise = num_block + 1 + num_halvings(scale) if noise_std > 0 else 0
        self.noises = nn.ModuleList(NoiseInjection(num_feat, noise_std) for _ in range(num_noise))
        self.head = nn.Sequential(nn.Conv2d(num_in_ch, num_feat, 3, padding=1))
        blocks = [ScaledResidualBlock(num_feat, res_scale) for _ in range(num_block)]
        self.body = nn.ModuleList([*blocks, nn.Conv2d(num_feat, num_feat, 3, padding=1)])
        self.dsple = nn.ModuleList(nn.Conv2d(num_feat, num_feat, 3, stride=2, padding=1)
                                   for _ in range(num_halvings(scale)))
        self.tail = nn.Sequential(nn.Conv2d(num_feat, num_out_ch, 3, padding=1))

    def degrade(self, y: Tensor, z: list[Tensor]) -> Tensor:
        first = h = self.head(y)
        for k, member in enumerate(self.body):
            h = self.inject(k, member(h), z)
        h = h + first
        for k, downsample in enumerate(self.dsple, start=len(self.body)):
            h = self.inject(k, downsample(h), z)
        return self.tail(h)

    def noise_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        if not self.num_noise:
            return []
        sizes = [(height, width)] * len(self.body)
        for _ in self.dsple:
            sizes.append(halved(*sizes[-1]))
        return sizes
