"""How far a network looks: what a tile must see around itself to be what it is within the whole photo."""

from collections.abc import Callable

import torch
from torch import Tensor

WIDEST = 2048  # pixels; what looks further is taken to look at the whole photo
LEVEL = 1 / 255
TOLERANCE = LEVEL / 4  # of a cut's influence on any pixel of the probe
PROBES = (16, 24, 32, 48, 64, 96)  # pixels
PROBE_SIZE = 256


@torch.inference_mode()
def exact_reach(function: Callable[[Tensor], Tensor], multiple: int = 1, device: torch.device | str = 'cpu',
                widest: int = WIDEST) -> int | None:
    """Largest distance in input pixels at which an input still enters an output, or None beyond ``widest``.

    Not a number, put into some columns of a narrow strip, spreads exactly as far as the network looks: no arithmetic
    gets rid of it. Attention over the whole image has no reach.

    Args:
        function: (1, 3, H, W) to (1, C, H * r, W * r) for a fixed ratio r, above or below 1.
        multiple: of the columns at which tiles may begin and end.
        device: where ``function`` computes.
        widest: where the search ends.
    """
    half = -(-32 // multiple) * multiple
    while half <= 2 * widest:
        strip = torch.full((1, 3, max(multiple, 4), 2 * half), 0.5, device=device)
        strip[..., half:half + multiple] = torch.nan
        spread = function(strip)[0].isnan().any(0).any(0)
        ratio = len(spread) / (2 * half)
        first, last = (int(spread.nonzero()[k]) for k in (0, -1))
        if first > 0 and last < len(spread) - 1:
            left = half - int(first / ratio)
            right = -int(-(last + 1) // ratio) - half - multiple
            return max(left, right, 0)
        half *= 2
    return None


@torch.inference_mode()
def practical_reach(function: Callable[[Tensor], Tensor], exact: int | None, multiple: int = 1,
                    device: torch.device | str = 'cpu') -> int:
    """A distance at which cutting the photo changes no output by as much as one 8-bit level.

    Deep residual networks look hundreds of pixels far on paper, and use a few dozen. The distance is found by cutting
    a test picture nearer and nearer to where the outputs are compared (a quarter level is allowed), and then made half
    as long again. A network that really looks far keeps its ``exact`` reach.

    Args:
        function: (1, 3, H, W) to outputs in [0, 1], as for :func:`exact_reach`.
        exact: what :func:`exact_reach` says; None, where it found no end, gives the longest distance that is tried.
    """
    if exact is not None and exact <= PROBES[1]:
        return exact
    picture = _test_picture(PROBE_SIZE).to(device)
    middle = PROBE_SIZE // 2
    whole = function(picture)
    ratio = whole.shape[-1] / PROBE_SIZE
    rest = int(middle * ratio)
    for distance in PROBES:
        start = (middle - distance) // multiple * multiple
        cut = function(picture[..., start:, start:])
        if (cut[..., -rest:, -rest:] - whole[..., -rest:, -rest:]).abs().max() <= TOLERANCE:
            safe = distance + distance // 2
            return safe if exact is None else min(safe, exact)
    return PROBES[-1] if exact is None else exact


def _test_picture(size: int) -> Tensor:
    """(1, 3, size, size): slopes, hard edges and noise, the same each time."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, size, size, generator=generator)
    blocks = torch.rand(1, 3, size // 16, size // 16, generator=generator).repeat_interleave(16, -1)
    blocks = blocks.repeat_interleave(16, -2)
    slope = torch.linspace(0, 1, size).expand(1, 3, size, size)
    return torch.where(noise[:, :1] < 0.5, blocks, (slope + noise) / 2)
