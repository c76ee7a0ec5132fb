"""BasicSR's NIQE fails in numpy's depths on photos that it cannot judge."""

import warnings
from functools import wraps

import numpy as np

from mssr_compat.errors import UserError

_BLOCK = 96  # pixels a side of the blocks whose statistics it compares


def mend_niqe() -> None:
    """Register ``calculate_niqe`` anew: too small a photo is a :class:`UserError`, and one without texture has nan.

    It compares the covariance of blocks of 96 x 96 pixels with that of natural photos. Of a single block there is none,
    nor of flat ones. Idempotent.
    """
    from basicsr.metrics.niqe import calculate_niqe  # at last, for it imports all of BasicSR
    from basicsr.utils.registry import METRIC_REGISTRY

    @wraps(calculate_niqe)
    def calculate(img, crop_border, input_order='HWC', convert_to='y', **kwargs):
        height, width = img.shape[1:] if input_order == 'CHW' else img.shape[:2]
        complaint = too_small_for_niqe(width, height, crop_border)
        if complaint:
            raise UserError(f'val.metrics: {complaint}')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', RuntimeWarning)  # means of nothing, in flat blocks
            try:
                return calculate_niqe(img, crop_border, input_order, convert_to, **kwargs)
            except np.linalg.LinAlgError:
                return float('nan')

    METRIC_REGISTRY._obj_map['calculate_niqe'] = calculate


def too_small_for_niqe(width: int, height: int, crop_border: int) -> str | None:
    """Why a restored photo of ``width`` x ``height`` pixels cannot be judged, or None."""
    if (width - 2 * crop_border) // _BLOCK * ((height - 2 * crop_border) // _BLOCK) > 1:
        return None
    return (f'NIQE needs two blocks of {_BLOCK} x {_BLOCK} pixels, but a restored photo has {width}x{height}, of which '
            f'{crop_border} go from each side: leave it or this metric out')
