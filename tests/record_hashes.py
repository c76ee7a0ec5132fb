"""Record what trainings compute, bit for bit, to see whether a change of the code changes it.

    python tests/record_hashes.py before.json                          # on the code as it was
    python tests/record_hashes.py after.json --compare before.json     # on the changed code

Every option file that ships, at small size, and every switch of both stages is trained for 20 iterations on photos that
this file makes. Of each, the record holds the SHA-256 of all weights, averaged ones included, and of the random state
at the end. They hold for one CPU, one set of versions and one number of threads: they are compared, not committed.
Exit code: 0, or 1 where something differs.
"""

import argparse
import copy
import hashlib
import json
import os
import re
import sys
import tempfile
import time
import traceback
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault('OMP_NUM_THREADS', '1')

import cv2
import numpy as np
import torch
import yaml

ROOT = Path(__file__).resolve().parent.parent
ITERATIONS = 20
ADAM = {'type': 'Adam', 'lr': 1e-4, 'betas': [0.5, 0.999]}
L1 = {'type': 'L1Loss', 'loss_weight': 1.0}
SMALL = {
    'DeResnet': {'num_feat': 8, 'num_block': 2},
    'DegradationHAN': {'num_feat': 8, 'num_group': 2, 'num_block': 1, 'reduction': 4},
    'RRDBNet': {'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4},
    'SRVGGNetCompact': {'num_feat': 8, 'num_conv': 2},
}


# --- the world ------------------------------------------------------------------------------------------------------


def make_world(root: Path) -> None:
    """Textured clean photos, smaller ones with noise that went through JPEG, and two generators."""
    rng = np.random.default_rng(0)

    def photo(size, noise):
        smooth = cv2.resize(rng.uniform(0, 255, (6, 6, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
        return np.clip(smooth + rng.normal(0, noise, (size, size, 3)), 0, 255).astype(np.uint8)

    for folder, count, size, noise in (('gt', 5, 168, 20), ('lq', 6, 64, 8)):
        (root / folder).mkdir()
        for number in range(count):
            image = photo(size + number % 3, noise)
            if folder == 'lq':
                image = cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 60 + 5 * number])[1], 1)
            cv2.imwrite(str(root / folder / f'{number}.png'), image)


def write_generators(root: Path) -> None:
    """Weights of the two generators that stage 2 draws from, with noise that does something."""
    from basicsr.archs import build_network

    for kind in ('DeResnet', 'DegradationHAN'):
        for scale in (4, 1):
            torch.manual_seed(scale)
            net = build_network({'type': kind, 'scale': scale, 'skip': scale == 1, **SMALL[kind]})
            for noise in net.noises:
                torch.nn.init.constant_(noise.w, 0.3)
            torch.save({'params': net.state_dict()}, root / f'{kind}_{scale}.pth')


# --- the configurations ---------------------------------------------------------------------------------------------


class Loader(yaml.SafeLoader):
    """``1e-4`` is a number."""


Loader.add_implicit_resolver('tag:yaml.org,2002:float', re.compile(r'[-+]?[0-9.]+[eE][-+]?[0-9]+$'),
                             list('-+0123456789.'))


def configurations(root: Path) -> dict[str, dict]:
    """Name to options."""
    found = {}
    for file in sorted((ROOT / 'options').rglob('*.yml')):
        opt = yaml.load(file.read_text(encoding='utf-8'), Loader)
        if 'train' in opt:
            found[file.relative_to(ROOT / 'options').with_suffix('').as_posix()] = small(opt, root)
    stage_1, stage_2 = found['train_degradation_aim'], found['train_mssr_aim']
    stage_1['train'].pop('perceptual_opt', None)
    for name, changes in STAGE_1.items():
        found[f'stage 1, {name}'] = changed(stage_1, changes)
    for name, changes in STAGE_2.items():
        found[f'stage 2, {name}'] = changed(stage_2, changes)
    esrgan = changed(found['train_learned_degradation'], {
        'model_type': 'LearnedDegradationESRGANModel', 'train.ema_decay': 0.9, 'train.optim_d': ADAM,
        'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1},
        'network_d': {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 8},
        'train.lq_strength': [0, 1], 'train.lq_jpeg': [50, 90],
    })
    return {**found, 'learned degradation, ESRGAN': esrgan}


def small(opt: dict, root: Path) -> dict:
    """An option file's training on the small world."""
    opt = copy.deepcopy(opt)
    train_set = opt['datasets']['train']
    train_set |= {'dataroot_gt': str(root / 'gt'), 'num_worker_per_gpu': 0, 'io_backend': {'type': 'disk'},
                  'batch_size_per_gpu': min(train_set['batch_size_per_gpu'], 4),
                  'gt_size': min(train_set['gt_size'], 64)}
    if 'dataroot_lq' in train_set:
        train_set['dataroot_lq'] = str(root / 'lq')
    opt['datasets'] = {'train': train_set}
    opt.pop('val', None)
    opt |= {'num_gpu': 0, 'manual_seed': 3}
    opt['path'] = {}
    stand_in = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3}  # for a file that is not there
    if 'pretrained' in opt['network_g']:
        opt['network_g'] = dict(stand_in)
    if 'branches' in opt['network_g']:
        opt['network_g']['branches'] = [dict(stand_in) if 'pretrained' in net else net
                                        for net in opt['network_g']['branches']]
    if opt.get('network_d', {}).get('type') == 'UNetDiscriminatorSN':
        opt['network_d']['num_feat'] = 8
    for net in [opt['network_g'], *opt['network_g'].get('branches', []), *opt.get('degradations', [])]:
        net.pop('checkpoint', None)
        net |= SMALL.get(net['type'], {})
    for net in opt.get('degradations', []):
        net['checkpoint'] = str(root / f'{net["type"]}_{net.get("scale", 4)}.pth')
    train = opt['train']
    train |= {'total_iter': ITERATIONS}
    if train['scheduler']['type'] == 'LinearDecayLR':
        train['scheduler'] |= {'decay_start': 10, 'total_iter': ITERATIONS}
    if 'collab_start_iter' in train:
        train['collab_start_iter'] = 5
    for key in ('perceptual_opt', 'find_rate', 'stay_near'):  # need downloaded weights, and a pretrained start
        train.pop(key, None)
    opt['logger'] |= {'print_freq': 10, 'save_checkpoint_freq': ITERATIONS, 'use_tb_logger': False}
    return opt


