"""The discriminators of stage 1: a fixed high-pass filter, then a small convolutional network."""

from functools import partial

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_arch.checks import require_choice, require_count
from mssr_arch.frequency_filters import BANDS, FILTERS, build_filter

NETS = ('fsd', 'patch_s1', 'patch_s2')
NORMS = ('instance', 'batch')


class FSD(nn.Module):
    """The frequency-separation discriminator (Fritsche et al., 2019): 5 x 5 convolutions at full resolution.

    (N, C, H, W) to (N, 1, H, W) logits.
    """

    def __init__(self, num_in_ch: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(num_in_ch, 64, 5, padding=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 5, padding=2),
            norm(128),
            nn.LeakyReLU(0.2),
            nn.Conv2d(128, 256, 5, padding=2),
            norm(256),
            nn.LeakyReLU(0.2),
            nn.Conv2d(256, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class PatchGAN(nn.Module):
    """PatchGAN of two inner layers (Isola et al., 2017): 4 x 4 convolutions, each one pixel narrower.

    (N, C, H, W) to (N, 1, H', W') logits: H' = H - 4 for stride 1, about H / 4 - 2 for stride 2.
    """

    def __init__(self, num_in_ch: int, norm: type[nn.Module], stride: int) -> None:
        super().__init__()
        # A batch norm has a shift of its own, so the convolution before it needs no bias.
        conv = partial(nn.Conv2d, kernel_size=4, padding=1, bias=norm is not nn.BatchNorm2d)
        self.model = nn.Sequential(
            nn.Conv2d(num_in_ch, 64, 4, stride, padding=1),
            nn.LeakyReLU(0.2),
            conv(64, 128, stride=stride),
            norm(128),
            nn.LeakyReLU(0.2),
            conv(128, 256, stride=1),
            norm(256),
            nn.LeakyReLU(0.2),
            nn.Conv2d(256, 1, 4, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


@ARCH_REGISTRY.register()
class WaveletDiscriminator(nn.Module):
    """Discriminator of high frequencies (Lee et al., 2022): it judges texture and leaves colour to the colour loss.

    It returns logits; the published code returned their sigmoid.

    Args:
        num_in_ch (int): Channels of the LR photo.
        filter (str | None): ``wavelet`` (the method), or for ablations ``gaussian``, ``average``, null for none.
        bands (str): Of the wavelet filter: ``concat`` feeds LH, HL and HH as channels, ``mean`` their average. The
            other filters have one band and ignore it.
        net (str): ``fsd``, or PatchGAN with stride 1 (``patch_s1``) or 2 (``patch_s2``).
        norm (str): ``instance`` (without weights) or ``batch``.
        kernel_size (int): Of the Gaussian and average filters, in pixels, odd.

    Raises:
        UserError: A keyword has an impossible value.
    """

    #: D stays contiguous: it is small, and Adam's first steps magnify any other order of its sums.
    takes_channels_last = False

    def __init__(
        self,
        num_in_ch: int = 3,
        filter: str | None = 'wavelet',
        bands: str = 'concat',
        net: str = 'fsd',
        norm: str = 'instance',
        kernel_size: int = 5,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        require_count(name, num_in_ch=num_in_ch, kernel_size=kernel_size)
        require_choice(name, 'filter', filter, FILTERS)
        require_choice(name, 'bands', bands, BANDS)
        require_choice(name, 'net', net, NETS)
        require_choice(name, 'norm', norm, NORMS)

        self.filter = build_filter(filter, kernel_size, bands)
        channels = self.filter.high_channels(num_in_ch)
        norm_layer = nn.InstanceNorm2d if norm == 'instance' else nn.BatchNorm2d
        if net == 'fsd':
            self.net = FSD(channels, norm_layer)
        else:
            self.net = PatchGAN(channels, norm_layer, stride=1 if net == 'patch_s1' else 2)

    def forward(self, x: Tensor) -> Tensor:
        """Judge LR photos (N, C, H, W), RGB in [0, 1], position by position.

        Returns:
            Tensor: (N, 1, h, w) logits, high for real. The wavelet filter halves H and W before the network.
        """
        return self.net(self.filter.high(x.contiguous()))
