"""Sharpened clean photos, as targets of networks that are to make up for what a pixel loss blurs."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMA = 2.0  # HR pixels: the octaves that SR by a pixel loss is poorest in lie above


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (N, C, H, W), ``sigma`` in pixels; at the border, over the pixels that there are."""
    radius = int(3 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=x.device) / sigma) ** 2)
    flat = x.flatten(0, 1).unsqueeze(1)
    for kernel, padding in ((taps.view(1, 1, 1, -1), (0, radius)), (taps.view(1, 1, -1, 1), (radius, 0))):
        flat = F.conv2d(flat, kernel, padding=padding) / F.conv2d(torch.ones_like(flat[:1]), kernel, padding=padding)
    return flat.view_as(x)


def sharpened(y: Tensor, share: float) -> Tensor:
    """Unsharp mask: ``y + share (y - blur(y))``, clamped; ``y`` (N, C, H, W) in [0, 1]."""
    return (y + share * (y - gaussian_blur(y, SIGMA))).clamp(0, 1)
