"""Samples per second of the input pipeline: sub-images from a folder or an LMDB against whole photos.

    python benchmarks/data_speed.py [--quick] [--workers 0] [--at-least 8] [--step SECONDS]

Synthetic photos of 2040x1356 px (DIV2K's usual size) with a photo-like spectrum are written as PNGs, prepared with
`scripts/prepare_data.py` (480 px every 240 px), and read by `UnpairedImageDataset` through BasicSR's loader: HR crop
256 px, LR crop 64 px, batch 8. A sample decodes one HR and one LR image, both from photos of that size. The rounds of
all rows alternate, and each row counts its best one, so that a busy neighbour harms no row alone. Files come from the
page cache: decoding is measured, not the disk. Ends with status 1 if a row that must be fast is not.

For a training step of `--step` seconds, each row says how long the loading of a batch takes beside it, and how many
workers, on a core each, keep the wait for data under 5% of an iteration.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'scripts'), str(ROOT / 'benchmarks')]

import mssr_data  # noqa: F401  (shims before BasicSR's first import; registers the data set)

# isort: split
import cv2
import numpy as np
from basicsr.data import build_dataloader, build_dataset
from measuring import workers_needed
from PIL import Image
from prepare_data import main as prepare_data

from mssr_data.sampler import IterationSampler

HEIGHT, WIDTH, BATCH = 1356, 2040, 8


def write_photo(path: Path, seed: int) -> None:
    """A picture whose amplitude falls with frequency as a photograph's does, plus sensor noise."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for octave in range(2, 11):
        coarse = rng.standard_normal((2**octave * 2 // 3, 2**octave, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * 2.0**(7 - octave)
    picture += 128 + rng.standard_normal(picture.shape).astype(np.float32)
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)  # level 6 and all filters, as DIV2K's files


def make_rows(folder: Path, photos: int) -> dict[str, dict]:
    """Options of the data set by row; the first row is what the others are compared with."""
    for first, role in enumerate(('gt', 'lq')):
        (folder / role).mkdir()
        for number in range(photos):
            write_photo(folder / role / f'{number}.png', first * photos + number)
    for form in ('folder', 'lmdb'):
        with redirect_stdout(sys.stderr):
            prepare_data(['--gt', str(folder / 'gt'), '--lq', str(folder / 'lq'), '--out', str(folder / 'out'),
                          '--format', form])

    def options(gt: Path, lq: Path, **more) -> dict:
        return {'name': 'speed', 'type': 'UnpairedImageDataset', 'phase': 'train', 'scale': 4, 'gt_size': 256,
                'dataroot_gt': str(gt), 'dataroot_lq': str(lq), 'io_backend': {'type': 'disk'},
                'batch_size_per_gpu': BATCH} | more

    clean, noisy = (folder / 'out' / name for name in ('train-clean-images', 'train-noisy-images'))
    return {
        'two whole photos': options(folder / 'gt', folder / 'lq'),
        'sub-images, folder': options(clean, noisy),
        'sub-images, LMDB': options(clean.with_suffix('.lmdb'), noisy.with_suffix('.lmdb'),
                                    io_backend={'type': 'lmdb'}),
    }


def samples_per_second(opt: dict, samples: int, workers: int, round_: int) -> float:
    dataset = build_dataset(opt)
    batches = -(-samples // BATCH)
    sampler = IterationSampler(dataset, 1, 0, batches * BATCH, seed=round_, batch_size=BATCH)
    loader = iter(build_dataloader(dataset, opt | {'num_worker_per_gpu': workers}, num_gpu=0, sampler=sampler, seed=0))
    next(loader)  # workers and databases are open from here on
    start = time.perf_counter()
    for _ in range(batches):
        next(loader)
    return batches * BATCH / (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='fewer photos, samples and rounds, for CI')
    parser.add_argument('--workers', type=int, default=0, help='worker processes of the loader')
    parser.add_argument('--at-least', type=float, default=8, help='times the speed of whole photos that is required')
    parser.add_argument('--step', type=float, metavar='SECONDS',
                        help=f'time of a training step of batch {BATCH}: how many workers does it need?')
    arguments = parser.parse_args()
    if arguments.step is not None and not arguments.step > 0:
        parser.error('--step must be greater than 0')
    photos, slow, fast, rounds = (3, 8, 80, 2) if arguments.quick else (12, 24, 400, 3)
    with tempfile.TemporaryDirectory() as folder:
        rows = make_rows(Path(folder), photos)
        best = dict.fromkeys(rows, 0.0)
        for round_ in range(rounds):
            for name, opt in rows.items():
                samples = slow if 'whole' in name else fast
                best[name] = max(best[name], samples_per_second(opt, samples, arguments.workers, round_))
    base = best['two whole photos']
    beside = f'{"of a step":>12}{"workers":>9}' if arguments.step else ''
    print(f'{"samples per second":40}{"":>8}{"ratio":>8}{beside}')
    for name, speed in best.items():
        seconds = BATCH * max(1, arguments.workers) / speed  # one worker's
        if arguments.step:
            beside = f'{seconds / arguments.step:12.1%}{workers_needed(seconds, arguments.step):9}'
        print(f'{name:40}{speed:8.1f}{speed / base:8.1f}{beside}')
    too_slow = [name for name in rows if name.startswith('sub-images') and best[name] < arguments.at_least * base]
    if too_slow:
        print(f"too slow: {', '.join(too_slow)}; {arguments.at_least:g} times the speed of whole photos is required")
    return 1 if too_slow else 0


if __name__ == '__main__':
    sys.exit(main())
