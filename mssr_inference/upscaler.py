"""An SR network as a function on pixels: precision, self-ensemble, colour lock."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import lcm
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mssr_arch.imresize import bicubic_downsample
from mssr_arch.memory_use import to_channels_last
from mssr_arch.sharpening import gaussian_blur
from mssr_compat.errors import UserError
from mssr_inference.memory import tile_budget
from mssr_inference.networks import Loaded
from mssr_inference.picture_files import Picture
from mssr_inference.tiling import FADE, TilePlan, TileRunner, exact_reach, plan_tiles, practical_reach

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
LOCK_SIGMA = 4.0  # LR pixels: what the colour lock takes for low frequencies
OVERHEAD = 2.5  # memory beside the input and the output of the widest layer


class Tiling(NamedTuple):
    """How photos are cut: arguments of :meth:`Upscaler.plan`."""

    tile: int | None = None
    overlap: int | str = 'auto'
    memory: int | None = None


BY_MEMORY = Tiling()


@dataclass
class Upscaler:
    """Upscales parts of photos with a loaded network.

    Args:
        loaded: from :func:`mssr_inference.networks.load_upscaler`.
        device: where it computes; the network is moved there.
        precision: ``fp32``, ``bf16`` or ``fp16`` (autocast; inputs, outputs and the mean of the branches stay float32).
        self_ensemble: average the outputs of all eight flips and quarter turns: eight times the work, a little better.
        color_lock: give the output the low frequencies of the photo, against drifting colours; None: where the network
            is meant to be used so.
    """

    loaded: Loaded
    device: torch.device
    precision: str = 'fp32'
    self_ensemble: bool = False
    color_lock: bool | None = None

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise UserError(f'--precision is {self.precision}, but must be one of {", ".join(PRECISIONS)}.')
        self.scale = self.loaded.scale
        self.color_lock = self.loaded.color_lock if self.color_lock is None else self.color_lock
        self.multiple = lcm(*self.loaded.net.multiples)
        to_channels_last(self.loaded.net.to(self.device))  # faster, and equal to rounding

    @torch.inference_mode()
    def __call__(self, lq: Tensor) -> Tensor:
        """(1, 3, H, W) float32 RGB in [0, 1], on any device, to (1, 3, H * scale, W * scale) on this one."""
        lq = lq.to(self.device).contiguous(memory_format=torch.channels_last)
        output = self._self_ensemble(lq) if self.self_ensemble else self._network(lq)
        return lock_color(output, lq, self.scale) if self.color_lock else output

    def upscaled(self, picture: Picture, tiling: Tiling = BY_MEMORY, dtype: type = np.uint8,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> np.ndarray:
        """A photo's pixels without alpha, upscaled: (H * scale, W * scale, 3), or 1 for gray, in all bits of ``dtype``.

        Args:
            picture: the photo.
            tiling: how it is cut; by default to fit into free memory.
            dtype: uint8 or uint16.
            progress: called after each tile with the number of tiles done and of all.

        Raises:
            MemoryError: memory does not hold even the smallest tile.
        """
        (height, width), s = picture.size, self.scale
        result = np.empty((height * s, width * s, 1 if picture.is_gray else 3), dtype)
        plan = self.plan(height, width, *tiling)
        return TileRunner(self, s, picture.part, height, width, plan).into(result, progress)

    def _network(self, lq: Tensor) -> Tensor:
        dtype = PRECISIONS[self.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            return self.loaded.net(lq)

    def _self_ensemble(self, lq: Tensor) -> Tensor:
        total = 0
        for turns in range(4):
            for flip in (False, True):
                seen = lq.rot90(turns, (-2, -1))
                output = self._network(seen.flip(-1) if flip else seen)
                total = total + (output.flip(-1) if flip else output).rot90(-turns, (-2, -1))
        return total / 8

    @cached_property
    def exact_reach(self) -> int | None:
        """How far, in LR pixels, an output depends on the photo; None: on all of it."""
        return exact_reach(self._float(), self.multiple, self.device)

    @cached_property
    def practical_reach(self) -> int:
        """How far an output depends on the photo by a noticeable amount (:func:`tiling.practical_reach`)."""
        return practical_reach(self._float(), self.exact_reach, self.multiple, self.device)

    @cached_property
    def bytes_per_pixel(self) -> int:
        """Bytes that a tile needs for each LR pixel, about: the widest convolution's input and output at HR size."""
        widths = [min(layer.in_channels, layer.out_channels) for layer in self.loaded.net.modules()
                  if isinstance(layer, nn.Conv2d)]
        return int(OVERHEAD * 2 * 4 * self.scale**2 * max([3, *widths]))

    def plan(self, height: int, width: int, tile: int | None = None, overlap: int | str = 'auto',
             memory: int | None = None) -> TilePlan:
        """Cut a photo into tiles that fit into memory; a photo that fits as a whole is not cut.

        Args:
            height, width: of the photo in pixels.
            tile: side of the tiles in pixels without what they see beyond; 0 cuts nothing; None: from free memory.
            overlap: what a tile sees beyond, in pixels; ``auto``: by :attr:`practical_reach`; ``exact``: by
                :attr:`exact_reach`, which makes the tiled output equal to the whole one but for rounding.
            memory: bytes that a tile may take; None: from free memory.

        Raises:
            UserError: ``exact`` is asked of a network that looks at the whole photo.
        """
        if tile == 0:
            return plan_tiles(height, width, None, 0)
        if tile is None:
            pixels = (tile_budget(self.device) if memory is None else memory) // self.bytes_per_pixel
            if height * width <= pixels:
                return plan_tiles(height, width, None, 0)
        reach = self._overlap(overlap)
        if tile is None:
            # What surrounds a tile takes memory, too; yet a tile smaller than that would waste most of the work.
            tile = max(int(pixels**0.5) - 2 * (reach + FADE), reach // 2, 32)
        return plan_tiles(height, width, tile, reach, self.multiple)

    def _overlap(self, overlap: int | str) -> int:
        if overlap == 'auto':
            return self.practical_reach
        if overlap != 'exact':
            return int(overlap)
        if self.exact_reach is None:
            raise UserError('--overlap exact: this network looks at the whole photo (global attention or pooling), '
                            'so that no overlap makes tiles exact; use auto, or --tile 0 to cut nothing.')
        return self.exact_reach

    def _float(self) -> 'Upscaler':
        """The same in float32, in which a cut can be told from rounding."""
        return replace(self, precision='fp32')


def lock_color(output: Tensor, lq: Tensor, scale: int) -> Tensor:
    """Replace the low frequencies of ``output`` by those of the photo ``lq`` that it was made of.

    ``output + up(blur(lq - down(output)))``, clamped to [0, 1]: what output and photo differ in after downsampling
    (bicubic, antialiased) and a Gaussian blur of 4 LR pixels is added back. Texture stays.

    Args:
        output: (N, C, H * scale, W * scale) in [0, 1].
        lq: (N, C, H, W) in [0, 1].
    """
    drift = lq - bicubic_downsample(output, scale)
    drift = gaussian_blur(drift, LOCK_SIGMA)
    drift = F.interpolate(drift, output.shape[-2:], mode='bilinear', align_corners=False)
    return (output + drift).clamp(0, 1)
