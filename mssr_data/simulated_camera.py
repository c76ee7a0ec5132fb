"""A camera that is simulated: lens, sensor, noise, JPEG. It takes the demo's photos and those of known degradation."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mssr_arch.imresize import mirrored


def gaussian(deviation: float, reach: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Weights of a blur, (2 reach + 1,) with the sum 1; ``deviation`` and ``reach`` in pixels."""
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=dtype) / deviation) ** 2)
    return weights / weights.sum()


@torch.no_grad()
def take_photo(scene: Tensor, scale: int, lens: tuple[Tensor, Tensor], full_well: float, read_noise: float,
               jpeg_quality: int, random: torch.Generator | np.random.Generator) -> np.ndarray:
    """Photograph a clean picture.

    Args:
        scene: (3, H, W) RGB in [0, 1], any H, W, on the CPU; the light is computed in its type.
        scale: pixels of the scene along a side of a sensor pixel.
        lens: blur across and down, from :func:`gaussian`, in the scene's type; borders are mirrored.
        full_well: photons that saturate a pixel: shot noise has the variance signal / full_well.
        read_noise: deviation, on a full scale of 1.
        jpeg_quality: 1 to 100.
        random: source of the noise; the two kinds draw other numbers, and in another order of pixels and colours.

    Returns:
        (ceil(H / scale), ceil(W / scale), 3), RGB, uint8.
    """
    with torch.autocast('cpu', enabled=False):
        light = scene
        for dim, weights in ((-1, lens[0]), (-2, lens[1])):
            length, reach = light.shape[dim], len(weights) // 2
            light = light.index_select(dim, mirrored(length, reach, length + reach))
            light = F.conv2d(light[:, None], weights.view((1, 1, 1, -1) if dim == -1 else (1, 1, -1, 1)))[:, 0]
        light = F.avg_pool2d(light[None], scale, ceil_mode=True)[0].clamp(0, 1)
        if isinstance(random, torch.Generator):
            light = torch.poisson(light * full_well, generator=random) / full_well
            light = (light + read_noise * torch.randn(light.shape, generator=random)).permute(1, 2, 0).numpy()
        else:
            bgr = light.flip(0).permute(1, 2, 0).numpy()
            bgr = random.poisson(bgr * full_well) / full_well + random.normal(0, read_noise, bgr.shape)
            light = bgr[..., ::-1]
    pixels = np.rint(light.clip(0, 1) * 255).astype(np.uint8)
    code = cv2.imencode('.jpg', np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1]
    return np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])
