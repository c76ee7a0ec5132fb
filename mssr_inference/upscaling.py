"""One photo file to one upscaled file, in bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from mssr_inference.picture import Picture, read_picture
from mssr_inference.tiling import TilePlan, TileRunner, stream_rows
from mssr_inference.upscaler import Upscaler
from mssr_inference.writers import Layout, write_picture

ALPHA_MARGIN = 3  # pixels that bicubic interpolation looks at on either side, and one
DEEP_FORMATS = ('PNG', 'TIFF')  # those that hold 16 bits


@dataclass
class Tiling:
    """How photos are cut: the arguments of :meth:`Upscaler.plan`."""

    tile: int | None = None
    overlap: int | str = 'auto'
    memory: int | None = None


def upscale_file(upscaler: Upscaler, source: str | Path, target: str | Path, format: str, tiling: Tiling | None = None,
                 quality: int = 95, progress: Callable[[int, int], None] = lambda done, total: None) -> Picture:
    """Upscale a photo file.

    Gray stays gray, 16 bits stay 16 bits in PNG and TIFF, alpha (enlarged bicubically) stays except in JPEG, and the
    colour profile stays. All of the decoded photo and a few rows of the result are in memory, no more; for WebP,
    which is encoded in one piece, all of the result.

    Args:
        upscaler: the network.
        source: the photo.
        target: the file to write.
        format: PNG, JPEG, WEBP or TIFF.
        tiling: how it is cut; by default to fit into free memory.
        quality: of JPEG and WebP, 1 to 100.
        progress: called after each tile with the number of tiles done and of all.

    Returns:
        The photo that was read.

    Raises:
        CorruptImageError: the photo cannot be read, or the format cannot hold the result.
        MemoryError: memory does not hold even the smallest tile.
        OSError: the result cannot be written.
    """
    picture = read_picture(source)
    tiling = tiling or Tiling()
    height, width = picture.size
    plan = upscaler.plan(height, width, tiling.tile, tiling.overlap, tiling.memory)
    has_alpha = picture.alpha is not None and format != 'JPEG'
    deep = picture.white > 255 and format in DEEP_FORMATS
    layout = Layout(format, height * upscaler.scale, width * upscaler.scale,
                    (1 if picture.is_gray else 3) + has_alpha, np.dtype(np.uint16 if deep else np.uint8),
                    picture.icc, picture.exif, quality)
    write_picture(target, layout, output_rows(upscaler, picture, plan, layout, progress))
    return picture


def output_rows(upscaler: Upscaler, picture: Picture, plan: TilePlan, layout: Layout,
                progress: Callable[[int, int], None] = lambda done, total: None) -> Iterator[np.ndarray]:
    """The upscaled photo as ``layout`` wants it: (h, width, channels) arrays of integers, from top to bottom."""
    height, width = picture.size
    runner = TileRunner(upscaler, upscaler.scale, picture.part, height, width, plan)
    white = np.iinfo(layout.dtype).max
    colours = 1 if picture.is_gray else 3
    done = 0
    for top, tiles in stream_rows(runner):
        rows: np.ndarray | None = None
        for left, tile in tiles:
            if rows is None:
                rows = np.empty((tile.shape[1], layout.width, layout.channels), layout.dtype)
            place = slice(left, left + tile.shape[2])
            rows[:, place, :colours] = quantised(tile if colours == 3 else tile.mean(0, keepdims=True), white)
            if layout.channels > colours:
                alpha = enlarged(picture.alpha, upscaler.scale, top, top + tile.shape[1], left, place.stop)
                rows[:, place, colours:] = quantised(alpha[None] / np.float32(picture.white), white)
            done += 1
            progress(done, plan.num_tiles)
        yield rows


def quantised(values: np.ndarray, white: int) -> np.ndarray:
    """(C, h, w) float32 to (h, w, C) integers 0 to ``white``, rounded."""
    return np.rint(values.clip(0, 1) * white).transpose(1, 2, 0).astype(np.uint16 if white > 255 else np.uint8)


def enlarged(values: np.ndarray, scale: int, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """That window of ``values`` (H, W) enlarged bicubically, (bottom - top, right - left) float32.

    Windows fit together without a seam: each is cut from what the whole would be.
    """
    height, width = values.shape
    y0, x0 = max(top // scale - ALPHA_MARGIN, 0), max(left // scale - ALPHA_MARGIN, 0)
    y1 = min(-(-bottom // scale) + ALPHA_MARGIN, height)
    x1 = min(-(-right // scale) + ALPHA_MARGIN, width)
    part = torch.from_numpy(values[y0:y1, x0:x1].astype(np.float32))[None, None]
    part = F.interpolate(part, scale_factor=scale, mode='bicubic', align_corners=False)[0, 0].numpy()
    return part[top - y0 * scale:bottom - y0 * scale, left - x0 * scale:right - x0 * scale]
