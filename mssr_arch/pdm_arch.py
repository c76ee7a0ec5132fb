"""A degradation generator of few numbers, each with a meaning: a random blur and random noise, after PDM."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_arch.degradation_base import LEARNED, DegradationNetwork
from mssr_arch.imresize import mirrored_outwards
from mssr_arch.keyword_checks import require_count, shown
from mssr_compat.errors import UserError

REACH = 3  #: of the blur, in LR pixels, unless said otherwise
_NORMAL = torch.distributions.Normal(0, 1)
_MOST_GAIN = math.log(2)  # of a frequency: a camera sharpens, but does not invent
_LEAST_NOISE = 0.25  # levels at which noise begins: less than rounding to 8 bits, and enough for a gradient
_QUICK = 3.0  # logarithm of the noise's level for a weight of 1: it has far to go, and sharpness would stand in for it
_DRAWS, _SHOWN = 512, 4  # latent variables from which ranges are read, and whose kernels are shown
_RANGE = (0.05, 0.95)  # quantiles


class SensorNoise(nn.Module):
    """Three white maps turned into noise of a sensor: grain, colours that go together, more of it where it is bright.

    Each map is filtered by a kernel of its own (5 x 5) and all are mixed into the colours, so that noise may be fine in
    brightness and coarse in colour. These kernels are positive: noise of much fine and little coarse detail would stand
    in for a blur that is missing. The logarithm of its deviation is a parabola over each colour's own brightness.
    """

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(1))
        self.brightness = nn.Parameter(torch.zeros(2))
        self.mix = nn.Parameter(torch.eye(3))
        self.grain = nn.Parameter(torch.full((3, 1, 5, 5), -4.0))  # logarithms: white at first, or nearly so
        with torch.no_grad():
            self.grain[:, :, 2, 2] = 0

    def forward(self, maps: Tensor, x: Tensor, deviation: Tensor) -> Tensor:
        """Noise (N, 3, h, w) of white ``maps`` (N, 3, h, w) for the clean LR ``x`` (N, 3, h, w) in [0, 1].

        ``deviation`` (N, 1, 1, 1) is that at middle gray, root mean square over the colours.
        """
        kernels, mix = self.normalised()
        noise = F.conv2d(mirrored_outwards(maps, 2, [length + 2 for length in maps.shape[-2:]]), kernels, groups=3)
        noise = torch.einsum('ij,njhw->nihw', mix, noise)
        return noise * (deviation * self.at(x))

    def at(self, x: Tensor) -> Tensor:
        """Deviation at brightness ``x`` in [0, 1], over that at middle gray."""
        u = x - 0.5
        return torch.exp((self.brightness[0] + self.brightness[1] * u) * u)

    def normalised(self) -> tuple[Tensor, Tensor]:
        """Grain and mix with which unit maps become noise of unit variance, mean over the colours."""
        grain = self.grain.exp()
        return (grain / grain.flatten(1).norm(dim=1).view(3, 1, 1, 1),
                self.mix * (math.sqrt(3) / self.mix.norm()))


@ARCH_REGISTRY.register()
class DegradationPDM(DegradationNetwork):
    """Probabilistic degradation of few parameters: a random blur, then random noise (PDM: Luo et al., CVPR 2022).

    A latent variable, standard normal, is drawn for each photo. A small network reads from it the blur's kernel, and
    the level of the noise, and what was learned can be said: see :meth:`describe`. It cannot invent texture, which a
    convolutional generator can; nor can it learn what is neither blur nor noise (JPEG is ``train.lq_jpeg``'s).

    PDM's kernel is a softmax of free numbers, which begins as a wide box and takes long to narrow. Here it is MATLAB's
    antialiased bicubic kernel times ``exp(-phi)`` at each frequency, where ``phi`` is a quadratic form (a Gaussian of
    any width, ratio and direction; below 0 it sharpens, in all directions) and a halo (below 0: unsharp masking). All
    of it is 0 at first, with gradients that are not: training begins at bicubic LR. Kernels sum to 1; they may be
    negative in places, as the bicubic one is, and amplify no frequency more than twice. PDM's noise is a network's;
    here it is :class:`SensorNoise`.

    Its noise maps are the latent variable, (N, 1, 1, num_latent), and one white map for each colour at LR size. The
    output is in [0, 1].

    Args:
        scale (int): from 1; H x W becomes ceil(H / scale) x ceil(W / scale).
        num_latent (int): numbers in the latent variable, from 2.
        num_feat (int): width of the network that reads it.
        reach (int): how far the learned blur reaches to each side, in LR pixels.
        kernel_sigma: where training begins: least and largest deviation of a Gaussian blur beyond bicubic
            downsampling, in HR pixels, drawn uniformly for each photo; at most ``reach * scale / 2``.
        noise_levels: likewise of the noise at middle gray, in 8-bit levels; under 0.25 counts as 0.25.

    Raises:
        UserError: A keyword has an impossible value.
    """

    def __init__(self, scale: int = 4, num_latent: int = 8, num_feat: int = 64, reach: int = REACH,
                 kernel_sigma: Sequence[float] = (0, 0), noise_levels: Sequence[float] = (0, 0)) -> None:
        super().__init__()
        name = type(self).__name__
        require_count(name, scale=scale, num_latent=num_latent, num_feat=num_feat, reach=reach)
        if num_latent < 2:
            raise UserError(f'{name}: num_latent is {num_latent}, but must be 2 or more: one of the kernel and one of '
                            'the noise.')
        for key, values, most, why in (('kernel_sigma', kernel_sigma, reach * scale / 2, ' (half of reach * scale)'),
                                       ('noise_levels', noise_levels, 255, '')):
            if not (isinstance(values, list | tuple) and len(values) == 2
                    and all(type(value) in (int, float) for value in values) and 0 <= values[0] <= values[1] <= most):
                raise UserError(f'{name}: {key} is {shown(values)}, but must be two numbers from 0 to {most:g}{why}, '
                                'the least first.')
        self.scale, self.num_latent = scale, num_latent
        self.kernel_sigma, self.noise_levels = tuple(kernel_sigma), tuple(max(x, _LEAST_NOISE) for x in noise_levels)

        self.latent = nn.Sequential(nn.Linear(num_latent, num_feat), nn.Tanh(), nn.Linear(num_feat, num_feat),
                                    nn.Tanh(), nn.Linear(num_feat, 5))
        with torch.no_grad():  # odd functions of z at first, the last of them nearly 0
            for layer in self.latent[::2]:
                layer.bias.zero_()
            self.latent[-1].weight.mul_(0.1)
        self.kernel = nn.Parameter(torch.zeros(4))  # variance (LR pixels squared), its direction (two), halo
        self.noises = nn.ModuleList([SensorNoise()])

        side = 2 * reach * scale + 1
        omega = 2 * math.pi * torch.fft.fftfreq(side)
        wave, sine = scale**2 * (2 - 2 * omega.cos()), scale * omega.sin()
        along, across = 0.5 * wave.expand(side, side), 0.5 * wave[:, None].expand(side, side)
        forms = torch.stack([along + across, along - across, sine * sine[:, None], 1 - torch.exp(-along - across)])
        below = torch.hypot(omega, omega[:, None]) * scale < math.pi  # what an LR photo can show
        self.register_buffer('forms', forms, persistent=False)  # phi is their sum, weighted
        self.register_buffer('below', below, persistent=False)
        self.register_buffer('downsampling', _bicubic_columns(scale, side), persistent=False)

    # --- drawing --------------------------------------------------------------------------------------------------

    @property
    def num_noise(self) -> int:
        """The latent variable, and the noise of each colour."""
        return 4

    def noise_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        return [(1, self.num_latent)] + [(-(-height // self.scale), -(-width // self.scale))] * 3

    def opposite(self, z: list[Tensor]) -> list[Tensor]:
        """The same kernel, and the noise with the other sign."""
        return [z[0], *(-n for n in z[1:])]

    def degrade(self, y: Tensor, z: list[Tensor]) -> Tensor:
        with torch.autocast(y.device.type, enabled=False):  # as bicubic_downsample, in float32 at least
            wide = y.to(self.kernel.dtype)
            latent = z[0].flatten(1).to(wide.dtype) if z else wide.new_zeros(len(y), self.num_latent)
            response, deviation = self.read(latent)
            x = _downsampled(wide, self.kernels(response), self.scale).clamp(0, 1)
            if z:
                maps = torch.cat(z[1:], 1).to(x.dtype)
                x = (x + self.noises[0](maps, x, deviation.view(-1, 1, 1, 1))).clamp(0, 1)
        return x.to(y.dtype)

    def read(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Of latent variables (N, num_latent): logarithm of the blur's gain at each frequency, (N, k, k), and deviation
        of the noise at middle gray, (N,), of 1."""
        sigma, level = (low + (high - low) * _NORMAL.cdf(latent[:, k])
                        for k, (low, high) in enumerate((self.kernel_sigma, self.noise_levels)))
        moved = self.latent(latent) / self.latent[-1].in_features  # at one learning rate, about as fast as the mean
        variance, *direction, halo = (self.kernel + moved[:, :4]).unbind(1)
        variance = variance + (sigma / self.scale).square()
        share = variance.clamp(min=0) / (1 + direction[0] ** 2 + direction[1] ** 2).sqrt()  # under 1: still a Gaussian
        weights = torch.stack([variance, share * direction[0], share * direction[1], halo], 1)
        gain = -torch.einsum('nf,fij->nij', weights, self.forms)
        gain = torch.where(gain > 0, _MOST_GAIN * torch.tanh(gain / _MOST_GAIN), gain)
        return gain, level / 255 * torch.exp(_QUICK * (self.noises[0].level + moved[:, 4]))

    def kernels(self, gain: Tensor) -> Tensor:
        """Kernels (N, K, K) that blur and downsample, from :meth:`read`; their middle is an LR pixel's."""
        blur = torch.fft.fftshift(torch.fft.ifft2(gain.exp()).real, (1, 2))
        return self.downsampling @ blur @ self.downsampling.mT

    # --- what was learned -----------------------------------------------------------------------------------------

    def effective_noise(self) -> list[float]:
        """Of the latent variable, how far the gains of its kernels are from their mean; of each map, its deviation."""
        with torch.no_grad():
            gain, deviation = self.read(self._some_latents())
            gain = gain.exp()[:, self.below]
            _, mix = self.noises[0].normalised()
            maps = deviation.mean() * (mix.square().mean(0)).sqrt()
        return [float((gain - gain.mean(0)).abs().mean()), *maps.tolist()]

    @torch.no_grad()
    def describe(self) -> dict[str, Tensor]:
        latent = self._some_latents()
        latent[0] = 0
        gain, deviation = self.read(latent)
        noise, levels = self.noises[0], 255 * deviation
        found = {**self._blur(gain), 'noise': levels}
        kernels, mix = noise.normalised()
        common = mix @ mix.T
        found['noise_gray'] = (common.sum() - common.trace()) / 2 / common.trace()
        neighbours = [(kernels[..., 1:, :] * kernels[..., :-1, :]).flatten(1).sum(1),
                      (kernels[..., 1:] * kernels[..., :-1]).flatten(1).sum(1)]
        found['noise_grain'] = (sum(neighbours) / 2 * mix.square().sum(0)).sum() / 3
        dark, bright = noise.at(torch.tensor([0.25, 0.75]).to(levels))
        found['noise_growth'] = bright / dark
        brightness = torch.linspace(0, 1, 18).to(levels)
        middle, low, high = _spread(levels)
        curve = noise.at(brightness)
        shown = _middle(self.kernels(torch.cat([torch.zeros_like(gain[:1]), gain[:1 + _SHOWN]])))
        return {'learned': torch.stack([_spread(found[name]) for name in LEARNED]).cpu(), 'kernels': shown.cpu(),
                'noise_curve': torch.stack([255 * brightness, middle * curve, low * curve, high * curve]).cpu()}

    def _blur(self, gain: Tensor) -> dict[str, Tensor]:
        """The Gaussians nearest to the gains, in the logarithm, at the frequencies that an LR photo can show."""
        forms = self.forms[:3, self.below].T
        form = torch.linalg.lstsq(forms.expand(len(gain), -1, -1), -gain[:, self.below].unsqueeze(2)).solution[..., 0]
        middle, half = form[:, 0], torch.hypot(form[:, 1], form[:, 2])
        widths = [v.sign() * v.abs().sqrt() for v in (middle, middle - half, middle + half)]
        return {'blur': self.scale * widths[0], 'blur_lr': widths[0], 'blur_narrow': self.scale * widths[1],
                'blur_wide': self.scale * widths[2], 'sharpening': gain[:, self.below].amax(1).exp()}

    def _some_latents(self) -> Tensor:
        draws = torch.randn(_DRAWS, self.num_latent, generator=torch.Generator().manual_seed(0))
        return draws.to(self.kernel)


def _middle(kernels: Tensor) -> Tensor:
    """Kernels (n, K, K) without the rows and columns around them in which none has a hundredth of its largest tap."""
    seen = (kernels.abs() > 0.01 * kernels.amax((1, 2), keepdim=True)).any(0)
    edge = int((seen | seen.T).any(0).nonzero()[0])  # a kernel is the same from both ends
    return kernels[:, edge:kernels.shape[1] - edge, edge:kernels.shape[2] - edge]


def _spread(values: Tensor) -> Tensor:
    """The first value, which is that of no latent variable, and the range of all; of one value, itself."""
    if not values.dim():
        return values.expand(3)
    return torch.stack([values[0], *values.quantile(torch.tensor(_RANGE).to(values))])


def _bicubic_columns(scale: int, side: int) -> Tensor:
    """The matrix (K, side) that convolves a centred row of ``side`` taps with MATLAB's antialiased bicubic kernel."""
    if scale % 2:  # an LR pixel's middle is that of an HR pixel
        at = torch.arange(1 - 2 * scale, 2 * scale, dtype=torch.float64)
    else:
        at = torch.arange(-2 * scale, 2 * scale, dtype=torch.float64) + 0.5
    x = (at / scale).abs()
    cubic = torch.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    columns = torch.zeros(side + len(cubic) - 1, side)
    for k in range(side):
        columns[k:k + len(cubic), k] = cubic / cubic.sum()
    return columns


def _downsampled(y: Tensor, kernels: Tensor, scale: int) -> Tensor:
    """Each photo of (N, C, H, W) through its own kernel of (N, K, K), at every LR pixel; mirrored borders.

    The photo's pixels are sorted by their place under an LR pixel (``scale ** 2`` channels), and each row of the kernel
    is a column of one matrix product: on CPUs many times faster than a strided convolution of so large a kernel.
    """
    number, colours, *size = y.shape
    height, width = (-(-length // scale) for length in size)
    before = (kernels.shape[-1] - scale) // 2
    taps = -(-kernels.shape[-1] // scale)  # of LR pixels' size
    kernels = F.pad(kernels, (0, taps * scale - kernels.shape[-1]) * 2)
    y = mirrored_outwards(y, before, [(length + taps - 1) * scale - before for length in (height, width)])
    places = F.pixel_unshuffle(y, scale).view(number, colours, scale**2, height + taps - 1, width + taps - 1)
    places = places.unfold(3, height, 1).permute(0, 2, 3, 1, 5, 4).reshape(number, scale**2 * taps, -1)
    rows = F.pixel_unshuffle(kernels[:, None], scale).permute(0, 3, 1, 2).reshape(number, taps, -1)
    columns = (rows @ places).view(number, taps, colours, height, width + taps - 1).permute(0, 2, 3, 1, 4)
    # Column k counts from its k-th pixel on; with one more pixel in each, these are below each other.
    skewed = F.pad(columns.flatten(-2), (0, taps)).unflatten(-1, (taps, width + taps))
    return skewed[..., :width].sum(-2)
