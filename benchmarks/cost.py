"""Cost against work: what grows linearly with photos, megapixels, branches and generators, and what it comes to.

    python benchmarks/cost.py                       some minutes on one core; --threads N for more
    python benchmarks/cost.py --million             also what a folder of a million photos would take

Each part is measured at three amounts of work, each twice as much as the one before; the fastest run counts.
``exponent`` is that of the growth from the first amount to the last: 1 is linear, 0 constant. What a million photos
take is arithmetic: what each further unit costs, times the units. Networks are random, photos made up.
"""

import argparse
import contextlib
import io
import math
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mssr_loss  # noqa: F401  (shims before BasicSR's first import)
import mssr_model  # noqa: F401

# isort: split
import cv2
import numpy as np
import torch

from benchmarks.measuring import Meter, add_arguments, prepare, write
from benchmarks.step_speed import FEWER, TINY, make_model, options
from mssr_arch import DeResnet, SREnsemble
from mssr_data.image_source import ImageSource
from mssr_data.listing import list_folder
from mssr_degradation import LearnedDegradation
from mssr_diagnose.folder import measure_folder
from mssr_inference.degrader import Degrader
from mssr_inference.networks import Loaded
from mssr_inference.upscaler import Upscaler
from mssr_prepare.__main__ import main as prepare_photos

PHOTO = (512, 768)  # height and width of a clean photo; LR ones are a quarter of it
MILLION = 1_000_000
DAY = 24 * 3600


def photos(folder, number, size=PHOTO):
    """Noisy gradients as PNG files, which compress about as little as photos."""
    folder.mkdir()
    random = np.random.default_rng(0)
    ramp = np.linspace(40, 210, size[1])[None, :, None] + np.zeros((size[0], 1, 3))
    for k in range(number):
        pixels = (ramp + random.normal(0, 6, ramp.shape)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f'{k:07}.png'), pixels)
    return folder


def step(args, folder, branches, generators):
    """A training step of stage 2 with so many branches and generators, ready to be timed."""
    opt = options('train_mssr_aim.yml', torch.device('cpu'), TINY if args.tiny else FEWER, {'channels_last': True})
    branch, generator = opt['network_g']['branches'][0], opt['degradations'][0]
    opt['network_g']['branches'] = [dict(branch) for _ in range(branches)]
    opt['degradations'] = [dict(generator) for _ in range(generators)]
    crop = 64 if args.tiny else 128
    model, batch = make_model(opt, folder), {'gt': torch.rand(1, 3, crop, crop),
                                             'lq': torch.rand(1, 3, crop // 4, crop // 4)}

    def run():
        model.feed_data(batch)
        model.optimize_parameters(1000)

    run()
    return run


def network(args, branches):
    """An ensemble of RRDBNets as a function on pixels."""
    kind = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, **(TINY if args.tiny else FEWER)['RRDBNet']}
    return Upscaler(Loaded(SREnsemble([kind] * branches).eval(), {}, 4, Path('random'), ''),
                    torch.device('cpu'))


def parts(args, folder):
    """Name of each part, its unit, amounts of work, and a function that does an amount once, ready to be timed."""
    few, more = ((1, 2, 4), (50, 100, 200)) if args.tiny else ((4, 8, 16), (1000, 2000, 4000))
    side = 32 if args.tiny else 128

    def upscale(amount, branches=1):
        upscaler, photo = network(args, branches), torch.rand(1, 3, side, side * amount)
        return lambda: upscaler(photo)

    def degrade(amount):
        net = DeResnet(num_feat=8 if args.tiny else 64).eval()
        degrader = Degrader(LearnedDegradation(net, 4), torch.device('cpu'))
        photo = np.zeros((4 * side, 4 * side * amount, 3), np.uint8)
        return lambda: degrader(photo, 'photo')

    def cut(amount):
        gt, lq = (photos(Path(tempfile.mkdtemp(dir=folder)) / role, amount, size)
                  for role, size in (('gt', PHOTO), ('lq', tuple(length // 4 for length in PHOTO))))

        def run():
            with tempfile.TemporaryDirectory(dir=folder) as out, contextlib.redirect_stdout(io.StringIO()):
                prepare_photos(['--gt', str(gt), '--lq', str(lq), '--out', f'{out}/data', '--scale', '4'])
        return run

    def listing(amount):
        empty = Path(tempfile.mkdtemp(dir=folder))
        for k in range(amount):
            (empty / f'{k:07}.png').touch()
        return lambda: list_folder(str(empty), 'folder')

    def diagnose(amount):
        source = ImageSource(str(photos(Path(tempfile.mkdtemp(dir=folder)) / 'photos', amount, (256, 256))),
                             'PHOTOS', {'type': 'disk'})

        def run():
            with contextlib.redirect_stderr(io.StringIO()):
                measure_folder(source, processes=1)
        return run

    pixels = f'{side} x {side} LR pixels'
    return [
        ('stage 2, a step', 'branch', (1, 2, 4), lambda n: step(args, folder, n, 1)),
        ('stage 2, a step', 'generator', (1, 2, 4), lambda n: step(args, folder, 1, n)),
        ('upscale', pixels, (1, 2, 4), upscale),
        ('upscale', 'branch', (1, 2, 4), lambda n: upscale(2, n)),
        ('degrade', pixels, (1, 2, 4), degrade),
        ('prepare', 'photo of each', few, cut),
        ('list a folder', 'file', more, listing),
        ('diagnose', 'photo', few, diagnose),
    ]


def measure(part, args):
    """A row: seconds at each amount, the exponent of the growth, seconds for each further unit."""
    name, unit, amounts, make = part
    meter = Meter(torch.device('cpu'), args.clock)
    runs, seconds = [make(amount) for amount in amounts], [math.inf] * len(amounts)
    for _ in range(max(1, args.iterations)):
        for k, run in enumerate(runs):
            seconds[k] = min(seconds[k], meter(run)[0])
    return {'part': name, 'unit': unit, 'amounts': list(amounts), 'seconds': seconds,
            'exponent': math.log(seconds[-1] / seconds[0]) / math.log(amounts[-1] / amounts[0]),
            'seconds_per_unit': (seconds[-1] - seconds[0]) / (amounts[-1] - amounts[0])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, iterations=2)
    parser.add_argument('--tiny', action='store_true', help='networks of a few layers and few files')
    parser.add_argument('--million', action='store_true', help='what a million photos would take')
    args = parser.parse_args()
    _, header = prepare(args)
    header = f'{header}; {"tiny networks" if args.tiny else "RRDBNet-6, DeResnet"}'
    print(f'{header}\n\n| | for each | amounts | seconds | exponent | seconds a unit |\n|---|---|---|---|---|---|')
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for part in parts(args, Path(folder)):
            row = measure(part, args)
            rows.append(row)
            amounts, seconds = (', '.join(f'{value:.3g}' for value in row[key]) for key in ('amounts', 'seconds'))
            print(f'| {row["part"]} | {row["unit"]} | {amounts} | {seconds} | {row["exponent"]:.2f} '
                  f'| {row["seconds_per_unit"]:.3g} |', flush=True)
    if args.million:
        print('\n| a million photos, by arithmetic | days |\n|---|---|')
        for row in rows:
            if row['unit'] not in ('branch', 'generator'):
                print(f'| {row["part"]}, each {row["unit"]} | {MILLION * row["seconds_per_unit"] / DAY:.3g} |')
    write(args.json, header, rows)


if __name__ == '__main__':
    main()
