"""Whether the options that diagnose writes give photos like those that it read, in Real-ESRGAN's own code.

    pip install --no-deps realesrgan
    python -m benchmarks.diagnose_round_trip PHOTOS --clean CLEAN

Photos are read; ``realesrgan.yml`` is put into the options of Real-ESRGAN's data set and model, which draw LR photos of
the clean ones and take a training step; these LR photos are read in turn. The table has quantiles of both. Kernels are
cut off at 21 pixels there, and JPEG is imitated, so that its traces have no whole steps.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)

# isort: split
import torch
import yaml
from basicsr.data import build_dataset
from basicsr.models import build_model
from basicsr.utils import set_random_seed, tensor2img

from mssr_compat.commands import door
from mssr_compat.errors import UserError
from mssr_diagnose.diagnosis import FIGURES
from mssr_diagnose.folder import measure_folder, open_folder
from mssr_diagnose.option_files import option_files
from mssr_diagnose.photo import Measured

AS_THERE = {'betag_range': [0.5, 4], 'betap_range': [1, 2]}  # as in Real-ESRGAN's files: of kernels that do not occur
ROWS = {'Blur': 'blur', 'Noise': 'noise', 'JPEG': 'JPEG quality'}  # of the table: figures, by their titles
BATCH, GT_SIZE, SCALE = 4, 384, 4
NETWORK = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4}


def options(found: dict, clean: Path, names: list[str], folder: Path) -> dict:
    """Real-ESRGAN's options of a training of RealESRNet, with what was found."""
    meta = folder / 'meta.txt'
    meta.write_text('\n'.join(names))
    photos = {'name': 'clean', 'type': 'RealESRGANDataset', 'dataroot_gt': str(clean), 'meta_info': str(meta),
              'io_backend': {'type': 'disk'}, 'use_hflip': True, 'use_rot': False, 'phase': 'train',
              'blur_kernel_size': 21, 'blur_kernel_size2': 21, **AS_THERE, **{f'{k}2': v for k, v in AS_THERE.items()},
              **found['datasets']['train']}
    train = {'optim_g': {'type': 'Adam', 'lr': 1e-4}, 'total_iter': 10, 'pixel_opt': {'type': 'L1Loss'},
             'scheduler': {'type': 'MultiStepLR', 'milestones': [10]}}
    return {**found, 'name': 'round_trip', 'model_type': 'RealESRNetModel', 'scale': SCALE, 'num_gpu': 0, 'path': {},
            'gt_size': GT_SIZE, 'gt_usm': False, 'queue_size': BATCH,  # a pool of pairs as large as a batch
            'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'network_g': NETWORK,
            'datasets': {'train': photos}, 'train': train}


def draw(opt: dict, count: int, folder: Path) -> None:
    """So many LR photos, by Real-ESRGAN's model, into a folder; each batch is trained on, too."""
    try:
        import realesrgan  # noqa: F401  (registers)
    except ImportError as error:
        raise UserError('Real-ESRGAN is missing: pip install --no-deps realesrgan.') from error
    from basicsr.utils import DiffJPEG, USMSharp
    for kind in (DiffJPEG, USMSharp, torch.Tensor):  # it knows no machine without a GPU
        if not torch.cuda.is_available():
            kind.cuda = lambda self: self
    photos, model = build_dataset(opt['datasets']['train']), build_model(opt)
    # BasicSR's filter2D wants it so.
    model.jpeger.register_forward_hook(lambda module, inputs, output: output.contiguous())
    for number in range(count):
        if number % BATCH == 0:
            batch = [photos[index % len(photos)] for index in range(number, number + BATCH)]
            model.feed_data({key: torch.stack([one[key] for one in batch]) for key in batch[0] if key != 'gt_path'})
            model.optimize_parameters(1 + number)
        cv2.imwrite(str(folder / f'{number:04}.png'), tensor2img(model.lq[number % BATCH]))


def measured(folder: Path) -> list[Measured]:
    """The photos of a folder, read."""
    photos, _ = measure_folder(open_folder(str(folder), 'PHOTOS'))
    return photos


def quantiles(photos: list[Measured]) -> list[tuple[str, ...]]:
    """Of what is in the table: the 5th, 50th and 95th percentile, and the share of the photos that tell."""
    rows, reads = [], {title: read for title, _, read in FIGURES}
    for title in ROWS:
        told = [value for value in map(reads[title], photos) if value is not None]
        figures = ', '.join(f'{value:.3g}' for value in np.quantile(told, (0.05, 0.5, 0.95))) if told else '–'
        rows.append((figures, f'{len(told) / len(photos):.0%}'))
    return rows


@door()
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', type=Path)
    parser.add_argument('--clean', type=Path, required=True, help='clean photos that are to become like them')
    parser.add_argument('--count', type=int, default=64, help='LR photos to draw (64)')
    args = parser.parse_args(arguments)
    set_random_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = measured(args.photos)
        found = yaml.safe_load(option_files(photos, SCALE, str(args.photos))['realesrgan.yml'])
        names = [image.name for image in open_folder(str(args.clean), '--clean').images]
        (folder / 'drawn').mkdir()
        draw(options(found, args.clean, names, folder), args.count, folder / 'drawn')
        real, drawn = quantiles(photos), quantiles(measured(folder / 'drawn'))
    print('| 5 %, median, 95 % | photos | tell | drawn by Real-ESRGAN | tell |\n|---|---:|---:|---:|---:|')
    for what, one, other in zip(ROWS.values(), real, drawn, strict=True):
        print('| ' + ' | '.join((what, *one, *other)) + ' |')
    return 0


if __name__ == '__main__':
    sys.exit(main())
