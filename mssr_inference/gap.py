"""How far a network that stands for another is from it, on a set of photos."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mssr_compat.errors import UserError
from mssr_data.listing import key_of, list_folder
from mssr_inference.picture import read_picture
from mssr_inference.upscaler import Upscaler
from mssr_inference.upscaling import output_rows
from mssr_inference.writers import Layout


class Gap(NamedTuple):
    """PSNR in dB of 8-bit RGB pictures, no border cropped, mean over the photos."""

    photos: int
    to_each_other: float  #: of the one network against the other
    of_first: float | None  #: against the ground truth, where there is one
    of_second: float | None


def measure_gap(first: Upscaler, second: Upscaler, lq: str, gt: str | None = None) -> Gap:
    """Upscale a folder of LR photos with both networks.

    Args:
        first, second: the networks.
        lq: folder of LR photos.
        gt: folder of their HR photos, of the same names without suffix; may be missing.

    Raises:
        UserError: a folder is missing or empty, an HR photo is missing or of another size.
        CorruptImageError: a photo cannot be read.
    """
    truths = {key_of(image.name): image.name for image in list_folder(gt, '--val-gt')} if gt else None
    figures = []
    for image in list_folder(lq, '--val-lq'):
        pictures = [_upscaled(up, Path(lq) / image.name) for up in (first, second)]
        row = [psnr(*pictures)]
        if truths is not None:
            name = truths.get(key_of(image.name))
            if name is None:
                raise UserError(f'--val-gt {gt} has no photo {key_of(image.name)}, which --val-lq {lq} has.')
            truth = read_picture(Path(gt) / name).pixels
            if truth.shape != pictures[0].shape:
                raise UserError(f'--val-gt {Path(gt) / name} has the shape {truth.shape}, but {pictures[0].shape} is '
                                f'what {image.name} becomes.')
            row += [psnr(picture, truth) for picture in pictures]
        figures.append(row)
    means = np.mean(figures, axis=0)
    return Gap(len(figures), float(means[0]), *(map(float, means[1:]) if truths is not None else (None, None)))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """PSNR in dB of two uint8 pictures; 100 where they are equal."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else 100.0


def _upscaled(upscaler: Upscaler, path: Path) -> np.ndarray:
    picture = read_picture(path)
    height, width = picture.size
    layout = Layout('PNG', height * upscaler.scale, width * upscaler.scale, 3, np.dtype(np.uint8))
    if picture.is_gray:
        picture.pixels = np.repeat(picture.pixels[..., None], 3, -1)
    picture.alpha = None
    return np.concatenate(list(output_rows(upscaler, picture, upscaler.plan(height, width), layout)))