def changed(opt: dict, changes: dict) -> dict:
    """A copy with values at dotted keys replaced."""
    opt = copy.deepcopy(opt)
    for path, value in changes.items():
        *sections, key = path.split('.')
        section = opt
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = copy.deepcopy(value)
    return opt


SPECTRUM = {'type': 'SpectrumLoss', 'loss_weight': 0.05}
STAGE_1 = {
    'gaussian filter, patch D': {'network_d.filter': 'gaussian', 'network_d.net': 'patch_s2',
                                 'train.color_opt.filter': 'gaussian'},
    'average filter, batch norm, RaGAN': {'network_d.filter': 'average', 'network_d.norm': 'batch',
                                          'train.relativistic': True},
    'no filter, patch D': {'network_d.filter': None, 'network_d.net': 'patch_s1'},
    'mean of the bands': {'network_d.bands': 'mean'},
    'WGAN': {'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'wgan', 'loss_weight': 0.005},
             'train.gp_opt': {'type': 'GradientPenalty', 'loss_weight': 10.0}},
    'DSGAN': {'network_g': {'type': 'DSGAN', 'num_feat': 8, 'num_block': 1}},
    'EDSR': {'network_g': {'type': 'DegradationEDSR', 'num_feat': 8, 'num_block': 2}},
    'HAN, tail': {'network_g': {'type': 'DegradationHAN', 'downsample': 'tail', **SMALL['DegradationHAN']}},
    'deterministic': {'network_g.noise_std': 0},
    'every second turn of D': {'train.disc_freq': 2},
    'every second turn of G, EMA': {'train.gen_freq': 2, 'train.ema_decay': 0.9},
    'JPEG, antithetic, spectrum': {'train.lq_jpeg': 'auto', 'train.content_antithetic': True,
                                   'train.spectrum_opt': SPECTRUM, 'datasets.train.content_match': 4},
    'two parts': {'train.accumulate': 2},
    'bf16': {'performance': {'amp': 'bf16'}},
    'contiguous': {'performance': {'channels_last': False}},
    'plain Adam, channels last': {'performance': {'channels_last': True, 'fused_adam': False}},
}
BRANCH = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'scale': 4, **SMALL['RRDBNet']}
STAGE_2 = {
    'one branch': {'network_g.branches': [BRANCH]},
    'three branches': {'network_g.branches': [BRANCH] * 3},
    'no collaboration, no adaptation': {'train.collab_opt': None, 'train.adapt_opt': None},
    'features, constant ramp': {'train.feature_opt': L1, 'train.adapt_ramp': 'constant'},
    'MSE': {'train.pixel_opt': {'type': 'MSELoss', 'loss_weight': 1.0}},
    'strength, noise, JPEG, 8 bits': {'train.lq_strength': [0, 0.7], 'train.lq_noise': [0.2, 1], 'train.lq_round': True,
                                      'train.lq_jpeg': [50, 90], 'datasets.train.batch_size_per_gpu': 4},
    'matched noise, median JPEG': {'train.lq_strength': [0, 1], 'train.lq_noise': 'auto', 'train.lq_jpeg': 'median'},
    'consistency and distances, EMA': {'train.consistency_opt': L1, 'train.ema_decay': 0.9,
                                       'train.distance_opt': {'type': 'PairwiseDistanceLoss'}},
    'two parts, EMA': {'train.accumulate': 2, 'train.ema_decay': 0.9, 'datasets.train.batch_size_per_gpu': 4},
}


