"""Random crops, flips and quarter turns, given their random numbers."""

import numpy as np


def random_crop(image: np.ndarray, size: int, row: int, column: int) -> np.ndarray:
    """A ``size`` x ``size`` window of ``image`` (H, W, ...) as a view; any integers >= 0 choose where it lies.

    Raises:
        ValueError: the image is smaller than the window.
    """
    height, width = image.shape[:2]
    if min(height, width) < size:
        raise ValueError(f'{width}x{height} px is smaller than the {size}x{size} crop')
    top = int(row) % (height - size + 1)
    left = int(column) % (width - size + 1)
    return image[top:top + size, left:left + size]


def flip_and_turn(image: np.ndarray, flip: int, turns: int, use_hflip: bool = True, use_rot: bool = True) -> np.ndarray:
    """Mirror ``image`` (H, W, ...) left to right for an odd ``flip``, then give it ``turns`` quarter turns; a view.

    With both, all eight symmetries of the square are equally likely.
    """
    if use_hflip and int(flip) % 2:
        image = image[:, ::-1]
    if use_rot:
        image = np.rot90(image, int(turns) % 4)
    return image
