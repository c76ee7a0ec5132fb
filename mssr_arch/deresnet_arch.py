"""DeResnet, the small degradation generator, most of whose layers work at HR size; and DSGAN, its deterministic kin."""

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mssr_arch.degradation_base import DegradationNetwork, NoiseInjection, num_halvings
from mssr_arch.keyword_checks import require_choice, require_count, require_non_negative


class PReLU(nn.PReLU):
    """``max(x, 0) + a * min(x, 0)`` with one learned ``a``; weights, names and results are those of ``nn.PReLU``.

    On CPUs PyTorch's backward pass goes through the features number by number, and takes as long as a 3 x 3
    convolution of 64 channels. Here it is two vectorised passes: the same gradients, but for the order in which that
    of ``a`` is summed.
    """

    def __init__(self, init: float = 0.25) -> None:
        super().__init__(1, init)

    def forward(self, x: Tensor) -> Tensor:
        plain = x.device.type != 'cpu' or x.dtype != self.weight.dtype or torch.compiler.is_compiling()
        if plain or not torch.is_grad_enabled():
            return super().forward(x)
        return _VectorisedPReLU.apply(x, self.weight)


class _VectorisedPReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, slope):
        ctx.save_for_backward(x, slope)
        return nn.functional.leaky_relu(x, slope.item())

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, slope = ctx.saved_tensors
        of_x = torch.ops.aten.leaky_relu_backward(gradient, x, slope.item(), False) if ctx.needs_input_grad[0] else None
        of_slope = (gradient * x.clamp(max=0)).sum().reshape(1) if ctx.needs_input_grad[1] else None
        return of_x, of_slope


class ResidualBlock(nn.Module):
    """``h + conv(PReLU(conv(h)))``, (N, C, H, W) to the same."""

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.prelu = PReLU()
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv2(self.prelu(self.conv1(h))).add_(h)  # in place: no backward pass needs conv2's output


@ARCH_REGISTRY.register()
class DeResnet(DegradationNetwork):
    """Probabilistic degradation generator with residual blocks at HR size (Lee et al., 2022; body as in DSGAN).

    Noise enters before each residual block, at HR size. The output is squashed by a sigmoid, hence in (0, 1).
    With scale 1 the network reads the bicubic LR and works at LR size, at a sixteenth of the cost.

    Args:
        num_in_ch (int): Channels of the HR photo.
        num_out_ch (int): Channels of the LR photo.
        num_feat (int): Channels of the features.
        num_block (int): Residual blocks, each with one injection.
        scale (int): 1, 2 or 4; H x W becomes ceil(H / scale) x ceil(W / scale).
        noise_std (float): Standard deviation of the injected noise; 0 builds the deterministic ablation, which has
            no injections and no weights for them.
        skip (bool): Add the output, without sigmoid, to the bicubic LR: training begins at bicubic downsampling, and
            the network learns only what a camera does beyond it. Not published; for small budgets.

    Raises:
        UserError: A keyword has an impossible value.
    """

    def __init__(self, num_in_ch: int = 3, num_out_ch: int = 3, num_feat: int = 64, num_block: int = 8, scale: int = 4,
                 noise_std: float = 0.1, skip: bool = False) -> None:
        super().__init__()
        name = type(self).__name__
        require_choice(name, 'scale', scale, (1, 2, 4))
        require_count(name, num_in_ch=num_in_ch, num_out_ch=num_out_ch, num_feat=num_feat, num_block=num_block)
        require_choice(name, 'skip', skip, (False, True))
        require_non_negative(name, noise_std=noise_std)
        self.scale = scale

        self.block_input = nn.Sequential(nn.Conv2d(num_in_ch, num_feat, 3, padding=1), PReLU())
        self.res_blocks = nn.ModuleList(ResidualBlock(num_feat) for _ in range(num_block))
        num_noise = num_block if noise_std > 0 else 0
        self.noises = nn.ModuleList(NoiseInjection(num_feat, noise_std) for _ in range(num_noise))
        down_sample = []
        for _ in range(num_halvings(scale)):
            down_sample += [nn.Conv2d(num_feat, num_feat, 3, stride=2, padding=1), PReLU()]
        self.down_sample = nn.Sequential(*down_sample)
        self.block_output = nn.Conv2d(num_feat, num_out_ch, 3, padding=1)
        if skip:
            self.begin_at_bicubic(self.block_output)

    def degrade(self, y: Tensor, z: list[Tensor]) -> Tensor:
        h = self.block_input(y)
        for k, block in enumerate(self.res_blocks):
            h = block(self.inject(k, h, z))
        x = self.block_output(self.down_sample(h))
        return x if self.skip else x.sigmoid()

    def noise_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        return [(height, width)] * self.num_noise


@ARCH_REGISTRY.register()
class DSGAN(DeResnet):
    """Adds a camera's degradation to an LR photo that bicubic interpolation made (Fritsche et al., 2019).

    It is DeResnet without downsampling and noise. Its input is the bicubic LR, as for all generators of scale 1,
    (N, C, h, w), RGB in [0, 1]; its output has the same size, in (0, 1).

    Args:
        num_in_ch (int): Channels of the input.
        num_out_ch (int): Channels of the output.
        num_feat (int): Channels of the features.
        num_block (int): Residual blocks.

    Raises:
        UserError: A keyword has an impossible value.
    """

    def __init__(self, num_in_ch: int = 3, num_out_ch: int = 3, num_feat: int = 64, num_block: int = 8) -> None:
        super().__init__(num_in_ch, num_out_ch, num_feat, num_block, scale=1, noise_std=0)
