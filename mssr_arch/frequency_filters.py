"""Splitting an image into low frequencies (for the colour loss) and high ones (for the discriminator).

All filters are fixed: they have no parameters and leave nothing in a state dict. They compute in float32 whatever
the autocast setting, since a high band is a small difference of large numbers.
"""

import torch
import torch.nn.functional as F
from pytorch_wavelets import DWTForward
from torch import Tensor, nn
from torch.func import functional_call

from mssr_arch.keyword_checks import require_choice
from mssr_compat.errors import UserError

FILTERS = ('wavelet', 'gaussian', 'average', None)
BANDS = ('concat', 'mean')


class FrequencyFilter(nn.Module):
    """The interface of all filters; as it stands, no filter at all: both bands are the image."""

    def low(self, x: Tensor) -> Tensor:
        """Low frequencies of (N, C, H, W) images in [0, 1], in [0, 1] as well."""
        return x

    def high(self, x: Tensor) -> Tensor:
        """High frequencies of (N, C, H, W) images in [0, 1], shifted to [0, 1] with 0.5 for none."""
        return x

    def high_channels(self, channels: int) -> int:
        """Channels of :meth:`high` for images of ``channels``."""
        return channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``low(x), high(x)``."""
        return self.low(x), self.high(x)


class WaveletFilter(FrequencyFilter):
    """One-level Haar transform; both bands have ceil(H / 2) x ceil(W / 2), odd sizes repeat the last row or column.

    ``low`` is ``LL * 0.5``. ``high`` is ``LH, HL, HH``, each ``* 0.5 + 0.5``: one after another, 3C channels
    (``bands='concat'``), or their average, C channels (``'mean'``).
    """

    def __init__(self, bands: str = 'concat') -> None:
        super().__init__()
        require_choice('WaveletFilter', 'bands', bands, BANDS)
        self.bands = bands
        self.transform = DWTForward(J=1, wave='haar', mode='zero')
        for name, taps in list(self.transform.named_buffers()):
            self.transform.register_buffer(name, taps, persistent=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``LL`` (N, C, H', W') and ``LH, HL, HH`` (N, C, 3, H', W'), in float32 (float64 for float64)."""
        x = _even(_full_precision(x))  # pytorch_wavelets' own padding has a wrong gradient at the border
        taps = {name: tap.to(x.dtype) for name, tap in self.transform.named_buffers()}
        with torch.autocast(x.device.type, enabled=False):
            ll, (high,) = functional_call(self.transform, taps, (x,))
        return ll, high

    def low(self, x: Tensor) -> Tensor:
        return self.split(x)[0] * 0.5

    def high(self, x: Tensor) -> Tensor:
        lh, hl, hh = (self.split(x)[1] * 0.5 + 0.5).unbind(2)
        return torch.cat((lh, hl, hh), dim=1) if self.bands == 'concat' else (lh + hl + hh) / 3

    def high_channels(self, channels: int) -> int:
        return channels if self.bands == 'mean' else 3 * channels

    def extra_repr(self) -> str:
        return f'bands={self.bands}'


class BlurFilter(FrequencyFilter):
    """The image blurred, and what the blur takes away. A subclass gives the blur.

    ``low`` is the blur where the kernel lies wholly inside, (N, C, H - k + 1, W - k + 1), so that no border enters
    the colour loss. ``high`` is ``(x - blurred) * 0.5 + 0.5`` at the image's own size.

    Args:
        kernel_size (int): Side ``k`` of the square kernel in pixels, odd, from 3.
    """

    def __init__(self, kernel_size: int = 5) -> None:
        super().__init__()
        if type(kernel_size) is not int or kernel_size < 3 or kernel_size % 2 == 0:
            raise UserError(f'{type(self).__name__}: kernel_size is {kernel_size}, but must be an odd integer from 3.')
        self.kernel_size = kernel_size

    def blur(self, x: Tensor, padding: int) -> Tensor:
        """Blur (N, C, H, W), widened by ``padding`` pixels on all sides, to (N, C, H + 2 * padding - k + 1, ...)."""
        raise NotImplementedError

    def low(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < self.kernel_size:
            size = ' x '.join(str(length) for length in x.shape[-2:])
            raise UserError(f'{type(self).__name__}: an image of {size} is smaller than kernel_size '
                            f'{self.kernel_size}.')
        return self.blur(_full_precision(x), padding=0)

    def high(self, x: Tensor) -> Tensor:
        x = _full_precision(x)
        return (x - self.blur(x, padding=self.kernel_size // 2)) * 0.5 + 0.5

    def extra_repr(self) -> str:
        return f'kernel_size={self.kernel_size}'


class AverageFilter(BlurFilter):
    """Box blur; at the borders of the high band, the average of the pixels that exist."""

    def blur(self, x: Tensor, padding: int) -> Tensor:
        return F.avg_pool2d(x, self.kernel_size, stride=1, padding=padding, count_include_pad=False)


class GaussianFilter(BlurFilter):
    """Gaussian blur of standard deviation ``kernel_size / 6`` pixels; for the high band, zeros lie outside."""

    def __init__(self, kernel_size: int = 5) -> None:
        super().__init__(kernel_size)
        squares = (torch.arange(kernel_size) - kernel_size // 2) ** 2
        kernel = torch.exp(-(squares[:, None] + squares) / (2 * (kernel_size / 6) ** 2))
        self.register_buffer('kernel', (kernel / kernel.sum())[None, None], persistent=False)

    def blur(self, x: Tensor, padding: int) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
            return F.conv2d(x, kernel, padding=padding, groups=x.shape[1])


def build_filter(name: str | None, kernel_size: int = 5, bands: str = 'concat') -> FrequencyFilter:
    """Build a frequency filter by its YAML name.

    Args:
        name: ``wavelet``, ``gaussian``, ``average``, or None (null in YAML) for none.
        kernel_size (int): Of the Gaussian and average filters.
        bands (str): Of the wavelet filter: ``concat`` or ``mean``.

    Raises:
        UserError: A name or value that does not exist.
    """
    require_choice('build_filter', 'filter', name, FILTERS)
    require_choice('build_filter', 'bands', bands, BANDS)
    if name == 'wavelet':
        return WaveletFilter(bands)
    if name == 'gaussian':
        return GaussianFilter(kernel_size)
    if name == 'average':
        return AverageFilter(kernel_size)
    return FrequencyFilter()


def _full_precision(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _even(x: Tensor) -> Tensor:
    """Repeat the last row and column where needed to make height and width even."""
    height, width = x.shape[-2:]
    if height % 2 == 0 and width % 2 == 0:
        return x
    return F.pad(x, (0, width % 2, 0, height % 2), mode='replicate')
