"""Which memory layout a network is faster in, on this machine at its own shapes, by trying."""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mssr_arch.early_convolution import convolve_early
from mssr_arch.memory_use import to_channels_last
from mssr_compat.random_state import kept_random_state

ROUNDS = 3  # steps in each layout that count, after one that does not
PATIENCE = 20.0  # seconds after which no further round begins
LAYOUTS = {False: 'contiguous', True: 'channels_last'}


def apply_layout(net: nn.Module, channels_last: bool) -> None:
    """Lay out the weights; where that is pixel by pixel on a CPU, RRDBNet convolves before it repeats pixels."""
    if channels_last:
        to_channels_last(net)
        if next(net.parameters()).device.type == 'cpu':
            convolve_early(net)


def measure_layouts(net: nn.Module, shape: tuple[int, ...], wrap: Callable[[nn.Module], None]) -> dict[bool, float]:
    """Seconds that a step takes: forward, and backward unless the network is frozen; the fastest of three each.

    The steps are those of copies, in turn: weights, gradients and random state stay as they are.

    Args:
        net: on its device, not yet laid out.
        shape: (N, C, H, W) of its input.
        wrap: makes of a copy what is trained (autocast).

    Returns:
        ``channels_last`` or not: seconds.
    """
    device = next(net.parameters()).device
    seconds, began = dict.fromkeys(LAYOUTS, float('inf')), time.perf_counter()
    with kept_random_state():
        x, sides = torch.rand(shape, device=device), {}
        for channels_last in LAYOUTS:
            sides[channels_last] = copy.deepcopy(net)
            apply_layout(sides[channels_last], channels_last)
            wrap(sides[channels_last])
        for k in range(1 + ROUNDS):
            for channels_last, side in sides.items():
                taken = time_step(side, as_laid_out(x, channels_last))
                # The first step reserves memory; it counts where nothing follows.
                seconds[channels_last] = taken if k <= 1 else min(taken, seconds[channels_last])
            if time.perf_counter() - began > PATIENCE:
                break
    return seconds


def as_laid_out(images: Any, channels_last: bool) -> Any:
    """Images (N, C, H, W), or those in a list or tuple, in that layout; anything else as it is."""
    if isinstance(images, (list, tuple)):
        return type(images)(as_laid_out(one, channels_last) for one in images)
    if not isinstance(images, Tensor) or images.dim() != 4:
        return images
    return images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def time_step(net: nn.Module, x: Tensor) -> float:
    """Seconds of a forward pass and, where weights are trained, a backward pass."""
    trained = any(p.requires_grad for p in net.parameters())
    began = _now(x.device)
    with torch.set_grad_enabled(trained):
        output = net(x)
        if trained:
            output.float().square().mean().backward()
    net.zero_grad(set_to_none=True)
    return _now(x.device) - began


def _now(device: torch.device) -> float:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()
