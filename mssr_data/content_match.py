"""HR crops that resemble an LR crop in what no camera changes, so that what is left to tell apart is the camera's."""

import cv2
import numpy as np

CELL = 4  #: LR pixels; coarser than blur, noise and JPEG reach


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

    Cells are 4 LR pixels wide. The idea of matching content before a discriminator compares: Richter, AlHaija and
    Koltun, Enhancing photorealism enhancement, TPAMI 2022.
    """
    cells = max(lq_size // CELL, 2)
    goal = coarse_contrast(wanted, cells)
    return min(crops, key=lambda crop: abs(coarse_contrast(crop, cells) - goal))
