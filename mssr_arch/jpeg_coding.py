"""What a JPEG file keeps of generated LR photos, within the training of what generates them."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from basicsr.utils.diffjpeg import c_table, y_table
from torch import Tensor, nn

_UNIT = 16  # pixels of a block of the halved colour channels
_TO_YCBCR = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
_TO_RGB = [[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]]


def quantization_steps(quality: float, color: bool = False) -> Tensor:
    """(8, 8) steps of the cosine coefficients, whole numbers, by the tables in JPEG's standard, as libjpeg scales them.

    Args:
        quality: 1 to 100.
        color: those of the colour channels; else of luminance.
    """
    table = (c_table if color else y_table).detach().T
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    return ((table * percent + 50) / 100).floor().clamp(1, 255)


class JPEGCoding(nn.Module):
    """Photos as read from JPEG files, each of a quality drawn from those given; 8-bit values.

    Baseline JPEG with halved colour channels, as libjpeg writes and reads it, to a few levels, on any device. BasicSR's
    ``DiffJPEG`` has steps that are no whole numbers and repeats colours when it reads them, unlike libjpeg.
    Rounded coefficients have the slope of ``r + (c - r)^3``, r being c rounded (Shin and Song, 2017), as in
    ``DiffJPEG``; what has been cut off at 0 and 1 has none. A crop lies anywhere on the grid of blocks, as crops of
    real photos do.

    Args:
        qualities: 1 to 100 each; one is drawn for each photo.
    """

    def __init__(self, qualities: Sequence[float]) -> None:
        super().__init__()
        self.qualities = list(qualities)
        for name, color in (('luma_steps', False), ('color_steps', True)):
            steps = torch.stack([quantization_steps(quality, color) for quality in qualities])
            self.register_buffer(name, steps[:, None, None, None])
        n = torch.arange(8)
        cosines = torch.cos((2 * n + 1) * n[:, None] * math.pi / 16) / 2
        cosines[0] /= math.sqrt(2)
        self.register_buffer('cosines', cosines)
        self.register_buffer('to_ycbcr', torch.tensor(_TO_YCBCR))
        self.register_buffer('to_rgb', torch.tensor(_TO_RGB))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(N, 3, h, w) RGB, meant for [0, 1], of any size, to the same in [0, 1].

        Args:
            x: photos.
            generator: source of qualities and grids, on the CPU; None is torch's global one.
        """
        height, width = x.shape[-2:]
        top, left = torch.randint(_UNIT, (2,), generator=generator).tolist()
        chosen = torch.randint(len(self.luma_steps), (len(x),), generator=generator)
        bottom, right = (-(size + before) % _UNIT for size, before in ((height, top), (width, left)))
        with torch.autocast(x.device.type, enabled=False):
            x = F.pad(x.float(), (left, right, top, bottom), mode='replicate')
            x = self.code(x, chosen.to(x.device, non_blocking=True))
        return x[..., top:top + height, left:left + width].contiguous()

    def code(self, x: Tensor, chosen: Tensor) -> Tensor:
        """Whole photos, sides multiples of 16, with the ``chosen`` (N,) of the qualities."""
        x = rounded(x.clamp(0, 1) * 255)
        x = rounded(torch.einsum('dc,nchw->ndhw', self.to_ycbcr, x))  # colours around 0
        luma = self.quantized(x[:, :1] - 128, self.luma_steps[chosen]) + 128
        color = self.quantized(rounded(F.avg_pool2d(x[:, 1:], 2)), self.color_steps[chosen])
        color = F.interpolate(rounded(color.clamp(-128, 127)), scale_factor=2, mode='bilinear')
        x = torch.cat([rounded(luma.clamp(0, 255)), rounded(color)], 1)
        x = torch.einsum('dc,nchw->ndhw', self.to_rgb, x)
        return rounded(x.clamp(0, 255)) / 255

    def quantized(self, x: Tensor, steps: Tensor) -> Tensor:
        """(N, C, h, w) with the coefficients of its blocks rounded to multiples of ``steps`` (N, 1, 1, 1, 8, 8)."""
        blocks = x.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)  # (N, C, rows, columns, 8, 8)
        multiples = self.cosines @ blocks @ self.cosines.T / steps
        near = multiples.round()
        soft = near + (multiples - near) ** 3
        multiples = soft + (near - soft).detach()
        blocks = self.cosines.T @ (multiples * steps) @ self.cosines
        return blocks.transpose(3, 4).flatten(4, 5).flatten(2, 3)


def rounded(x: Tensor) -> Tensor:
    """The nearest whole numbers; gradients pass."""
    return x + (x.round() - x).detach()
