"""Noise maps of whole photos, made piece by piece and the same whatever the pieces."""

import hashlib
from functools import lru_cache

import torch
from torch import Tensor

STRIP = 64  # rows that are drawn at once
KEPT = 16  # strips of one map in memory; enough for a row of cells


class NoiseMaps:
    """The standard normal maps that one draw of one photo takes.

    Map ``layer`` is drawn in strips of 64 rows, each from a CPU generator seeded by a hash of the key, the layer and
    the strip. Any window of it is thus the same numbers, on any device, in any order.

    Args:
        key: what makes this draw itself: seed, photo and number of the draw.
        widths: width of each map in pixels, as the whole photo needs it.
    """

    def __init__(self, key: str, widths: list[int]):
        self.key, self.widths = key, widths
        self._strip = lru_cache(KEPT * max(len(widths), 1))(self._draw)

    def window(self, layer: int, top: int, bottom: int, left: int, right: int) -> Tensor:
        """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``: (1, 1, h, w) float32 on the CPU."""
        first, end = top // STRIP, -(-bottom // STRIP)
        strips = torch.cat([self._strip(layer, strip) for strip in range(first, end)])
        return strips[None, None, top - first * STRIP:bottom - first * STRIP, left:right]

    def _draw(self, layer: int, strip: int) -> Tensor:
        return torch.randn(STRIP, self.widths[layer], generator=keyed_generator(f'{self.key}/{layer}/{strip}'))


def keyed_generator(key: str) -> torch.Generator:
    """A CPU generator whose numbers are a function of ``key``."""
    return torch.Generator().manual_seed(keyed_number(key))


def keyed_number(key: str) -> int:
    """A uniform 63-bit number that is a function of ``key``."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], 'big') >> 1
