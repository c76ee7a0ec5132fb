"""Restored pictures side by side, of images that are chosen by a rule."""

from pathlib import Path

import cv2
import numpy as np
from _evidence_plan import ROWS, Planner
from _evidence_statistics import image_means
from _evidence_world import SCALE, read_rgb
from PIL import Image, ImageDraw, ImageFont

SIDE = 48  # LR pixels of the square that is shown
SIZE = 320  # pixels a panel
COLUMNS = ('interpolation', 'bicubic', 'deterministic', 'full', 'oracle')
CAPTIONS = {'interpolation': 'bicubic interpolation of LR', 'bicubic': 'SR trained on bicubic LR',
            'deterministic': 'SR on a deterministic generator', 'full': 'full method',
            'oracle': 'SR on the true degradation'}
RULE = ('The images of median and of smallest PSNR gain of {row} over bicubic interpolation (protocol mssr, mean over '
        'the seeds), and in each the square with the most detail in the ground truth.')


def choose(figures: dict, images: list[str], row: str) -> dict[str, str]:
    """``median`` and ``worst`` image by a row's PSNR gain over interpolation; the lower of two middle ones."""
    psnr = [image_means({seed: found['psnr_mssr'] for seed, found in figures[name].items()})
            for name in (row, 'interpolation')]
    order = np.argsort(psnr[0] - psnr[1], kind='stable')
    return {'median': images[order[(len(order) - 1) // 2]], 'worst': images[order[0]]}


def write_pictures(planner: Planner, figures: dict, images: list[str], out: Path) -> dict[str, str]:
    """Write ``pictures_median.png`` and ``pictures_worst.png``; returns which images they show, or nothing to show."""
    row = next((row for row in ('full', 'three', 'mixed', 'probabilistic', 'deterministic', 'bicubic')
                if row in figures), None)
    if row is None or 'interpolation' not in figures:
        return {}
    shown = choose(figures, images, row)
    for name, image in shown.items():
        _panels(planner, figures, images.index(image), image, row, f'{name} gain').save(out / f'pictures_{name}.png')
    return shown


def _panels(planner: Planner, figures: dict, index: int, image: str, row: str, why: str) -> Image.Image:
    truth = read_rgb(planner.world.pairs[image][0])
    top, left = busiest(truth, SIDE * SCALE)
    columns = [name for name in COLUMNS if name in figures]
    if row not in columns:
        columns.insert(columns.index('oracle') if 'oracle' in columns else len(columns), row)
    panels = []
    for name in columns:
        seed = min(figures[name])
        picture = read_rgb(planner.picture(name, int(seed or 0), image))
        psnr = f'{figures[name][seed]["psnr_mssr"][index]:.2f} dB'
        panels.append((picture, CAPTIONS.get(name, ROWS[name].title), psnr))
    panels.append((truth, 'ground truth', ''))
    side = min(SIDE * SCALE, *truth.shape[:2])
    canvas = Image.new('RGB', (len(panels) * (SIZE + 8) - 8, SIZE + 66), 'white')
    draw, font, small = ImageDraw.Draw(canvas), ImageFont.load_default(17), ImageFont.load_default(14)
    seeds = sorted(figures[row])
    draw.text((2, 2), f'{planner.world.name}, {image} ({why} of {row} over bicubic interpolation); seed {seeds[0]}',
              fill='black', font=font)
    for k, (picture, title, psnr) in enumerate(panels):
        crop = Image.fromarray(picture[top:top + side, left:left + side]).resize((SIZE, SIZE), Image.LANCZOS)
        x = k * (SIZE + 8)
        canvas.paste(crop, (x, 66))
        draw.text((x + 2, 27), title, fill='black', font=small)
        draw.text((x + 2, 45), psnr, fill='#444444', font=small)
    return canvas


def busiest(photo: np.ndarray, side: int) -> tuple[int, int]:
    """(top, left) of the square of ``side`` pixels with the largest mean gradient, on a grid of eighths of it."""
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    sums = cv2.integral(gradient)
    side, step = min(side, *gray.shape), max(side // 8, 1)
    best = max((sums[y + side, x + side] - sums[y, x + side] - sums[y + side, x] + sums[y, x], -y, -x)
               for y in range(0, gray.shape[0] - side + 1, step) for x in range(0, gray.shape[1] - side + 1, step))
    return -best[1], -best[2]
