"""Restored pictures side by side, of images that are chosen by a rule, and the plot of all rows."""

import math
from pathlib import Path

import cv2
import numpy as np

from benchmarks.drawing import pyplot, save
from benchmarks.evidence.plan import ROWS, Planner
from benchmarks.evidence.statistics import in_common, paired
from benchmarks.evidence.world import SCALE, read_rgb

SIDE = 48  # LR pixels of the square that is shown
COLUMNS = ('interpolation', 'bicubic', 'deterministic', 'full', 'oracle')
CAPTIONS = {'interpolation': 'bicubic interpolation of LR', 'bicubic': 'SR trained on bicubic LR',
            'deterministic': 'SR on a deterministic generator', 'full': 'full method',
            'oracle': 'SR on the true degradation'}
RULE = ('The images of median and of smallest PSNR gain of {row} over bicubic interpolation (protocol mssr, mean over '
        'the seeds), and in each the square with the most detail in the ground truth.')
PANELS = {'psnr_mssr': 'PSNR against bicubic interpolation, dB', 'ssim_mssr': 'SSIM against bicubic interpolation'}


def of(figures: dict, row: str, metric: str) -> dict:
    """Seed to the figure of each image."""
    return {seed: found[metric] for seed, found in figures[row].items()}


def choose(figures: dict, images: list[str], row: str) -> dict[str, str]:
    """``median`` and ``worst`` image by a row's PSNR gain over interpolation; the lower of two middle ones."""
    _, (ours, theirs) = in_common(*(of(figures, name, 'psnr_mssr') for name in (row, 'interpolation')))
    order = np.argsort((ours - theirs).mean(0), kind='stable')
    return {'median': images[order[(len(order) - 1) // 2]], 'worst': images[order[0]]}


def write_pictures(planner: Planner, figures: dict, images: list[str], out: Path) -> dict[str, str]:
    """Write ``pictures_median.png`` and ``pictures_worst.png``; returns which images they show, or nothing to show."""
    row = next((row for row in ('full', 'three', 'mixed', 'probabilistic', 'deterministic', 'bicubic')
                if row in figures), None)
    if row is None or 'interpolation' not in figures:
        return {}
    shown = choose(figures, images, row)
    columns = [name for name in ROWS if name in figures and name in (*COLUMNS, row)]
    for name, image in shown.items():
        truth = read_rgb(planner.world.pairs[image][0])
        top, left = busiest(truth, SIDE * SCALE)
        panels = []
        for column in columns:
            seed = min(figures[column])
            psnr = figures[column][seed]['psnr_mssr'][images.index(image)]
            panels.append((f'{CAPTIONS.get(column, ROWS[column].title)}\n{psnr:.2f} dB',
                           read_rgb(planner.picture(column, seed, image))))
        square = np.s_[top:top + SIDE * SCALE, left:left + SIDE * SCALE]
        write_strip([(title, picture[square]) for title, picture in (*panels, ('ground truth\n', truth))],
                    f'{planner.world.name}, {image} ({name} gain of {row} over bicubic interpolation); '
                    f'seed {min(figures[row])}', out / f'pictures_{name}.png',
                    zoom=math.ceil(2 * SIDE * SCALE / truth[square].shape[1]))
    return shown


def write_strip(panels: list[tuple[str, np.ndarray]], heading: str, path: Path, zoom: int = 1) -> None:
    """Write pictures of one size, (H, W, 3) RGB uint8, side by side as a PNG, each under its title.

    Args:
        panels: (title of two lines, picture).
        heading: one line above all.
        path: ends in ``.png``.
        zoom: enlarge by this (Lanczos); 1 keeps every pixel as it is.
    """
    gap, above, dpi = 8, 60, 100  # pixels, pixels, and pixels an inch
    height, width = (zoom * side for side in panels[0][1].shape[:2])
    whole = len(panels) * (width + gap) + gap, above + height + gap
    figure = pyplot().figure(figsize=[side / dpi for side in whole], dpi=dpi)
    figure.text(gap / whole[0], 1 - gap / whole[1], heading, va='top')
    for k, (title, picture) in enumerate(panels):
        left = gap + k * (width + gap)
        figure.figimage(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LANCZOS4) if zoom > 1 else picture,
                        left, gap)
        figure.text(left / whole[0], (gap + height + gap / 2) / whole[1], title, va='bottom')
    save(figure, path, tight=False)


def busiest(photo: np.ndarray, side: int) -> tuple[int, int]:
    """(top, left) of the square of ``side`` pixels with the largest mean gradient, on a grid of eighths of it."""
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    sums = cv2.integral(gradient)
    side, step = min(side, *gray.shape), max(side // 8, 1)
    best = max((sums[y + side, x + side] - sums[y, x + side] - sums[y + side, x] + sums[y, x], -y, -x)
               for y in range(0, gray.shape[0] - side + 1, step) for x in range(0, gray.shape[1] - side + 1, step))
    return -best[1], -best[2]


def write_plot(figures: dict, path: Path) -> None:
    """Gain over bicubic interpolation of each row, with its 95 % interval over the images."""
    rows = [row for row in ROWS if row in figures and row != 'interpolation'] if 'interpolation' in figures else []
    figure, panels = pyplot().subplots(1, 2, sharey=True, figsize=(9, 1.2 + 0.35 * len(rows)))
    for panel, (metric, label) in zip(panels, PANELS.items(), strict=True):
        for k, row in enumerate(rows):
            gain = paired(of(figures, row, metric), of(figures, 'interpolation', metric))
            half = gain.high - gain.mean  # endless for a single image, which shows as none
            panel.errorbar(gain.mean, k, xerr=half if np.isfinite(half) else 0, fmt='o', capsize=3, color='C0')
        panel.axvline(0, color='#444444', linewidth=1)
        panel.grid(axis='x', color='#dddddd')
        panel.set_xlabel(label)
    panels[0].set_yticks(range(len(rows)), [ROWS[row].title for row in rows])
    panels[0].invert_yaxis()
    save(figure, path)
