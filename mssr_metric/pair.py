"""What every metric asks of the two images that it compares."""

import numpy as np

from mssr_compat.errors import UserError


def check_pair(metric: str, img: np.ndarray, img2: np.ndarray, crop_border: int, smallest: int) -> None:
    """Refuse a pair that the metric cannot compare.

    Args:
        metric: its name, for messages.
        img, img2: (H, W, C) or (H, W).
        crop_border: pixels that the metric will cut from each side.
        smallest: pixels a side that it needs after that.

    Raises:
        UserError: the sizes differ, or too few pixels are left.
    """
    if img.shape != img2.shape:
        raise UserError(f'{metric} compares images of the same size, but the result is {_size(img)} and the ground '
                        f'truth {_size(img2)}: the datasets\' scale and the networks\' must agree, and the ground '
                        'truth must be exactly scale times the LR image')
    if crop_border < 0:
        raise UserError(f'{metric}: crop_border is {crop_border}, but must be 0 or more')
    if min(img.shape[:2]) - 2 * crop_border < smallest:
        raise UserError(f'{metric} needs at least {smallest} px a side, but the images are {_size(img)} and '
                        f'{crop_border} px go from each side: leave these images or this metric out')


def _size(image: np.ndarray) -> str:
    channels = f' with {image.shape[2]} channels' if image.ndim == 3 and image.shape[2] != 3 else ''
    return f'{image.shape[1]}x{image.shape[0]}{channels if image.ndim == 3 else " gray"}'
