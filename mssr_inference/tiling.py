"""A photo through a network in tiles: where it is cut, how far a tile must look, and the parts blended into a whole."""

from collections.abc import Callable
from itertools import pairwise
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mssr_inference.memory import is_out_of_memory

FADE = 8  # pixels on either side of a seam over which two tiles are blended
SMALLEST = 16  # pixels; below, running out of memory is the photo's fault no more
WIDEST = 2048  # pixels; what looks further is taken to look at the whole photo
LEVEL = 1 / 255
TOLERANCE = LEVEL / 4  # of a cut's influence on any pixel of the probe
PROBES = (16, 24, 32, 48, 64, 96)  # pixels
PROBE_SIZE = 256


class TilePlan(NamedTuple):
    """How a photo is cut. Lengths are input pixels."""

    rows: list[int]  #: where the tile rows begin, and the end of the last: 0, ..., H
    columns: list[int]
    reach: int  #: what a tile sees beyond the pixels that are taken from it
    fade: int  #: it is blended with its neighbour this far on either side of the seam
    multiple: int  #: cuts lie at multiples of it

    @property
    def num_tiles(self) -> int:
        return (len(self.rows) - 1) * (len(self.columns) - 1)


def plan_tiles(height: int, width: int, tile: int | None, reach: int, multiple: int = 1) -> TilePlan:
    """Cut a photo into tiles of about ``tile`` x ``tile`` pixels, all alike; None, or a large tile, cuts nothing."""
    def cut(length: int) -> list[int]:
        if tile is None or length <= tile:
            return [0, length]
        least = max(SMALLEST, 2 * FADE)
        step = max(ceil(length / ceil(length / max(tile, least))), least)
        step = ceil(step / multiple) * multiple
        cuts = list(range(0, length - least + 1, step)) or [0]
        return [*cuts, length]

    rows, columns = cut(height), cut(width)
    fade = min(FADE, reach) if len(rows) + len(columns) > 4 else 0
    return TilePlan(rows, columns, reach, fade, multiple)


class TileRunner:
    """Runs a network on parts of a photo; a part that memory does not hold is halved until it fits.

    Args:
        function: (1, C, h, w) float32 to (1, D, h * scale, w * scale), on its own device.
        scale: output size over input size, a positive integer.
        read: ``read(top, bottom, left, right)`` gives that part of the photo, (1, C, h, w) float32 on the CPU.
        height, width: of the photo.
        plan: how it is cut.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], scale: int, read: Callable[..., Tensor], height: int,
                 width: int, plan: TilePlan):
        self.function, self.scale, self.read = function, scale, read
        self.height, self.width, self.plan = height, width, plan
        self.most = height * width + 1  # pixels that a part may have, once memory ran out

    def into(self, result: np.ndarray, progress: Callable[[int, int], None] = lambda done, total: None) -> np.ndarray:
        """Run all tiles and blend them into a picture.

        Neighbours are blended in the picture's own numbers: where they agree to rounding, so does the result.

        Args:
            result: (H * scale, W * scale, D) to fill: float32, or uint8 or uint16, for which outputs 0 to 1 become 0 to
                the largest value, rounded. With one channel it takes the mean of the outputs.
            progress: called after each tile with the number of tiles done and of all.

        Returns:
            ``result``.

        Raises:
            MemoryError: not even a part of a few pixels fits.
        """
        (rows, columns, _, fade, _), s = self.plan, self.scale
        zone = 2 * fade * s
        ramp = ((np.arange(zone) + 0.5) / max(zone, 1)).astype(np.float32)[:, None]
        white = None if result.dtype == np.float32 else np.iinfo(result.dtype).max

        def put(place: np.ndarray, values: np.ndarray) -> None:
            place[...] = values if white is None else np.rint(values)

        for r, (top, bottom) in enumerate(pairwise(rows)):
            top, bottom = max(top - fade, 0) if r else top, min(bottom + fade, self.height)
            row = result[top * s:bottom * s]
            above = row[:zone].astype(np.float32) if r and fade else None
            for c, (left, right) in enumerate(pairwise(columns)):
                left, right = left - (fade if c else 0), min(right + fade, self.width)
                tile = self.run(top, bottom, left, right).transpose(1, 2, 0)
                tile = tile.mean(-1, keepdims=True) if result.shape[-1] == 1 else tile
                tile = tile if white is None else tile.clip(0, 1) * np.float32(white)
                place = row[:, left * s:right * s]
                if c and fade:
                    tile = tile.copy() if white is None else tile
                    tile[:, :zone] = place[:, :zone] + (tile[:, :zone] - place[:, :zone]) * ramp
                put(place, tile)
                progress(r * (len(columns) - 1) + c + 1, self.plan.num_tiles)
            if above is not None:
                put(row[:zone], above + (row[:zone] - above) * ramp[:, None])
        return result

    def run(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """The outputs of that part of the photo, (D, h * scale, w * scale) float32.

        Raises:
            MemoryError: not even a part of a few pixels fits.
        """
        height, width = bottom - top, right - left
        if height * width < self.most or max(height, width) <= SMALLEST:
            try:
                return self._run(top, bottom, left, right)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if max(height, width) <= SMALLEST:
                    raise MemoryError('memory does not hold even the smallest tile of it') from error
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.most = height * width
        if height >= width:
            middle = top + height // 2
            parts = [self.run(top, middle, left, right), self.run(middle, bottom, left, right)]
            return np.concatenate(parts, axis=1)
        middle = left + width // 2
        parts = [self.run(top, bottom, left, middle), self.run(top, bottom, middle, right)]
        return np.concatenate(parts, axis=2)

    @torch.inference_mode()
    def _run(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        def widened(start: int, end: int, length: int) -> tuple[int, int]:
            reach, multiple = self.plan.reach, self.plan.multiple
            return max(0, (start - reach) // multiple * multiple), min(length, -(-(end + reach) // multiple) * multiple)

        (y0, y1), (x0, x1), s = widened(top, bottom, self.height), widened(left, right, self.width), self.scale
        output = self.function(self.read(y0, y1, x0, x1))[0]
        output = output[:, (top - y0) * s:(bottom - y0) * s, (left - x0) * s:(right - x0) * s]
        return output.float().cpu().numpy()


# --- how far a network looks: what a tile must see around itself to be what it is within the whole photo ----------


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
