"""Upscaled photos against ground truth, where there are aligned pairs."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from basicsr.utils import tensor2img

from mssr_adapt.ways import Way
from mssr_compat.errors import UserError
from mssr_data.listing import key_of, list_folder
from mssr_inference.picture_files import read_picture
from mssr_metric.perceptual_metrics import calculate_lpips, prepare_lpips
from mssr_metric.protocols import calculate_psnr_protocol, calculate_ssim_protocol

Name = TypeVar('Name')
Scores = tuple[float, ...]  # one of each metric


def read_pairs(gt: Path, lq: Path, scale: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ground truth and LR photos, (H, W, 3) RGB uint8, by equal names without suffix.

    Raises:
        UserError: a photo has no partner, or the sizes do not fit.
    """
    names = [{key_of(image.name): folder / image.name for image in list_folder(str(folder), '--pairs')}
             for folder in (gt, lq)]
    alone = sorted(set(names[0]) ^ set(names[1]))
    if alone:
        raise UserError(f"--pairs: '{alone[0]}' is not in both folders, '{gt}' and '{lq}'.")
    pairs = [tuple(read_picture(files[key]).rgb8() for files in names) for key in sorted(names[0])]
    for key, (truth, photo) in zip(sorted(names[0]), pairs, strict=True):
        if truth.shape[:2] != tuple(scale * side for side in photo.shape[:2]):
            raise UserError(f"--pairs: '{key}' has {truth.shape[1]} x {truth.shape[0]} pixels of ground truth and "
                            f'{photo.shape[1]} x {photo.shape[0]} of LR, but scale is {scale}.')
    return pairs


@torch.no_grad()
def measure_pairs(ways: dict[Name, Way], gt: Path, lq: Path, scale: int
                  ) -> tuple[list[str], dict[Name, Scores]]:
    """How near to ground truth ways of enlarging come.

    Returns:
        Names of metrics: PSNR and SSIM (protocol ``mssr``), and LPIPS where its weights are there; and their means over
        the pairs for each way.

    Raises:
        UserError: as :func:`read_pairs`.
    """
    pairs, metrics, rows = read_pairs(gt, lq, scale), ['PSNR (dB)', 'SSIM'], {}
    try:
        prepare_lpips()
        metrics.append('LPIPS')
    except UserError:
        pass  # no weights, no column
    for name, restore in ways.items():
        figures = []
        for truth, photo in pairs:
            x = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
            result, wanted = tensor2img(restore(x)), np.ascontiguousarray(truth[..., ::-1])
            row = [calculate_psnr_protocol(result, wanted, 'mssr'), calculate_ssim_protocol(result, wanted, 'mssr')]
            figures.append(row + ([calculate_lpips(result, wanted)] if 'LPIPS' in metrics else []))
        rows[name] = tuple(map(float, np.mean(figures, axis=0)))
    return metrics, rows
