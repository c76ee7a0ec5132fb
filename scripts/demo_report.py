"""What the demo learned: a table of PSNR and SSIM, figures of the learned degradations, and one picture.

    python scripts/demo_report.py [--output demo/mssr_demo.png]
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mssr_inference  # noqa: F401  (shims before BasicSR's first import; registers the networks)

# isort: split
import cv2
import numpy as np
import torch
from basicsr.utils import img2tensor, tensor2img
from basicsr.utils.matlab_functions import imresize
from PIL import Image, ImageDraw, ImageFont

from mssr_arch.degradation_base import what_is_read
from mssr_arch.frequency_filters import build_filter
from mssr_arch.imresize import bicubic_downsample
from mssr_inference.networks import load_generator, load_upscaler
from mssr_metric.protocols import calculate_psnr_protocol, calculate_ssim_protocol

SCALE = 4
GENERATORS = {'DeResnet': 'demo_degradation_deresnet', 'HAN': 'demo_degradation_han'}


def read_pairs(root):
    """(name, LR, HR) of the validation pairs, (1, 3, H, W) RGB in [0, 1]."""
    pairs = []
    for path in sorted((root / 'valid-gt-clean').glob('*.png')):
        hr, lr = (img2tensor(cv2.imread(str(file)) / np.float32(255))[None]
                  for file in (path, root / 'valid-input-noisy' / path.name))
        pairs.append((path.stem, lr, hr))
    return pairs


def degrade(generator, hr, noise=None):
    """One LR photo that a generator draws of an HR photo; ``noise=False``: without noise."""
    return generator(what_is_read(generator, hr, SCALE), noise).clamp(0, 1)


@torch.no_grad()
def restore(ensemble, pairs):
    """{method: [image]} for bicubic interpolation, each branch, and their mean."""
    outputs = [ensemble(lr, all_branches=True) for _, lr, _ in pairs]
    branches = {f'S_{k + 1}': [out[k] for out in outputs] for k in range(len(outputs[0]))}
    bicubic = [imresize(lr[0], SCALE)[None].clamp(0, 1) for _, lr, _ in pairs]
    return {'bicubic': bicubic, **branches, 'ensemble': [out.mean(0) for out in outputs]}


def measure(results, pairs):
    """{method: (PSNR, SSIM) of each pair}, protocol mssr."""
    return {method: [tuple(figure(tensor2img(image), tensor2img(hr), 'mssr')
                           for figure in (calculate_psnr_protocol, calculate_ssim_protocol))
                     for image, (_, _, hr) in zip(images, pairs, strict=True)] for method, images in results.items()}


def noise_level(lr):
    """Noise, 8-bit levels: the median absolute diagonal Haar coefficient, scaled as of a normal distribution."""
    diagonal = build_filter('wavelet').split(lr)[1][:, :, 2]
    return (diagonal.abs().median() / 0.6745 * 255).item()


def detail(lr, bicubic):
    """Contrast of fine detail relative to the bicubic LR: 1 is as sharp, less is blurred. Noise does not enter."""
    ours, theirs = (build_filter('wavelet').split(x)[1][:, :, :2] for x in (lr, bicubic))
    return ((ours * theirs).sum() / theirs.square().sum()).item()


@torch.no_grad()
def describe_degradations(generators, pairs):
    """Rows (name, noise, detail, deviation between draws) over the validation HR photos, whose real LR is known."""
    torch.manual_seed(0)
    bicubic = [bicubic_downsample(hr, SCALE) for _, _, hr in pairs]
    rows = [('bicubic', bicubic, 0.0), ('real LR', [lr for _, lr, _ in pairs], None)]
    for name, generator in generators.items():
        draws = [torch.cat([degrade(generator, hr) for _ in range(8)]) for _, _, hr in pairs]
        deviation = np.mean([draw.std(0).mean().item() * 255 for draw in draws])
        rows.append((name, [draw[:1] for draw in draws], deviation))
    return [(name, np.mean([noise_level(lr) for lr in lrs]), np.mean(list(map(detail, lrs, bicubic))), deviation)
            for name, lrs, deviation in rows]


def print_tables(figures, degradations, pairs):
    print(f'Validation: {len(pairs)} pairs, none of their pixels trained on. PSNR in dB and SSIM: 8-bit RGB, no border '
          'cropped (protocol mssr).')
    print(f'  {"":10} {"PSNR":>7} {"SSIM":>7}')
    for method, values in figures.items():
        psnr, ssim = np.mean(values, axis=0)
        print(f'  {method:10} {psnr:7.2f} {ssim:7.4f}')
    gain = np.mean(figures['ensemble'], axis=0)[0] - np.mean(figures['bicubic'], axis=0)[0]
    print(f'  the ensemble is {gain:+.2f} dB against bicubic interpolation\n')
    print('Learned degradations, on the same HR photos. Noise and deviation between two draws in 8-bit levels; detail '
          'is contrast\nrelative to the bicubic LR. Both generators start noise-free.')
    print(f'  {"":10} {"noise":>7} {"detail":>7} {"draws":>7}')
    for name, noise, sharpness, deviation in degradations:
        print(f'  {name:10} {noise:7.2f} {sharpness:7.2f} ' + ('      -' if deviation is None else f'{deviation:7.2f}'))


def panel(image, label, size):
    """A labelled square panel: (1, 3, h, w) enlarged without smoothing, so that its pixels can be seen."""
    picture = Image.fromarray(tensor2img(image, rgb2bgr=False)).resize((size, size), Image.NEAREST)
    canvas = Image.new('RGB', (size, size + 26), 'white')
    canvas.paste(picture, (0, 26))
    ImageDraw.Draw(canvas).text((4, 4), label, fill='black', font=ImageFont.load_default(16))
    return canvas


def middle(image, scale, side):
    """The central square of ``side`` LR pixels, at ``scale``."""
    top, left = ((length // scale - side) // 2 * scale for length in image.shape[-2:])
    return image[..., top:top + side * scale, left:left + side * scale]


@torch.no_grad()
def draw_picture(results, figures, generators, pairs, path):
    """Two rows for the pair of median gain: restoration; and a learned degradation beside the real one."""
    gains = [e[0] - b[0] for e, b in zip(figures['ensemble'], figures['bicubic'], strict=True)]
    i = int(np.argsort(gains)[len(gains) // 2])
    name, lr, hr = pairs[i]
    torch.manual_seed(1)
    drawn = [(degrade(generators[key], hr), f'{key}, draw {draw}') for key, draw in
             (('DeResnet', 1), ('DeResnet', 2), ('HAN', 1))]
    shown = [
        [(lr, f'LR, {name.split("_")[0]}'), *((results[method][i], f'{method}, {figures[method][i][0]:.2f} dB')
         for method in ('bicubic', 'ensemble')), (hr, 'HR'), (degrade(generators['HAN'], hr, False), 'HAN, noise off')],
        [(lr, 'real LR'), *drawn, (bicubic_downsample(hr, SCALE), 'bicubic LR')],
    ]
    size, side = 288, 40
    rows = [[(middle(image, image.shape[-1] // lr.shape[-1], side), label) for image, label in row] for row in shown]
    canvas = Image.new('RGB', (5 * (size + 6) - 6, 2 * (size + 32) - 6), 'white')
    for y, row in enumerate(rows):
        for x, (image, label) in enumerate(row):
            canvas.paste(panel(image, label, size), (x * (size + 6), y * (size + 32)))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--output', type=Path, default=ROOT / 'demo' / 'mssr_demo.png')
    args = parser.parse_args()
    models = {name: ROOT / 'experiments' / name / 'models' / 'net_g_latest.pth'
              for name in ('demo_mssr', *GENERATORS.values())}
    ensemble = load_upscaler(models['demo_mssr']).net
    generators = {key: load_generator(models[name]).net for key, name in GENERATORS.items()}
    pairs = read_pairs(ROOT / 'datasets' / 'demo')
    results = restore(ensemble, pairs)
    figures = measure(results, pairs)
    print_tables(figures, describe_degradations(generators, pairs), pairs)
    draw_picture(results, figures, generators, pairs, args.output)
    print(f'\nLook at {args.output}')


if __name__ == '__main__':
    main()
