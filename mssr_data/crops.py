"""Crops of photos, given their random numbers, and HR crops that resemble an LR crop in what no camera changes."""

import cv2
import numpy as np

CELL = 4  #: LR pixels; coarser than blur, noise and JPEG reach


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


def coarse_contrast(image: np.ndarray, cells: int) -> float:
    """How much a square crop varies from cell to cell, on a logarithmic scale.

    Args:
        image: 8-bit RGB (H, W, 3).
        cells: number of cells along a side; luma is averaged in each.

    Returns:
        The logarithm of the mean absolute difference of neighbouring cells, in 8-bit levels, plus one.
    """
    gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    coarse = cv2.resize(gray, (cells, cells), interpolation=cv2.INTER_AREA)
    return float(np.log1p(np.abs(np.diff(coarse, axis=0)).mean() + np.abs(np.diff(coarse, axis=1)).mean()))


def nearest_contrast(crops: list[np.ndarray], wanted: np.ndarray, lq_size: int) -> np.ndarray:
    """That of ``crops`` (HR) which is nearest to the LR crop ``wanted`` in coarse contrast; the first of equals.

    Cells are 4 LR pixels wide. What is left to tell apart is the camera's. The idea of matching content before a
    discriminator compares: Richter, AlHaija and Koltun, Enhancing photorealism enhancement, TPAMI 2022.
    """
    cells = max(lq_size // CELL, 2)
    goal = coarse_contrast(wanted, cells)
    return min(crops, key=lambda crop: abs(coarse_contrast(crop, cells) - goal))
