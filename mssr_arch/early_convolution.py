"""Enlarging by pixel repetition and convolving the result, without convolving equal pixels again and again."""

import torch
from basicsr.archs.arch_util import pixel_unshuffle
from basicsr.archs.rrdbnet_arch import RRDBNet
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

# Which of a kernel's three rows (or columns) fall on the first and on the second of the two rows that an enlarged row
# sees before the enlargement: for even rows (first) and odd ones.
_FALLS_ON = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])


def enlarged_convolution(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """``conv`` of ``x`` enlarged twofold by repeating pixels, (N, C, H, W) to (N, O, 2 H, 2 W) in ``channels_last``.

    Of the nine enlarged pixels under a kernel only four differ. Their weights are added up first, and a 2 x 2
    convolution of ``x`` gives each of the four outputs of a pixel: 16 products for 36, the same sums to rounding.

    Args:
        x: features.
        conv: 3 x 3 with a bias, stride and padding 1.
    """
    falls_on = _FALLS_ON.to(conv.weight)
    weight = torch.einsum('aik,bjl,ockl->abocij', falls_on, falls_on, conv.weight).flatten(0, 2)
    weight = weight.contiguous(memory_format=torch.channels_last)
    return _Interleave.apply(conv2d(x, weight, None, padding=1), conv.bias)


class _Interleave(torch.autograd.Function):
    """(N, 4 O, H + 1, W + 1) of the 2 x 2 convolution, by row and column of the output pixel, to (N, O, 2 H, 2 W)."""

    @staticmethod
    def forward(ctx, outputs, bias):
        ctx.shape = batch, _, height, width = outputs.shape
        out = torch.empty((batch, len(bias), 2 * (height - 1), 2 * (width - 1)), dtype=outputs.dtype,
                          device=outputs.device, memory_format=torch.channels_last)
        for here, there in _places(out, outputs):
            torch.add(there, bias.to(there.dtype), out=here)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        of_bias = gradient.sum((0, 2, 3), dtype=torch.promote_types(gradient.dtype, torch.float32))
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_outputs = torch.empty(ctx.shape, dtype=gradient.dtype, device=gradient.device,
                                 memory_format=torch.channels_last).zero_()
        for here, there in _places(gradient, of_outputs):
            there.copy_(here)
        return of_outputs, of_bias


def _places(enlarged: Tensor, outputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For each of a pixel's four outputs where it is in both, as views (N, H, W, O)."""
    batch, channels, height, width = enlarged.shape
    height, width = height // 2, width // 2
    enlarged = enlarged.permute(0, 2, 3, 1).view(batch, height, 2, width, 2, channels)
    outputs = outputs.permute(0, 2, 3, 1).unflatten(3, (2, 2, channels))
    return [(enlarged[:, :, a, :, b], outputs[:, a:a + height, b:b + width, a, b]) for a in (0, 1) for b in (0, 1)]


class EarlyConvolvingRRDBNet(RRDBNet):
    """RRDBNet whose two convolutions after an enlargement are :func:`enlarged_convolution` in training."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(x)
        h = self.conv_first(pixel_unshuffle(x, 4 // self.scale) if self.scale < 4 else x)
        h = h + self.conv_body(self.body(h))
        for conv in (self.conv_up1, self.conv_up2):
            h = self.lrelu(enlarged_convolution(h, conv))
        return self.conv_last(self.lrelu(self.conv_hr(h)))


EarlyConvolvingRRDBNet.__name__ = RRDBNet.__name__  # in logs and messages it is what the options say


def convolve_early(net: nn.Module) -> None:
    """Turn the RRDBNets in ``net`` into :class:`EarlyConvolvingRRDBNet`; weights and their names stay."""
    for module in net.modules():
        if type(module) is RRDBNet:
            module.__class__ = EarlyConvolvingRRDBNet
