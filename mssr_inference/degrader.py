"""A learned degradation as a function from a photo and a key to an LR photo."""

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor

from mssr_arch.degradation_base import what_is_read
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.strength import at_strength
from mssr_inference.networks import Loaded
from mssr_inference.noise_maps import NoiseMaps, keyed_number
from mssr_inference.tiling import exact_reach, plan_tiles

CELL = 512  # HR pixels; a constant, since another would change the rounding of a few pixels
PRECISIONS = {'fp32': torch.float32, 'fp64': torch.float64}
LARGE = 4096  # a photo from whose noise maps the ratios of their sizes are read


class Degrader:
    """Draws LR photos from a stage-1 generator.

    A photo is degraded cell by cell, each with all that the generator sees around it; a generator with attention over
    the whole image (DegradationHAN) takes the photo as a whole. Cells depend on the photo's size alone, are computed
    one at a time, and take their noise from maps of the whole photo: a draw is a function of photo and key, bit by
    bit, on machines of one kind. Between CPU and GPU ``fp32`` may round a pixel in many thousands differently, by one
    level; in ``fp64`` rounding to 8 bits leaves nothing of their differences.

    Args:
        loaded: from :func:`mssr_inference.networks.load_generator`.
        device: where it computes; the network is moved there.
        precision: ``fp32`` or ``fp64``.
        strength: least and largest share of what the generator does beyond bicubic downsampling, drawn for each photo
            (as ``train.lq_strength``); None: all of it.
        noise: least and largest share of its noise, likewise (``train.lq_noise``), or shares at more quantiles
            (:func:`mssr_degradation.noise_match.matched_shares`); None: noise belongs to what ``strength`` is about.
        cell: side of a cell in HR pixels, a multiple of the scale; for tests.
    """

    def __init__(self, loaded: Loaded, device: torch.device, precision: str = 'fp32',
                 strength: Sequence[float] | None = None, noise: Sequence[float] | None = None,
                 cell: int = CELL):
        self.net = loaded.net.to(device, PRECISIONS[precision])
        self.scale, self.device, self.dtype, self.cell = loaded.scale, device, PRECISIONS[precision], cell
        self.strength, self.noise = strength, noise
        self.jpeg_qualities = loaded.jpeg_qualities
        self.bicubic = loaded.scale // self.net.scale  # what DSGAN leaves to interpolation

    @cached_property
    def reach(self) -> int | None:
        """How far, in HR pixels, an output depends on the photo, up to a multiple of the scale; None: on all of it."""
        shares = (0.5, None) if self.strength or self.noise else None  # bicubic LR counts too
        reach = exact_reach(lambda y: self._run(y.to(self.dtype), False, shares), self.scale, self.device, widest=512)
        return None if reach is None else -(-reach // self.scale) * self.scale

    @cached_property
    def ratios(self) -> list[int]:
        """Size of what the generator reads over the size of each noise map."""
        return [LARGE // height for height, _ in self.net.noise_sizes(LARGE, LARGE)]

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
        maps = NoiseMaps(key, [w for _, w in self.net.noise_sizes(height // self.bicubic, width // self.bicubic)])
        shares = self._shares(key)
        result = np.empty((height // s, width // s, photo.shape[2]), np.uint8)
        for top, bottom in zip(plan.rows, plan.rows[1:], strict=False):
            for left, right in zip(plan.columns, plan.columns[1:], strict=False):
                y0, y1 = max(0, top - plan.reach), min(height, bottom + plan.reach)
                x0, x1 = max(0, left - plan.reach), min(width, right + plan.reach)
                y = torch.from_numpy(photo[y0:y1, x0:x1].copy()).to(self.device)
                y = (y.to(self.dtype) / 255).permute(2, 0, 1)[None]
                x = self._run(y, self._noise(maps, y.shape[-2:], y0, x0), shares)[0]
                x = x[:, (top - y0) // s:(bottom - y0) // s, (left - x0) // s:(right - x0) // s]
                x = (x.clamp(0, 1) * 255).round().to(torch.uint8)
                result[top // s:bottom // s, left // s:right // s] = x.permute(1, 2, 0).cpu().numpy()
        return self._through_jpeg(result, key) if self.jpeg_qualities else result

    def _through_jpeg(self, photo: np.ndarray, key: str) -> np.ndarray:
        """As a file of a quality drawn by ``key`` holds it, where the generator was trained with ``train.lq_jpeg``."""
        quality = self.jpeg_qualities[keyed_number(f'{key}/jpeg') % len(self.jpeg_qualities)]
        bgr = np.ascontiguousarray(photo[..., ::-1])
        _, code = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_UNCHANGED).reshape(bgr.shape)[..., ::-1])

    def _shares(self, key: str) -> tuple[float, float | None] | None:
        """Strength and share of noise of the draw ``key``; None: as the generator makes it."""
        def drawn(quantiles, what):
            at = (len(quantiles) - 1) * keyed_number(f'{key}/{what}') / 2**63
            return float(np.interp(at, range(len(quantiles)), quantiles))

        if not self.strength and not self.noise:
            return None
        return drawn(self.strength or (1, 1), 'strength'), drawn(self.noise, 'noise') if self.noise else None

    def _run(self, y: Tensor, noise: list[Tensor] | bool, shares: tuple[float, float | None] | None) -> Tensor:
        read = what_is_read(self.net, y, self.scale)
        if shares is None:
            return self.net(read, noise)
        bicubic = bicubic_downsample(y, self.scale)
        return at_strength(lambda z: self.net(read, z or False), noise or [], bicubic, *shares)

    def _noise(self, maps: NoiseMaps, size: tuple[int, int], top: int, left: int) -> list[Tensor] | bool:
        """The windows of the photo's noise maps that lie under a cell."""
        if not self.net.num_noise:
            return False
        sizes = self.net.noise_sizes(size[0] // self.bicubic, size[1] // self.bicubic)
        windows = []
        for layer, ((height, width), ratio) in enumerate(zip(sizes, self.ratios, strict=True)):
            y, x = (start // self.bicubic // ratio for start in (top, left))
            windows.append(maps.window(layer, y, y + height, x, x + width).to(self.device))
        return windows
