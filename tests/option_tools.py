"""Good options to spoil: small, complete, and independent of the option files that ship."""

import json
import re
from pathlib import Path

import mssr_arch  # noqa: F401  (each import registers its classes)
import mssr_data  # noqa: F401
import mssr_loss  # noqa: F401
import mssr_metric  # noqa: F401
import mssr_model  # noqa: F401
from mssr_options.reader import effective_yaml

ADAM = {'type': 'Adam', 'lr': 1e-4, 'betas': [0.5, 0.999]}
PAIRED = {'type': 'PairedImageDataset', 'dataroot_gt': 'gt', 'dataroot_lq': 'lq', 'io_backend': {'type': 'disk'}}
LOADER = {'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2, 'dataset_enlarge_ratio': 1}
METRICS = {'psnr': {'type': 'calculate_psnr', 'crop_border': 4, 'test_y_channel': False, 'better': 'higher'}}
COMMON = {
    'name': 'unit',
    'scale': 4,
    'num_gpu': 0,
    'manual_seed': 0,
    'path': {'pretrain_network_g': None, 'strict_load_g': True, 'resume_state': None},
    'val': {'val_freq': 5e3, 'save_img': False, 'metrics': METRICS},
    'logger': {'print_freq': 100, 'save_checkpoint_freq': 5e3, 'use_tb_logger': False,
               'wandb': {'project': None, 'resume_id': None}},
    'dist_params': {'backend': 'nccl', 'port': 29500},
}
UNPAIRED = {'name': 'photos', 'type': 'UnpairedImageDataset', 'dataroot_gt': 'clean', 'dataroot_lq': 'real',
            'io_backend': {'type': 'disk'}, 'gt_size': 64, 'use_hflip': True, 'use_rot': True, **LOADER}
DERESNET = {'type': 'DeResnet', 'num_feat': 8, 'num_block': 1, 'scale': 4}
RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4, 'scale': 4}


def fresh(opt: dict) -> dict:
    """A copy in which nothing is shared, as in a file."""
    return json.loads(json.dumps(opt))


def stage_1() -> dict:
    """Options that train a degradation generator."""
    return fresh({
        **COMMON,
        'model_type': 'DegradationGANModel',
        'datasets': {'train': UNPAIRED, 'val': {'name': 'pairs', **PAIRED}},
        'network_g': DERESNET,
        'network_d': {'type': 'WaveletDiscriminator', 'norm': 'instance'},
        'train': {
            'optim_g': {**ADAM, 'noise_lr': 1e-4}, 'optim_d': ADAM, 'total_iter': 100, 'warmup_iter': -1,
            'scheduler': {'type': 'LinearDecayLR', 'decay_start': 50, 'total_iter': 100},
            'color_opt': {'type': 'LowFrequencyLoss', 'loss_weight': 1.0},
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.005},
        },
    })


def stage_2() -> dict:
    """Options that train two SR branches."""
    l1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
    return fresh({
        **COMMON,
        'model_type': 'MultiDegradationSRModel',
        'datasets': {'train': UNPAIRED, 'val': {'name': 'pairs', **PAIRED}},
        'network_g': {'type': 'SREnsemble', 'branches': [{**RRDB, 'checkpoint': 'a.pth'}, RRDB]},
        'degradations': [{**DERESNET, 'checkpoint': 'g1.pth'}, {**DERESNET, 'checkpoint': 'g2.pth'}],
        'train': {
            'ema_decay': 0, 'optim_g': ADAM, 'total_iter': 100,
            'scheduler': {'type': 'MultiStepLR', 'milestones': [50], 'gamma': 0.5},
            'pixel_opt': l1, 'collab_opt': l1, 'adapt_opt': l1, 'collab_start_iter': 1, 'adapt_ramp': 'linear',
            'lq_round': False,
        },
    })


def basicsr_sr() -> dict:
    """Options of a plain BasicSR training."""
    crop = {'gt_size': 64, 'use_hflip': True, 'use_rot': True, 'filename_tmpl': '{}', **LOADER}
    return fresh({
        **COMMON,
        'model_type': 'SRModel',
        'datasets': {'train': {'name': 'train', **PAIRED, **crop}, 'val': {'name': 'pairs', **PAIRED}},
        'network_g': {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': 4},
        'train': {
            'ema_decay': 0.999, 'optim_g': {**ADAM, 'weight_decay': 0}, 'total_iter': 100,
            'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [100], 'restart_weights': [1],
                          'eta_min': 1e-7},
            'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'},
        },
    })


def test_options() -> dict:
    """Options of a test."""
    opt = stage_2()
    for key in ('train', 'logger', 'degradations', 'dist_params'):
        del opt[key]
    opt['datasets'] = {'test_1': {'name': 'pairs', **PAIRED}}
    opt['path'] = {'pretrain_network_g': 'net_g.pth'}
    opt['val'] = {'save_img': True, 'suffix': None, 'metrics': METRICS}
    return fresh(opt)


test_options.__test__ = False  # not a test, whatever its name


def at(opt, path: str):
    """(section, last key) of a dotted path; numbers are list items."""
    *sections, last = [int(key) if key.isdigit() else key for key in path.split('.')]
    for key in sections:
        opt = opt[key]
    return opt, last


def put(opt, path: str, value) -> None:
    """Set the value at a dotted path."""
    section, key = at(opt, path)
    section[key] = value


def write(folder: Path, opt: dict, name: str = 'opt.yml') -> str:
    """Write options to a file; its path."""
    file = folder / name
    file.write_text(effective_yaml(opt), encoding='utf-8')
    return str(file)


def of_one_small_crop(recipe):
    """The text of a recipe whose batches are one crop of 96 pixels, in one memory layout."""
    for option, value in (('batch_size_per_gpu', '1'), ('gt_size', '96'), ('channels_last', 'true')):
        recipe, changed = re.subn(rf'\b{option}: \w+', f'{option}: {value}', recipe)
        assert changed == 1
    return recipe
