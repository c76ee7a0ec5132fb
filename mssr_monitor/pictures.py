"""Pictures for TensorBoard and for the report's files."""

import numpy as np
import torch
from torch import Tensor

from mssr_metric.photo_sets import as_bytes

GAP = 2  # white pixels between pictures


def side_by_side(pictures, across: bool = True) -> Tensor:
    """(3, H, W) RGB pictures in [0, 1], of any sizes, in one, on white; ``across`` or one below the other."""
    pictures = [picture if across else picture.transpose(1, 2) for picture in pictures]
    height = max(picture.shape[1] for picture in pictures)
    width = sum(picture.shape[2] for picture in pictures) + GAP * (len(pictures) - 1)
    whole, left = torch.ones(3, height, width), 0
    for picture in pictures:
        whole[:, :picture.shape[1], left:left + picture.shape[2]] = picture
        left += picture.shape[2] + GAP
    return whole if across else whole.transpose(1, 2)


def heat(values: Tensor, highest: float | None = None) -> Tensor:
    """(h, w) values from 0 as a (3, h, w) picture from black over violet and orange to pale yellow.

    Its brightness rises steadily, so that it reads without colour vision and in print.

    Args:
        values: not negative.
        highest: what is palest; None takes the largest value.
    """
    stops = torch.tensor([[0.0, 0.0, 0.02], [0.32, 0.07, 0.43], [0.73, 0.21, 0.33], [0.98, 0.55, 0.04],
                          [0.99, 1.0, 0.64]])
    highest = float(values.max()) if highest is None else highest
    place = (values / max(highest, 1e-9)).clamp(0, 1) * (len(stops) - 1)
    low = place.floor().long().clamp(max=len(stops) - 2)
    part = (place - low)[..., None]
    return (stops[low] * (1 - part) + stops[low + 1] * part).permute(2, 0, 1)


def kernels_in_a_row(kernels: Tensor) -> Tensor:
    """Kernels (n, K, K), each by :func:`heat` from 0 to its largest tap."""
    return side_by_side([heat(kernel.clamp(min=0)) for kernel in kernels])


def as_arrays(pictures: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """For a file: RGB pictures (..., 3, H, W) as 8 bit, all else as float32."""
    return {name: as_bytes(value).numpy()
            if value.dim() >= 3 and value.shape[-3] == 3 and name != 'injections' else value.float().numpy()
            for name, value in pictures.items()}