# --- recording ------------------------------------------------------------------------------------------------------


def train(name: str, opt: dict, folder: Path) -> dict[str, str]:
    """Run the programme ``train.py`` with its results under ``folder``; hashes of what it saved."""
    opt = {**opt, 'name': re.sub(r'\W+', '_', name)}
    file = folder / f'{opt["name"]}.yml'
    file.write_text(yaml.safe_dump(opt, sort_keys=False), encoding='utf-8')
    code = compile((ROOT / 'train.py').read_text(encoding='utf-8'), 'train.py', 'exec')
    with patch.object(sys, 'argv', ['train.py', '-opt', str(file)]), \
            patch('basicsr.train.get_time_str', lambda: str(time.time_ns())):
        exec(code, {'__name__': '__main__', '__file__': str(folder / 'train.py')})
    experiment = folder / 'experiments' / opt['name']
    found = {}
    for path in sorted((experiment / 'models').glob(f'net_*_{ITERATIONS}.pth')):
        content = torch.load(path, weights_only=True)
        for key in ('params', 'params_ema'):
            if key in content:
                found[f'{path.stem}.{key}'] = digest(content[key])
    state = torch.load(experiment / 'training_states' / f'{ITERATIONS}.state', weights_only=True)
    if state.get('processes'):
        found['random state'] = digest(state['processes'][0]['random'])
    return found


def digest(value) -> str:
    """SHA-256 of tensors and plain values in dicts, lists and tuples."""
    hasher = hashlib.sha256()

    def feed(item):
        if isinstance(item, dict):
            for key in sorted(item):
                hasher.update(str(key).encode())
                feed(item[key])
        elif isinstance(item, list | tuple):
            for part in item:
                feed(part)
        elif isinstance(item, torch.Tensor):
            hasher.update(item.detach().contiguous().cpu().numpy().tobytes())
        else:
            hasher.update(repr(item).encode())

    feed(value)
    return hasher.hexdigest()[:16]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='JSON file to write')
    parser.add_argument('--compare', type=Path, help='a record of before')
    parser.add_argument('--only', default='', help='configurations whose name holds this')
    args = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT))
    torch.set_num_threads(1)
    import mssr_arch  # noqa: F401  (networks register)
    import mssr_compat  # noqa: F401  (shims before BasicSR)

    record = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_world(root)
        write_generators(root)
        for name, opt in configurations(root).items():
            if args.only not in name:
                continue
            try:
                record[name] = train(name, opt, root)
            except (Exception, SystemExit) as error:
                traceback.print_exc()
                record[name] = {'failed': f'{type(error).__name__}: {error}'}
    args.out.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
    failed = [name for name, found in record.items() if 'failed' in found]
    print(f'{len(record)} configurations, {len(failed)} failed: {failed}')
    if not args.compare:
        return 1 if failed else 0
    before = json.loads(args.compare.read_text(encoding='utf-8'))
    other = [name for name in record if name in before and record[name] != before[name]]
    for name in other:
        keys = [key for key in {**before[name], **record[name]} if before[name].get(key) != record[name].get(key)]
        print(f'differs: {name}: {", ".join(keys)}')
    for name in before.keys() ^ record.keys() if not args.only else ():
        print(f'only in one record: {name}')
    print('All are equal.' if not other else f'{len(other)} of {len(record)} differ.')
    return 1 if other or failed else 0


if __name__ == '__main__':
    sys.exit(main())
