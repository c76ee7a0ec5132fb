"""MATLAB's antialiased bicubic downsampling for whole batches, on the tensor's own device."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mssr_compat.errors import UserError


def bicubic_downsample(x: Tensor, scale: int) -> Tensor:
    """Downsample as MATLAB's ``imresize(x, 1 / scale)`` does: bicubic (a = -0.5), antialiased, mirrored borders.

    PyTorch's antialiased interpolation has the same kernel but cuts it off at the border; images are therefore
    mirrored outwards by the kernel's reach first. It agrees with ``basicsr.utils.matlab_functions.imresize`` to
    float32 rounding, without a loop over pixels. Differentiable.

    Args:
        x (Tensor): (N, C, H, W) images in [0, 1], any H, W from 1, any floating type.
        scale (int): Integer factor from 1; 1 returns the clamped image.

    Returns:
        Tensor: (N, C, ceil(H / scale), ceil(W / scale)), clamped to [0, 1], of ``x``'s type. It is computed in
        float32 at least, whatever the autocast setting.

    Raises:
        UserError: ``scale`` is not a positive integer.
    """
    if type(scale) is not int or scale < 1:
        raise UserError(f'bicubic_downsample: scale is {scale}, but must be an integer of at least 1.')
    if scale == 1:
        return x.clamp(0, 1)
    height, width = x.shape[-2:]
    out_height, out_width = -(-height // scale), -(-width // scale)
    reach = 2  # of the kernel on either side, in output pixels
    wide = x if x.dtype == torch.float64 else x.float()
    wide = mirrored_outwards(wide, reach * scale, [(out_height + reach) * scale, (out_width + reach) * scale])
    size = (out_height + 2 * reach, out_width + 2 * reach)
    small = F.interpolate(wide, size, mode='bicubic', align_corners=False, antialias=True)
    return small[..., reach:-reach, reach:-reach].clamp(0, 1).to(x.dtype)


def mirrored_outwards(x: Tensor, before: int, ends: Sequence[int]) -> Tensor:
    """Rows and columns ``-before .. end - 1`` of images (..., H, W), mirrored beyond their borders (:func:`mirrored`).

    Args:
        x: the images.
        before: rows above and columns left of them.
        ends: of the rows and of the columns.
    """
    for k, end in zip((-2, -1), ends, strict=True):
        x = x.index_select(k, mirrored(x.shape[k], before, end, x.device))
    return x


def mirrored(length: int, before: int, end: int, device: torch.device | None = None) -> Tensor:
    """Indices ``-before .. end - 1`` into ``length`` items, mirrored at both borders as often as it takes.

    The border items are repeated (MATLAB's ``symmetric``): ``... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ...``.
    """
    index = torch.arange(-before, end, device=device) % (2 * length)
    return torch.minimum(index, 2 * length - 1 - index)
