"""A photo through a network in tiles, and the result row by row, so that memory does not grow with the photo."""

from collections.abc import Callable, Iterator
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mssr_inference.memory import is_out_of_memory

FADE = 8  # pixels on either side of a seam over which two tiles are blended
SMALLEST = 16  # pixels; below, running out of memory is the photo's fault no more


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
                    raise MemoryError('memory does not hold the smallest tile') from error
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

    def _run(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        (y0, y1), (x0, x1) = self._widened(top, bottom, self.height), self._widened(left, right, self.width)
        with torch.inference_mode():
            output = self.function(self.read(y0, y1, x0, x1))[0]
            s = self.scale
            output = output[:, (top - y0) * s:(bottom - y0) * s, (left - x0) * s:(right - x0) * s]
            return output.float().cpu().numpy()

    def _widened(self, start: int, end: int, length: int) -> tuple[int, int]:
        multiple = self.plan.multiple
        start = max(0, (start - self.plan.reach) // multiple * multiple)
        return start, min(length, -(-(end + self.plan.reach) // multiple) * multiple)


def stream_rows(runner: TileRunner, on_tile: Callable[[], None] = lambda: None
                ) -> Iterator[tuple[int, list[tuple[int, np.ndarray]]]]:
    """Run all tiles and yield finished output rows from top to bottom.

    Yields:
        First output row, and tiles: each tile is (first output column, (D, h, w) float32); side by side they fill the
        rows, without gap or overlap. The tiles come as a generator, so that the caller can quantise one before the
        next is computed.
    """
    plan, s = runner.plan, runner.scale
    rows, columns, fade = plan.rows, plan.columns, plan.fade
    ramp = ((np.arange(2 * fade * s) + 0.5) / max(2 * fade * s, 1)).astype(np.float32)
    below: np.ndarray | None = None  # the rows that the tile row above left to be blended
    for r in range(len(rows) - 1):
        first_row, last_row = r == 0, r == len(rows) - 2
        top = rows[r] - (0 if first_row else fade)
        bottom = rows[r + 1] + (0 if last_row else fade)
        above, below = below, None

        def tiles(top=top, bottom=bottom, above=above, blend_below=fade > 0 and not last_row):
            nonlocal below
            beside = None  # the columns that the tile to the left left to be blended
            for c in range(len(columns) - 1):
                first, last = c == 0, c == len(columns) - 2
                left = columns[c] - (0 if first else fade)
                output = runner.run(top, bottom, left, columns[c + 1] + (0 if last else fade)).copy()
                if beside is not None:
                    zone = output[:, :, :len(ramp)]
                    zone += (beside - zone) * ramp[::-1]
                if fade and not last:
                    beside, output = output[:, :, -len(ramp):].copy(), output[:, :, :-len(ramp)]
                place = slice(left * s, left * s + output.shape[2])
                if above is not None:
                    zone = output[:, :len(ramp)]
                    zone += (above[:, :, place] - zone) * ramp[::-1, None]
                if blend_below:
                    if below is None:
                        below = np.empty((len(output), len(ramp), runner.width * s), np.float32)
                    below[:, :, place] = output[:, -len(ramp):]
                    output = output[:, :-len(ramp)]
                yield place.start, output
                on_tile()

        yield top * s, tiles()
