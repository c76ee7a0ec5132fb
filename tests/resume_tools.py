"""Short trainings of both stages on tiny photos, run by the real trainer in this process or in others."""

import os
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import torch

import mssr_arch
import mssr_data  # noqa: F401  (each import registers its classes)
import mssr_loss  # noqa: F401
import mssr_metric  # noqa: F401
import mssr_model  # noqa: F401
from data_tools import photo, write_folder, write_photo
from model_options import ADAM, TINY_DERESNET, TINY_RRDB
from mssr_train import pipeline
from option_tools import write

ROOT = Path(__file__).resolve().parent.parent
TORCHRUN = [sys.executable, '-m', 'torch.distributed.run']
STAGES = ('stage1', 'stage2')
L1 = {'type': 'L1Loss', 'loss_weight': 1.0}


def make_world(root):
    """Five clean photos, seven real ones (so that epochs end anywhere), three pairs, two generators."""
    write_folder(root / 'gt', 5, 40, 44)
    write_folder(root / 'lq', 7, 12, 16, first=50)
    for number in range(3):
        write_photo(root / 'val_gt' / f'v{number}.png', photo(number, 32, 48))
        write_photo(root / 'val_lq' / f'v{number}.png', photo(number, 8, 12))
    for k in range(2):
        torch.manual_seed(k)
        net = mssr_arch.DeResnet(num_feat=8, num_block=1)
        for noise in net.noises:
            torch.nn.init.constant_(noise.w, 0.5)
        torch.save({'params': net.state_dict()}, root / f'g{k}.pth')
    return root


