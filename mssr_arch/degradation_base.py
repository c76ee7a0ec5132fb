"""What all degradation generators share: where their noise comes from. And the one that learns nothing."""

from collections.abc import Iterator

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_arch.imresize import bicubic_downsample
from mssr_arch.keyword_checks import require_count
from mssr_compat.errors import UserError

#: what a generator whose numbers mean something has learned (:meth:`DegradationNetwork.describe`): unit and meaning
LEARNED = {
    'blur': ('HR px', 'deviation of the Gaussian nearest to the blur, beyond bicubic downsampling; below 0: sharper'),
    'blur_lr': ('LR px', 'the same in pixels of the LR photo'),
    'blur_narrow': ('HR px', 'across the direction of the blur'),
    'blur_wide': ('HR px', 'along it'),
    'sharpening': ('', 'largest gain of a frequency; 1: none is amplified'),
    'noise': ('levels', 'deviation of the noise at middle gray, over the colours'),
    'noise_gray': ('', 'share of its variance that is common to the colours; 0: independent, 1: gray'),
    'noise_grain': ('', 'correlation of the noise of neighbouring pixels; 0: white'),
    'noise_growth': ('', 'deviation of the noise at 3/4 of the brightness over that at 1/4; 1: the same'),
}


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


class DegradationNetwork(nn.Module):
    """A degradation generator ``G(y; z)``: one of many plausible LR photos of the HR photo ``y``.

    The latent variable ``z`` is a list of standard normal maps, one for each injection, in layer order
    (Lee et al., 2022). A subclass sets :attr:`scale`, fills :attr:`noises` (an empty list makes it
    deterministic) and implements :meth:`degrade` and :meth:`noise_sizes`. One whose maps are not those of
    NoiseInjection layers says how many there are, which of them are noise, and how much they weigh:
    :attr:`num_noise`, :meth:`opposite`, :meth:`effective_noise`. A map of the whole photo, not of places in it, has
    the same size for all photos.
    """

    scale: int  #: the output is ceil(H / scale) x ceil(W / scale) for any H, W from 1
    noises: nn.ModuleList  #: layers that add noise, in the order in which the features pass them: NoiseInjection
    skip = False  #: whether :meth:`degrade` gives what is added to the bicubic LR

    def forward(self, y: Tensor, noise: list[Tensor] | bool | None = None) -> Tensor:
        """Degrade a batch of photos.

        Args:
            y (Tensor): (N, C, H, W) HR photos, RGB in [0, 1]; any H, W.
            noise: None draws new maps from torch's global generator, in training and evaluation alike. A list of
                :attr:`num_noise` maps, as :meth:`draw_noise` gives it, is used as it is. False switches noise off.

        Returns:
            Tensor: (N, C, ceil(H / scale), ceil(W / scale)) LR photos.

        Raises:
            UserError: ``noise`` is none of these, or its maps do not fit ``y``.
        """
        if noise is None:
            z = self.draw_noise(y)
        elif noise is False:
            z = []
        else:
            z = self._checked(noise, y)
        x = self.degrade(y, z)
        return bicubic_downsample(y, self.scale) + x if self.skip else x

    def degrade(self, y: Tensor, z: list[Tensor]) -> Tensor:
        """``G(y; z)`` for given maps ``z``, one an injection; no maps at all mean no noise. With :attr:`skip`, what
        is added to the bicubic LR of ``y``."""
        raise NotImplementedError

    def noise_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of every noise map, in layer order, for photos of ``height`` x ``width``."""
        raise NotImplementedError

    @property
    def num_noise(self) -> int:
        """Number of maps that one degradation takes; 0 for a deterministic generator."""
        return len(self.noises)

    def noise_parameters(self) -> Iterator[nn.Parameter]:
        """The weights of :attr:`noises`, ``w`` of injections, which have a learning rate of their own in training."""
        return self.noises.parameters()

    def draw_noise(self, y: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Draw the latent variable ``z`` for a batch.

        Args:
            y (Tensor): (N, C, H, W); its shape and device count.
            generator: Source of the numbers, on any device; None is torch's global generator of ``y``'s device.

        Returns:
            list[Tensor]: :attr:`num_noise` standard normal float32 maps (N, 1, H_k, W_k), on ``y``'s device. They are
            drawn one after another in layer order: this order is what makes seeded draws repeatable.
        """
        source = y.device if generator is None else generator.device
        sizes = self.noise_sizes(*y.shape[-2:])
        return [torch.randn(len(y), 1, *size, generator=generator, device=source).to(y.device) for size in sizes]

    def opposite(self, z: list[Tensor]) -> list[Tensor]:
        """Maps of the draw that differs from that of ``z`` in the sign of its noise, which cancels in their mean."""
        return [-n for n in z]

    def effective_noise(self) -> list[float]:
        """How much each map weighs: ``|w| * std``, mean over the channels, in units of the features."""
        return [float(layer.w.detach().abs().mean() * layer.std) for layer in self.noises]

    def describe(self) -> dict[str, Tensor]:
        """What was learned, where the weights are numbers that mean something; else empty. On the CPU.

        Returns:
            ``learned`` (F, 3): the values that :data:`LEARNED` names, in that order, of a typical draw, and their 5th
            and 95th percentile over draws; ``kernels`` (n, K, K), which blur and downsample: the bicubic one, that of
            a typical draw, and those of some draws, without their faint margins; ``noise_curve`` (4, B): brightness,
            and the deviation of the noise there in a typical draw and at these percentiles, in 8-bit levels.
        """
        return {}

    def begin_at_bicubic(self, last: nn.Conv2d) -> None:
        """Set :attr:`skip`, and the layer that gives the output to a quarter of its usual weights and no bias, so that
        an untrained generator is nearly a bicubic downsampler."""
        self.skip = True
        with torch.no_grad():
            last.weight.mul_(0.25)
            last.bias.zero_()

    def inject(self, k: int, h: Tensor, z: list[Tensor]) -> Tensor:
        """Features ``h`` after the ``k``-th injection, or as they are where there is no noise."""
        return self.noises[k](h, z[k]) if z else h

    def _checked(self, noise: object, y: Tensor) -> list[Tensor]:
        name = type(self).__name__
        if not isinstance(noise, list | tuple):
            raise UserError(f'{name}: noise is {noise!r}, but must be null, false or a list of {self.num_noise} maps.')
        if len(noise) != self.num_noise:
            raise UserError(f'{name}: noise has {len(noise)} maps, but {self.num_noise} are needed.')
        for k, (n, size) in enumerate(zip(noise, self.noise_sizes(*y.shape[-2:]), strict=True)):
            if n.shape != (len(y), 1, *size):
                raise UserError(f'{name}: noise[{k}] has shape {tuple(n.shape)}, but needs {(len(y), 1, *size)}.')
        return list(noise)


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


def what_is_read(net: nn.Module, y: Tensor, scale: int) -> Tensor:
    """What ``net``, with which HR photos ``y`` (N, C, H, W) become LR photos ``scale`` times smaller, reads of them:
    the photos, or their bicubic LR where the network downsamples by less (DSGAN)."""
    return y if net.scale == scale else bicubic_downsample(y, scale // net.scale)


def num_halvings(scale: int) -> int:
    """How many stride-2 convolutions downsample by ``scale``, a power of two."""
    return scale.bit_length() - 1


def halved(height: int, width: int) -> tuple[int, int]:
    """Size after one stride-2 convolution (kernel 3, padding 1): half, rounded up."""
    return (height + 1) // 2, (width + 1) // 2
