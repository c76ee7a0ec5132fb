"""A learned degradation as a function from a photo and a key to an LR photo, whatever the photo's size."""

import hashlib
from functools import cached_property, lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from mssr_degradation import LearnedDegradation
from mssr_inference.tiling import exact_reach, plan_tiles
from mssr_metric.photo_sets import as_pixels

CELL = 512  # HR pixels; a constant, since another would change the rounding of a few pixels
LARGE = 4096  # a photo from whose noise maps the ratios of their sizes are read
STRIP = 64  # rows of a noise map that are drawn at once
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
        random = torch.Generator().manual_seed(keyed_number(f'{self.key}/{layer}/{strip}'))
        return torch.randn(STRIP, self.widths[layer], generator=random)


def keyed_number(key: str) -> int:
    """A uniform 63-bit number that is a function of ``key``."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], 'big') >> 1


class Degrader:
    """Draws LR photos from a stage-1 generator.

    A photo is degraded cell by cell, each with all that the generator sees around it; a generator with attention over
    the whole image (DegradationHAN) takes the photo as a whole. Cells depend on the photo's size alone, are computed
    one at a time, and take their noise from maps of the whole photo: a draw is a function of photo and key, bit by
    bit, on machines of one kind. Between CPU and GPU a pixel in many thousands may be rounded differently, by one
    level. JPEG is OpenCV's, not that of training, which imitates it.

    Args:
        degradation: what it draws from.
        device: where it computes; the degradation is moved there.
        cell: side of a cell in HR pixels, a multiple of the scale; for tests.
    """

    def __init__(self, degradation: LearnedDegradation, device: torch.device, cell: int = CELL):
        self.degradation, self.device, self.cell = degradation.to(device), device, cell
        self.net, self.scale = degradation.generator, degradation.scale
        self.dtype = next((p.dtype for p in self.net.parameters()), torch.float32)
        self.factor = self.scale // self.net.scale  # what DSGAN leaves to interpolation

    @cached_property
    def reach(self) -> int | None:
        """How far, in HR pixels, an output depends on the photo, up to a multiple of the scale; None: on all of it."""
        strength = 0.5 if self.degradation.strength or self.degradation.noise else None  # bicubic LR counts too
        reach = exact_reach(lambda y: self.degradation.degrade(y.to(self.dtype), [], strength), self.scale, self.device,
                            widest=512)
        return None if reach is None else -(-reach // self.scale) * self.scale

    @cached_property
    def ratios(self) -> list[int | None]:
        """Size of what the generator reads over that of each noise map; None: it is of the whole photo, of one size."""
        sizes = zip(self.net.noise_sizes(LARGE, LARGE), self.net.noise_sizes(2 * LARGE, 2 * LARGE), strict=True)
        return [None if height == twice else LARGE // height for (height, _), (twice, _) in sizes]

    @torch.inference_mode()
    def __call__(self, photo: np.ndarray, key: str) -> np.ndarray:
        """One draw.

        Args:
            photo: (H, W, 3) RGB uint8, H and W multiples of the scale.
            key: what makes this draw itself; see :class:`NoiseMaps`.

        Returns:
            (H / scale, W / scale, 3) RGB uint8: clamped and rounded, as a camera's.

        Raises:
            MemoryError, torch.OutOfMemoryError: a cell, or the photo where it has to be whole, does not fit.
        """
        height, width = photo.shape[:2]
        s, cell = self.scale, None if self.reach is None else self.cell
        plan = plan_tiles(height, width, cell, self.reach or 0, s)
        maps = NoiseMaps(key, [w for _, w in self.net.noise_sizes(height // self.factor, width // self.factor)])
        shares = self._shares(key)
        result = np.empty((height // s, width // s, photo.shape[2]), np.uint8)
        for top, bottom in zip(plan.rows, plan.rows[1:], strict=False):
            for left, right in zip(plan.columns, plan.columns[1:], strict=False):
                y0, y1 = max(0, top - plan.reach), min(height, bottom + plan.reach)
                x0, x1 = max(0, left - plan.reach), min(width, right + plan.reach)
                y = torch.from_numpy(photo[y0:y1, x0:x1].copy()).to(self.device)
                y = (y.to(self.dtype) / 255).permute(2, 0, 1)[None]
                x = self.degradation.degrade(y, self._noise(maps, y.shape[-2:], y0, x0), *shares)[0]
                x = x[:, (top - y0) // s:(bottom - y0) // s, (left - x0) // s:(right - x0) // s]
                result[top // s:bottom // s, left // s:right // s] = as_pixels(x)
        return self._through_jpeg(result, key) if self.degradation.jpeg else result

    def _through_jpeg(self, photo: np.ndarray, key: str) -> np.ndarray:
        """As a file of a quality drawn by ``key`` holds it, where the generator was trained with ``train.lq_jpeg``."""
        qualities = self.degradation.jpeg.qualities
        quality = qualities[keyed_number(f'{key}/jpeg') % len(qualities)]
        bgr = np.ascontiguousarray(photo[..., ::-1])
        _, code = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_UNCHANGED).reshape(bgr.shape)[..., ::-1])

    def _shares(self, key: str) -> tuple[float | None, float | None]:
        """Strength and share of noise of the draw ``key``; None twice: as the generator makes it."""
        def drawn(quantiles, what):
            at = (len(quantiles) - 1) * keyed_number(f'{key}/{what}') / 2**63
            return float(np.interp(at, range(len(quantiles)), quantiles))

        strength, noise = self.degradation.strength, self.degradation.noise
        if not strength and not noise:
            return None, None
        return drawn(strength or (1, 1), 'strength'), drawn(noise, 'noise') if noise else None

    def _noise(self, maps: NoiseMaps, size: tuple[int, int], top: int, left: int) -> list[Tensor]:
        """The windows of the photo's noise maps that lie under a cell."""
        sizes = self.net.noise_sizes(size[0] // self.factor, size[1] // self.factor)
        windows = []
        for layer, ((height, width), ratio) in enumerate(zip(sizes, self.ratios, strict=True)):
            y, x = (start // self.factor // ratio if ratio else 0 for start in (top, left))
            windows.append(maps.window(layer, y, y + height, x, x + width).to(self.device))
        return windows