def options(world, stage, name='run', total=12, **changes):
    """Options of a training of ``total`` iterations, saving each third; keywords ``section__key`` replace entries."""
    opt = {
        'name': name, 'scale': 4, 'num_gpu': 0, 'manual_seed': 7,
        'datasets': {
            'train': {
                'name': 'photos', 'type': 'UnpairedImageDataset', 'dataroot_gt': str(world / 'gt'),
                'dataroot_lq': str(world / 'lq'), 'io_backend': {'type': 'disk'}, 'gt_size': 32,
                'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2, 'dataset_enlarge_ratio': 1,
            },
            'val': {
                'name': 'pairs', 'type': 'PairedImageDataset', 'dataroot_gt': str(world / 'val_gt'),
                'dataroot_lq': str(world / 'val_lq'), 'io_backend': {'type': 'disk'},
            },
        },
        'path': {'resume_state': None},
        'performance': {'channels_last': False},  # not chosen by measurement, as runs are compared bit by bit
        'val': {'val_freq': 4, 'save_img': False,
                'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': False}}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 3, 'use_tb_logger': False},
    }
    if stage == 'stage1':
        opt |= {
            'model_type': 'DegradationGANModel', 'network_g': TINY_DERESNET,
            'network_d': {'type': 'WaveletDiscriminator'},
            'train': {
                'optim_g': {**ADAM, 'noise_lr': 1e-3}, 'optim_d': ADAM, 'total_iter': total, 'ema_decay': 0.9,
                'scheduler': {'type': 'LinearDecayLR', 'decay_start': total // 3, 'total_iter': total},
                'color_opt': {'type': 'LowFrequencyLoss'},
                'gan_opt': {'type': 'SigmoidGANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.005},
            },
        }
    else:
        opt |= {
            'model_type': 'MultiDegradationSRModel', 'network_g': {'type': 'SREnsemble', 'branches': [TINY_RRDB] * 2},
            'degradations': [{**TINY_DERESNET, 'checkpoint': str(world / f'g{k}.pth')} for k in range(2)],
            'train': {
                'optim_g': ADAM, 'total_iter': total, 'ema_decay': 0.9, 'pixel_opt': L1, 'collab_opt': L1,
                'adapt_opt': L1, 'collab_start_iter': 1,
                'scheduler': {'type': 'MultiStepLR', 'milestones': [5, 9], 'gamma': 0.5},
            },
        }
    opt = deepcopy(opt)
    for path, value in changes.items():
        *sections, key = path.split('__')
        section = opt
        for part in sections:
            section = section[part]
        section[key] = value
    return opt


class Kill(BaseException):
    """What no handler expects, as far as a process can do that to itself."""


def kill_at(monkeypatch, cls, iteration):
    """Kill the training of a model class when it is about to step iteration ``iteration``."""
    step = cls.optimize_parameters

    def optimize_parameters(self, current_iter):
        if current_iter == iteration:
            raise Kill
        step(self, current_iter)

    monkeypatch.setattr(cls, 'optimize_parameters', optimize_parameters)


def train(monkeypatch, root, opt, *flags):
    """The real trainer in this process, with its results under ``root``; the exit status (0 if it returned)."""
    root.mkdir(exist_ok=True)
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', write(root, opt, f'{opt["name"]}.yml'), *flags])
    # BasicSR names logs by the second, in which a tiny training fits twice.
    monkeypatch.setattr('basicsr.train.get_time_str', lambda: str(time.time_ns()))
    try:
        pipeline.train(str(root))
    except SystemExit as end:
        return end.code
    return 0


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
import mssr_arch, mssr_data, mssr_loss, mssr_metric, mssr_model
import torch
from mssr_train.pipeline import train
torch.set_num_threads(1)
{before}
if __name__ == '__main__':
    train({root!r})
"""


def command(root, opt, *flags, processes=0, before='', launch=(), torchrun=TORCHRUN):
    """Command and environment that start the same training as a process, under torchrun where ``processes`` says so.

    ``before``: Python statements that run first. ``torchrun``: as users start it, or with forked workers.
    """
    root.mkdir(exist_ok=True)
    script = root / 'start.py'
    script.write_text(SCRIPT.format(paths=[str(ROOT)], root=str(root), before=before))
    start = [sys.executable]
    if processes:
        start = [*torchrun, '--nnodes=1', f'--nproc_per_node={processes}', '--rdzv-backend=c10d',
                 '--rdzv-endpoint=localhost:0', *launch]
        flags = (*flags, '--launcher', 'pytorch')
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'GLOO_SOCKET_IFNAME': 'lo'}
    return [*start, str(script), '-opt', write(root, opt, f'{opt["name"]}.yml'), *flags], env


def start(*args, **kwargs):
    """That process, running; its standard error (where the log goes) is a pipe."""
    line, env = command(*args, **kwargs)
    return subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def experiment(root, name='run'):
    return root / 'experiments' / name


def load(file):
    return torch.load(file, weights_only=True)


def assert_same(a, b, where=''):
    """Nested values are equal, tensors bit by bit; but not the checksums, which see how torch packs a file."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.shape == b.shape and torch.equal(a, b), where
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            if key != 'files':
                assert_same(a[key], b[key], f'{where}.{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for n, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f'{where}[{n}]')
    else:
        assert a == b, where


def assert_same_end(one, other, iteration):
    """Two experiments have the same weights at their end, and the same weights and state at ``iteration``."""
    for name in sorted(path.name for path in (one / 'models').glob(f'*_{iteration}.pth')):
        assert_same(load(one / 'models' / name), load(other / 'models' / name), name)
    for path in (one / 'models').glob('*_latest.pth'):
        assert_same(load(path), load(other / 'models' / path.name), path.name)
    state = f'{iteration}.state'
    assert_same(load(one / 'training_states' / state), load(other / 'training_states' / state), state)


def log_lines(folder):
    """Iteration -> its losses and rates; validations; of all logs of an experiment, the later log counting."""
    found = {}
    for log in sorted(folder.glob('*.log'), key=lambda path: path.stat().st_mtime_ns):
        lines = log.read_text().splitlines()
        for line in lines:
            if 'iter:' in line and 'lr:(' in line:
                number = int(line.split('iter:')[1].split(',')[0].replace(' ', '') or 0)
                rates, rest = line.split('lr:(')[1].split(')]', 1)
                found[number] = rates + rest.split('] ')[-1]
            if line.startswith('\t # psnr') and '@' in line:
                found.setdefault('validations', {})[line.split('@')[1]] = line
    return found
