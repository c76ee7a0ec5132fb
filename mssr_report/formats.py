"""Values as the page shows them: text, numbers, paths, pictures."""

import base64
from html import escape
from pathlib import PurePath

import cv2
import numpy as np
import torch

from mssr_monitor.pictures import heat  # one palette for TensorBoard and report

JPEG_FROM = 256 * 256  # pixels, from which a photo is kept as JPEG: a page of large PNGs would be too large to mail


def text(value) -> str:
    """Anything as text that HTML takes literally."""
    return escape(str(value))


def number(value) -> str:
    """Three significant digits, or a dash for what is not there."""
    if value is None or not np.isfinite(value):
        return '–'
    if abs(value) < 1e-5:
        return '0'
    if abs(value) >= 1000:
        return f'{value:,.0f}'
    return f'{value:.3g}' if abs(value) >= 1e-3 else f'{value:.1e}'


def exact(value) -> str:
    """As papers give metrics: two decimals from 10 on (dB), else four; a dash for what is not there."""
    if value is None or not np.isfinite(value):
        return '–'
    return f'{value:.2f}' if abs(value) >= 10 else f'{value:.4f}'


def short_path(path) -> str:
    """The last three parts of a path, for tables; the whole in its title."""
    parts = PurePath(str(path)).parts
    shown = str(path) if len(parts) <= 3 else '…/' + '/'.join(parts[-3:])
    return f'<span title="{text(path)}">{text(shown)}</span>'


def data_uri(picture: np.ndarray) -> str:
    """An RGB picture, (3, H, W) uint8, as part of the page: PNG, or JPEG where it is large."""
    bgr = np.ascontiguousarray(picture.transpose(1, 2, 0)[..., ::-1])
    large = bgr.shape[0] * bgr.shape[1] > JPEG_FROM
    done, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 92]) if large else cv2.imencode('.png', bgr)
    assert done
    return f'data:image/{"jpeg" if large else "png"};base64,{base64.b64encode(data).decode()}'


def heat_map(values: np.ndarray, highest: float) -> np.ndarray:
    """(h, w) values from 0 to ``highest`` as an RGB picture (3, h, w) uint8, from black to pale yellow."""
    return (heat(torch.from_numpy(values), highest).numpy() * 255).round().astype(np.uint8)
