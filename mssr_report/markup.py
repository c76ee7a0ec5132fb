"""Pieces of HTML: text, tables, pictures that are part of the page."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import PurePath

import cv2
import numpy as np

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


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = '') -> str:
    """A table of cells that are HTML already; the first column is the row's head."""
    cells = ''.join(f'<th scope="col">{cell}</th>' for cell in head)
    body = ''.join('<tr>' + f'<th scope="row">{row[0]}</th>' + ''.join(f'<td>{cell}</td>' for cell in row[1:]) + '</tr>'
                   for row in rows)
    thead = f'<thead><tr>{cells}</tr></thead>' if head else ''
    return f'<div class="scroll"><table class="{kind}">{thead}<tbody>{body}</tbody></table></div>'


def data_uri(picture: np.ndarray) -> str:
    """An RGB picture, (3, H, W) uint8, as part of the page: PNG, or JPEG where it is large."""
    bgr = np.ascontiguousarray(picture.transpose(1, 2, 0)[..., ::-1])
    large = bgr.shape[0] * bgr.shape[1] > JPEG_FROM
    done, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 92]) if large else cv2.imencode('.png', bgr)
    assert done
    return f'data:image/{"jpeg" if large else "png"};base64,{base64.b64encode(data).decode()}'


def image(picture: np.ndarray, title: str, width: int = 176) -> str:
    """A figure with its title below, enlarged pixel by pixel."""
    return (f'<figure style="width:{width}px"><img class="pixels" src="{data_uri(picture)}" alt="{text(title)}">'
            f'<figcaption>{text(title)}</figcaption></figure>')


def heat_map(values: np.ndarray, title: str, highest: float, width: int = 176) -> str:
    """(h, w) values from 0 to ``highest`` as a picture from black to pale yellow."""
    import torch

    return image((heat(torch.from_numpy(values), highest).numpy() * 255).round().astype(np.uint8), title, width)


def heat_scale(highest: float, unit: str) -> str:
    """What the colours of heat maps mean."""
    ramp = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (10, 1))
    import torch

    picture = (heat(torch.from_numpy(ramp), 1.0).numpy() * 255).round().astype(np.uint8)
    return (f'<p class="scale"><span>0</span><img src="{data_uri(picture)}" alt="colour scale">'
            f'<span>{number(highest)} {text(unit)}</span></p>')


def row(*figures: str) -> str:
    """Figures beside each other, wrapped where the page is narrow."""
    return f'<div class="row">{"".join(figures)}</div>'


def section(title: str, *parts: str) -> str:
    """A titled section; parts that are empty are left out."""
    return f'<section><h2>{text(title)}</h2>{"".join(part for part in parts if part)}</section>'


def note(sentence: str) -> str:
    """A sentence about what is not there."""
    return f'<p class="note">{text(sentence)}</p>'


def short_path(path) -> str:
    """The last three parts of a path, for tables; the whole in its title."""
    parts = PurePath(str(path)).parts
    shown = str(path) if len(parts) <= 3 else '…/' + '/'.join(parts[-3:])
    return f'<span title="{text(path)}">{text(shown)}</span>'
