"""A world whose degradation is known: tiles of photographs inside scikit-image, half of them "real" LR, half HR."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage
import torch

from mssr_arch.imresize import bicubic_downsample
from mssr_metric.photo_sets import as_8bit

PHOTOS = ('astronaut.png', 'chelsea.png', 'coffee.png', 'rocket.jpg', 'motorcycle_left.png')
TILE = 144  # HR pixels
DEGRADATIONS = {
    'bicubic': {},
    'soft': {'blur': 1.2},
    'blurred': {'blur': 3.0},
    'noisy': {'noise': 6},
    'very noisy': {'noise': 20},
    'jpeg': {'jpeg': 25},
    'soft, noisy': {'blur': 2.0, 'noise': 6},
}


def as_photos(*images: np.ndarray) -> list[torch.Tensor]:
    """(H, W, 3) BGR in [0, 255] to (3, H, W) RGB in [0, 1]."""
    return [torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).astype(np.float32)) / 255 for image in images]


@cache
def tiles(half: int) -> tuple[np.ndarray, ...]:
    """BGR tiles; those of half 0 and of half 1 alternate like the fields of a chessboard."""
    found = []
    for name in PHOTOS:
        photo = cv2.imread(str(Path(skimage.__file__).parent / 'data' / name))
        rows, columns = photo.shape[0] // TILE, photo.shape[1] // TILE
        found += [photo[r * TILE:(r + 1) * TILE, c * TILE:(c + 1) * TILE]
                  for r in range(rows) for c in range(columns) if (r + c) % 2 == half]
    return tuple(found)


def degrade(image: np.ndarray, seed: int, blur: float = 0, noise: float = 0, jpeg: int | None = None) -> np.ndarray:
    """BGR uint8 HR to BGR uint8 LR, a quarter of the size: blur (HR pixels), noise (levels), JPEG (quality)."""
    image = cv2.GaussianBlur(image, (0, 0), blur) if blur else image
    small = bicubic_downsample(as_photos(image)[0][None], 4)[0].permute(1, 2, 0).numpy()[..., ::-1] * 255
    small = small + noise * np.random.default_rng(seed).standard_normal(small.shape)
    small = np.ascontiguousarray(small.clip(0, 255).round().astype(np.uint8))
    return cv2.imdecode(cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1], 1) if jpeg else small


@cache
def lr_photos(half: int, name: str) -> tuple[np.ndarray, ...]:
    """The tiles of a half through a degradation, BGR uint8."""
    return tuple(degrade(tile, 1000 * half + k, **DEGRADATIONS[name]) for k, tile in enumerate(tiles(half)))


def as_lr(half: int, name: str):
    """The same as photos, (3, h, w)."""
    return [as_8bit(photo) for photo in as_photos(*lr_photos(half, name))]
