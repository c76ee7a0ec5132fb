"""The holistic attention network (HAN), turned round into a large degradation generator."""

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mssr_arch.degradation_base import DegradationNetwork, NoiseInjection, halved, num_halvings
from mssr_arch.keyword_checks import require_choice, require_count, require_non_negative
from mssr_compat.errors import UserError

_GROUP = 16  # channels that channel-spatial attention computes together on a CPU


def conv3(num_in: int, num_out: int, stride: int = 1) -> nn.Conv2d:
    """3 x 3 convolution that keeps H x W, or halves it (rounded up) with stride 2."""
    return nn.Conv2d(num_in, num_out, 3, stride, padding=1)


class ChannelAttention(nn.Module):
    """A weight for each channel, by what all channels average over the image (Zhang et al., 2018).

    (N, C, H, W) to (N, C, 1, 1) in (0, 1); the block multiplies, together with its residual.
    """

    def __init__(self, num_feat: int, reduction: int) -> None:
        super().__init__()
        self.conv_du = nn.Sequential(
            nn.Conv2d(num_feat, num_feat // reduction, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat // reduction, num_feat, 1),
            nn.Sigmoid(),
        )

    def forward(self, h: Tensor) -> Tensor:
        # A mean whose gradient stays one number a channel: that of PyTorch's pooling is written out for all pixels, in
        # another memory format than the features have.
        total = h.sum((2, 3), keepdim=True, dtype=torch.promote_types(h.dtype, torch.float32))
        return self.conv_du((total / (h.shape[2] * h.shape[3])).to(h.dtype))


class RCAB(nn.Module):
    """Residual channel attention block, (N, C, H, W) to the same."""

    def __init__(self, num_feat: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv3(num_feat, num_feat), nn.ReLU(inplace=True), conv3(num_feat, num_feat),
                                  ChannelAttention(num_feat, reduction))

    def forward(self, h: Tensor) -> Tensor:
        conv1, relu, conv2, attention = self.body
        r = conv2(relu(conv1(h)))
        return torch.addcmul(h, r, attention(r))  # h + attention * r in one pass


class ResidualGroup(nn.Module):
    """``num_block`` RCABs and a convolution, with a skip over all of them."""

    def __init__(self, num_feat: int, num_block: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(RCAB(num_feat, reduction) for _ in range(num_block)), conv3(num_feat, num_feat))

    def forward(self, h: Tensor) -> Tensor:
        return self.body(h).add_(h)  # in place: no backward pass needs the last convolution's output


class LayerAttention(nn.Module):
    """Let the outputs of L layers attend to each other (Niu et al., 2020).

    The weights are a softmax of ``max(energy) - energy``: the layers that are least alike weigh most. ``gamma``
    starts at 0, which passes every layer as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, layers: list[Tensor]) -> Tensor:
        """L layer outputs, each (N, C, H, W), to (N, L * C, H, W): one copy of all, in the memory format they have."""
        num_layer, (batch, channels, height, width) = len(layers), layers[0].shape
        together = torch.cat(layers, dim=1)
        pixelwise = together.is_contiguous(memory_format=torch.channels_last)
        if pixelwise:  # a small L x C matrix at each pixel
            values = together.permute(0, 2, 3, 1).reshape(batch, height * width, num_layer, channels)
        else:
            values = together.view(batch, 1, num_layer, -1)
        # Energies sum over C * H * W products, too many for half precision.
        with torch.autocast(together.device.type, enabled=False):
            wide = values.float()
            energy = (wide @ wide.mT).sum(1)
            attention = (energy.amax(-1, keepdim=True) - energy).softmax(-1)
            # Mixing and residual in one product: v + gamma * A v = (I + gamma * A) v.
            mixing = torch.eye(num_layer, device=together.device) + self.gamma.float() * attention
            mixed = mixing.to(values.dtype).unsqueeze(1) @ values
        if pixelwise:
            return mixed.view(batch, height, width, -1).permute(0, 3, 1, 2)
        return mixed.view_as(together)


class ChannelSpatialAttention(nn.Module):
    """``h * sigmoid(conv3d(h))``, a 3 x 3 x 3 convolution over channel, row and column.

    With one channel in and out, such a convolution is slow everywhere. It is a 2D one over all channels, in which a
    channel sees itself and its two neighbours; as such it is computed. On a CPU, with features pixel by pixel in
    memory, it goes by groups of 16 channels, which see their 18, not all.

    The published layer has neither residual nor ``gamma`` in its formula, yet keeps the weight: it is here for its
    place in checkpoints, and frozen since nothing trains it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.conv = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        channels = h.shape[1]
        pixelwise = h.device.type == 'cpu' and h.is_contiguous(memory_format=torch.channels_last)
        size, beyond, seen = channels, 0, h
        if pixelwise and channels % _GROUP == 0 and channels > _GROUP:
            size, beyond = _GROUP, 1
            seen = F.pad(h.permute(0, 2, 3, 1), (1, 1)).unfold(3, size + 2, size).flatten(3).permute(0, 3, 1, 2)
        groups = channels // size
        # Of an output channel (row) and a seen one (column): before it 0, itself 1, after it 2.
        seen_channel = torch.arange(-beyond, size + beyond, device=h.device)
        neighbour = seen_channel - torch.arange(size, device=h.device)[:, None] + 1
        near = (neighbour >= 0) & (neighbour <= 2)
        weight = self.conv.weight[0, 0, neighbour.clamp(0, 2)] * near[..., None, None]
        weight = weight.repeat(groups, 1, 1, 1)  # (C, seen by a group, 3, 3)
        return h * F.conv2d(seen, weight, self.conv.bias.expand(channels), padding=1, groups=groups).sigmoid()


@ARCH_REGISTRY.register()
class DegradationHAN(DegradationNetwork):
    """Probabilistic degradation generator after HAN (Niu et al., 2020), the paper's second, larger one.

    Noise enters after each body member (the groups and the convolution that ends them), and once more before the
    channel-spatial attention: ``num_group + 2`` injections. The output is linear: it may leave [0, 1] a little.
    Attention looks at the whole image, so a tile of a photo is not degraded as it is within the photo.

    Args:
        num_in_ch (int): Channels of the HR photo.
        num_out_ch (int): Channels of the LR photo.
        num_feat (int): Channels of the features.
        num_group (int): Residual groups, any number from 1.
        num_block (int): Residual channel attention blocks of each group.
        reduction (int): Channel attention squeezes ``num_feat`` by this factor.
        scale (int): 1, 2 or 4; H x W becomes ceil(H / scale) x ceil(W / scale).
        noise_std (float): Standard deviation of the injected noise; 0 builds the deterministic ablation.
        downsample (str): Where the stride-2 convolutions are: ``head``, the two convolutions before the body, or
            ``tail``, more convolutions after the attention, which costs ``scale ** 2`` times the computation and
            memory; those of the head then keep the size.
        use_checkpoint (bool): Recompute each group in the backward pass instead of keeping its activations: memory of
            about one group instead of ``num_group``, for one more forward pass.
        skip (bool): Add the output to the bicubic LR: training begins at bicubic downsampling, and the network learns
            only what a camera does beyond it. Not published; for small budgets.

    Raises:
        UserError: A keyword has an impossible value.
    """

    def __init__(self, num_in_ch: int = 3, num_out_ch: int = 3, num_feat: int = 128, num_group: int = 10,
                 num_block: int = 20, reduction: int = 16, scale: int = 4, noise_std: float = 0.1,
                 downsample: str = 'head', use_checkpoint: bool = False, skip: bool = False) -> None:
        super().__init__()
        name = type(self).__name__
        require_choice(name, 'scale', scale, (1, 2, 4))
        require_choice(name, 'downsample', downsample, ('head', 'tail'))
        require_choice(name, 'use_checkpoint', use_checkpoint, (False, True))
        require_choice(name, 'skip', skip, (False, True))
        require_count(name, num_in_ch=num_in_ch, num_out_ch=num_out_ch, num_feat=num_feat, num_group=num_group)
        require_count(name, num_block=num_block, reduction=reduction)
        require_non_negative(name, noise_std=noise_std)
        if reduction > num_feat:
            raise UserError(f'{name}: reduction is {reduction}, but must not exceed num_feat, {num_feat}.')
        self.scale = scale
        self.downsample = downsample
        self.use_checkpoint = use_checkpoint

        halvings = num_halvings(scale)
        strides = [2] * halvings + [1] * (2 - halvings) if downsample == 'head' else [1, 1]
        self.head = nn.Sequential(conv3(num_in_ch, num_feat, strides[0]), conv3(num_feat, num_feat, strides[1]))
        groups = [ResidualGroup(num_feat, num_block, reduction) for _ in range(num_group)]
        self.body = nn.ModuleList([*groups, conv3(num_feat, num_feat)])
        num_noise = num_group + 2 if noise_std > 0 else 0
        self.noises = nn.ModuleList(NoiseInjection(num_feat, noise_std) for _ in range(num_noise))
        self.csa = ChannelSpatialAttention()
        self.la = LayerAttention()
        self.last_conv = conv3(num_feat * (num_group + 1), num_feat)
        self.last = conv3(num_feat * 2, num_feat)
        downsampling = [conv3(num_feat, num_feat, 2) for _ in range(halvings)] if downsample == 'tail' else []
        self.tail = nn.Sequential(*downsampling, conv3(num_feat, num_out_ch))
        if skip:
            self.begin_at_bicubic(self.tail[-1])

    def degrade(self, y: Tensor, z: list[Tensor]) -> Tensor:
        first = h = self.head(y)
        outputs = []
        for k, member in enumerate(self.body):
            h = self.inject(k, self._run(member, h), z)
            outputs.append(h)
        # Attention over the layers, the latest first, beside attention within the last one.
        across = self.last_conv(self.la(outputs[::-1]))
        within = self.csa(self.inject(len(self.body), h, z))
        return self.tail(self.last(torch.cat((within, across), dim=1)) + first)

    def noise_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        size = (height, width)
        if self.downsample == 'head':
            for _ in range(num_halvings(self.scale)):
                size = halved(*size)
        return [size] * self.num_noise

    def _run(self, member: nn.Module, h: Tensor) -> Tensor:
        if self.use_checkpoint and torch.is_grad_enabled():
            return checkpoint(member, h, use_reentrant=False, preserve_rng_state=False)
        return member(h)
