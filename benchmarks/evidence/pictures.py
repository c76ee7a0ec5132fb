"""Restored pictures side by side, of images that are chosen by a rule, and the plot of all rows."""

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
        size = (3.4 * (len(columns) + 1), 4.1)
        figure, panels = pyplot().subplots(1, len(columns) + 1, figsize=size, layout='constrained')
        for panel, column in zip(panels, (*columns, None), strict=True):
            picture, title = truth, 'ground truth\n'
            if column:
                seed = min(figures[column])
                picture = read_rgb(planner.picture(column, seed, image))
                psnr = figures[column][seed]['psnr_mssr'][images.index(image)]
                title = f'{CAPTIONS.get(column, ROWS[column].title)}\n{psnr:.2f} dB'
            panel.imshow(picture[top:top + SIDE * SCALE, left:left + SIDE * SCALE], interpolation='lanczos')
            panel.set_title(title, loc='left')
            panel.set_axis_off()
        figure.suptitle(f'{planner.world.name}, {image} ({name} gain of {row} over bicubic interpolation); '
                        f'seed {min(figures[row])}')
        save(figure, out / f'pictures_{name}.png')
    return shown


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
