"""The discriminators of stage 1: a fixed high-pass filter, then a small convolutional network."""

from functools import partial

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_arch.frequency_filters import BANDS, FILTERS, build_filter
from mssr_arch.keyword_checks import require_choice, require_count, require_non_negative

NETS = ('fsd', 'patch_s1', 'patch_s2')
NORMS = ('instance', 'batch', None)


class FSD(nn.Module):
    """The frequency-separation discriminator (Fritsche et al., 2019): 5 x 5 convolutions at full resolution.

    (N, C, H, W) to (N, 1, H, W) logits.
    """

    def __init__(self, num_in_ch: int, norm: type[nn.Module], num_feat: int) -> None:
        super().__init__()
        n = num_feat
        self.net = nn.Sequential(
            nn.Conv2d(num_in_ch, n, 5, padding=2), nn.LeakyReLU(0.2),
            nn.Conv2d(n, 2 * n, 5, padding=2), norm(2 * n), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * n, 4 * n, 5, padding=2), norm(4 * n), nn.LeakyReLU(0.2),
            nn.Conv2d(4 * n, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class PatchGAN(nn.Module):
    """PatchGAN of two inner layers (Isola et al., 2017): 4 x 4 convolutions, each one pixel narrower.

    (N, C, H, W) to (N, 1, H', W') logits: H' = H - 4 for stride 1, about H / 4 - 2 for stride 2.
    """

    def __init__(self, num_in_ch: int, norm: type[nn.Module], num_feat: int, stride: int) -> None:
        super().__init__()
        n = num_feat
        # A batch norm has a shift of its own, so the convolution before it needs no bias.
        conv = partial(nn.Conv2d, kernel_size=4, padding=1, bias=norm is not nn.BatchNorm2d)
        self.model = nn.Sequential(
            nn.Conv2d(num_in_ch, n, 4, stride, padding=1), nn.LeakyReLU(0.2),
            conv(n, 2 * n, stride=stride), norm(2 * n), nn.LeakyReLU(0.2),
            conv(2 * n, 4 * n, stride=1), norm(4 * n), nn.LeakyReLU(0.2),
            nn.Conv2d(4 * n, 1, 4, padding=1))

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
        norm (str | None): ``instance`` (without weights), ``batch``, or null for none. A norm divides by the strength
            of the texture, so that D hardly sees how strong noise is.
        kernel_size (int): Of the Gaussian and average filters, in pixels, odd.
        num_feat (int): Channels of the first convolution; the next ones have twice and four times as many.
        gain (float | None): Null gives the network bands in [0, 1] around 0.5, as published: fine noise is a deviation
            of a few hundredths, which D needs long to see. A number gives it ``tanh(gain * (band - 0.5))``: with 40,
            faint noise counts about as much as strong texture.

    Raises:
        UserError: A keyword has an impossible value.
    """

    #: D stays contiguous: it is small, and Adam's first steps magnify any other order of its sums.
    takes_channels_last = False

    def __init__(self, num_in_ch: int = 3, filter: str | None = 'wavelet', bands: str = 'concat', net: str = 'fsd',
                 norm: str | None = 'instance', kernel_size: int = 5, num_feat: int = 64,
                 gain: float | None = None) -> None:
        super().__init__()
        name = type(self).__name__
        require_count(name, num_in_ch=num_in_ch, kernel_size=kernel_size, num_feat=num_feat)
        if gain is not None:
            require_non_negative(name, gain=gain)
        require_choice(name, 'filter', filter, FILTERS)
        require_choice(name, 'bands', bands, BANDS)
        require_choice(name, 'net', net, NETS)
        require_choice(name, 'norm', norm, NORMS)

        self.filter = build_filter(filter, kernel_size, bands)
        channels = self.filter.high_channels(num_in_ch)
        norm_layer = {'instance': nn.InstanceNorm2d, 'batch': nn.BatchNorm2d, None: nn.Identity}[norm]
        self.gain = gain
        if net == 'fsd':
            self.net = FSD(channels, norm_layer, num_feat)
        else:
            self.net = PatchGAN(channels, norm_layer, num_feat, stride=1 if net == 'patch_s1' else 2)

    def forward(self, x: Tensor) -> Tensor:
        """Judge LR photos (N, C, H, W), RGB in [0, 1], position by position.

        Returns:
            Tensor: (N, 1, h, w) logits, high for real. The wavelet filter halves H and W before the network.
        """
        bands = self.filter.high(x.contiguous())
        return self.net(bands if self.gain is None else ((bands - 0.5) * self.gain).tanh())
