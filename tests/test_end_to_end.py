"""Every option file that ships, for a few iterations on small data, through the real trainer; then the test."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from basicsr.archs import build_network

import degrade
import mssr_arch
import mssr_data  # noqa: F401
import mssr_loss  # noqa: F401
import mssr_metric  # noqa: F401
import mssr_model  # noqa: F401
import ready_python
from backbone_tools import write_backbone
from data_tools import folder_to_lmdb, write_folder, write_photo
from mssr_arch.degradation_base import LEARNED
from mssr_degradation import LearnedDegradation
from mssr_monitor.experiment_record import read_validations
from mssr_report.html_report import build_page
from mssr_train import pipeline

ROOT = Path(__file__).resolve().parent.parent
STAGE1 = sorted(path.name for path in (ROOT / 'options').glob('train_degradation_*.yml'))
STAGE2 = sorted(path.name for path in (ROOT / 'options').glob('train_mssr_*.yml'))
RECIPES = sorted(path.name for path in (ROOT / 'options' / 'recipes').glob('*.yml'))
TEST = sorted(path.name for path in (ROOT / 'options').glob('test_*.yml'))
ITERATIONS = 3


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Clean HR photos, LR photos of others, aligned pairs; a folder and an LMDB of each training set; weights."""
    root = tmp_path_factory.mktemp('world')
    for role, count, size in (('gt', 4, 136), ('lq', 5, 40)):
        write_folder(root / role, count, size, size, first=10 * count)
        folder_to_lmdb(root / role, root / f'{role}.lmdb')
    for name in ('a', 'b'):
        hr = cv2.imread(str(root / 'gt' / 'p000.png'))[:136, :128]
        write_photo(root / 'val_gt' / f'{name}.png', hr)
        write_photo(root / 'val_lq' / f'{name}.png', cv2.resize(hr, (32, 34), interpolation=cv2.INTER_AREA))
    write_backbone(root)
    return root


def run(monkeypatch, entry, root, option_file, *forced):
    """The entry point in this process, with its results under ``root``."""
    argv = ['train.py', '-opt', str(ROOT / 'options' / option_file), '--force_yml', *forced]
    monkeypatch.setattr(sys, 'argv', argv)
    monkeypatch.setenv('MSSR_WEIGHTS', str(root))
    entry(str(root))


def data(root, source='folder', validation='val'):
    """``--force_yml`` entries that point to the small world."""
    suffix, backend = ('.lmdb', 'lmdb') if source == 'lmdb' else ('', 'disk')
    pairs = [f'datasets:{validation}:dataroot_{role}={root}/val_{role}' for role in ('gt', 'lq')]
    if validation != 'val':
        return pairs
    train = [f'datasets:train:dataroot_{role}={root}/{role}{suffix}' for role in ('gt', 'lq')]
    return [*pairs, *train, f'datasets:train:io_backend:type={backend}', 'datasets:train:num_worker_per_gpu=0']


def short(decay=False):
    """``--force_yml`` entries for a short run."""
    entries = [f'train:total_iter={ITERATIONS}', 'val:val_freq=2', 'logger:print_freq=1', 'num_gpu=0']
    return entries + ['train:scheduler:decay_start=1', f'train:scheduler:total_iter={ITERATIONS}'] * decay


def small_generator(option_file):
    if 'han' in option_file:
        return ['network_g:num_feat=16', 'network_g:num_group=2', 'network_g:num_block=2']
    return ['network_g:num_feat=8', 'network_g:num_block=2']


def only_log(experiment):
    (log,) = experiment.glob('*.log')
    return log.read_text()


@pytest.mark.parametrize('option_file', STAGE1)
def test_stage1(monkeypatch, world, option_file):
    source = 'lmdb' if 'han' in option_file else 'folder'
    small = ['datasets:train:gt_size=128', 'datasets:train:batch_size_per_gpu=2', *small_generator(option_file)]
    run(monkeypatch, pipeline.train, world, option_file, *data(world, source), *short(decay=True), *small)

    name = re.search(r'^name: (\S+)', (ROOT / 'options' / option_file).read_text(), re.M)[1]
    experiment = world / 'experiments' / name
    log = only_log(experiment)
    assert [int(i) for i in re.findall(r'iter: +(\d+), lr', log)] == list(range(1, ITERATIONS + 1))
    assert 'l_g_percep' in log and 'l_g_color' in log
    for figure in ('psnr_mssr', 'ssim_mssr', 'lpips', 'haar_distance', 'diversity'):
        assert f'# {figure}: ' in log
    assert (experiment / 'models' / 'net_g_best.pth').exists()
    weights = torch.load(experiment / 'models' / 'net_g_latest.pth', weights_only=True)['params']
    assert any(name.startswith('noises.') and value.abs().max() > 0 for name, value in weights.items())


@pytest.mark.parametrize('option_file', STAGE2)
def test_stage2_and_its_test(monkeypatch, world, option_file):
    challenge = re.search(r'train_mssr_(\w+).yml', option_file)[1]
    degradations = []
    for k, net in enumerate((mssr_arch.DeResnet(num_feat=8, num_block=1), mssr_arch.DegradationHAN(
            num_feat=16, num_group=1, num_block=1))):
        torch.save({'params': net.state_dict()}, world / f'g{k}.pth')
        degradations.append(f'degradations:{k}:checkpoint={world}/g{k}.pth')
    degradations += ['degradations:0:num_feat=8', 'degradations:0:num_block=1',
                     'degradations:1:num_feat=16', 'degradations:1:num_group=1', 'degradations:1:num_block=1']
    small = [f'network_g:branches:{k}:{key}' for k in (0, 1) for key in ('num_feat=8', 'num_block=1', 'num_grow_ch=4')]
    start = [f'network_g:branches:{k}:checkpoint=~' for k in (0, 1)]
    run(monkeypatch, pipeline.train, world, option_file, *data(world, 'lmdb'), *short(), *degradations, *small, *start,
        'datasets:train:gt_size=32')

    experiment = world / 'experiments' / f'mssr_{challenge}'
    log = only_log(experiment)
    for term in ('l_sup_1', 'l_sup_2', 'l_collab_1', 'l_collab_2', 'l_adapt_1', 'l_adapt_2'):
        assert term in log
    assert log.count('# psnr_mssr') == 3 * 2  # ensemble, S_1, S_2; at iterations 2 and 3

    run(monkeypatch, pipeline.test, world, f'test_mssr_{challenge}.yml', *data(world, validation='test_1'), *small,
        f'path:pretrain_network_g={experiment}/models/net_g_latest.pth', 'num_gpu=0')
    results = world / 'results' / f'test_mssr_{challenge}'
    pictures = sorted(results.rglob('*.png'))
    assert [cv2.imread(str(picture)).shape for picture in pictures] == [(136, 128, 3)] * 2
    trained = re.findall(r'# psnr_mssr: (\S+)', log)[-3:]
    assert re.findall(r'# psnr_mssr: (\S+)', only_log(results)) == trained  # the same figures as in training


def test_recipes(monkeypatch, world):
    """The recipes, for a few iterations of a crop or two: two generators, and two SR networks on what they draw."""
    assert [*RECIPES] == ['adapt.yml', *(f'degradation_{name}.yml' for name in ('deresnet', 'han', 'pdm')), 'mssr.yml',
                       'perceptual.yml']
    train = [f'datasets:train:dataroot_{role}={world}/{role}' for role in ('gt', 'lq')]
    train.append('datasets:train:batch_size_per_gpu=1')
    checkpoints = []
    for k, option_file in enumerate(RECIPES[1:3]):
        run(monkeypatch, pipeline.train, world, f'recipes/{option_file}', *train, *short(decay=True)[:1],
            *short(decay=True)[2:], 'datasets:train:gt_size=128')
        experiment = world / 'experiments' / f'recipe_{option_file[:-4]}'
        checkpoints.append(f'degradations:{k}:checkpoint={experiment}/models/net_g_latest.pth')
    run(monkeypatch, pipeline.train, world, 'recipes/mssr.yml', *train, *short(decay=True)[:1], *short(decay=True)[2:],
        *checkpoints, 'train:collab_start_iter=0')
    log = only_log(world / 'experiments' / 'recipe_mssr')
    assert 'l_collab_2' in log and re.search(r'l_adapt_2: [1-9]', log)

    start = build_network({'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1,
                           'num_grow_ch': 4})
    torch.save({'params_ema': start.state_dict()}, world / 'start.pth')
    run(monkeypatch, pipeline.train, world, 'recipes/perceptual.yml', *train, *short()[:1], *short()[2:], *checkpoints,
        f'network_g:pretrained={world}/start.pth', 'network_d:num_feat=4', 'datasets:train:gt_size=64',
        'datasets:train:batch_size_per_gpu=2', 'train:net_d_init_iters=1', 'train:optim_g:lr=1e-5',
        'logger:save_checkpoint_freq=1')
    log = only_log(world / 'experiments' / 'recipe_perceptual')
    assert 'train.find_rate: the rate of optim_g is' in log
    assert all(term in log for term in ('l_pix', 'l_percep', 'l_gan', 'l_d_real'))

    run(monkeypatch, pipeline.train, world, 'recipes/adapt.yml', *train, *short(decay=True)[:1],
        *short(decay=True)[2:], checkpoints[0], f'network_g:branches:0:pretrained={world}/start.pth',
        'datasets:train:gt_size=64', 'train:find_rate=false')
    assert 'l_sup_1' in only_log(world / 'experiments' / 'recipe_adapt')


def test_the_recipe_of_few_numbers_says_what_it_learned(monkeypatch, world):
    """At validation, in its record, and on the page of the report; and it degrades photos as any other generator."""
    train = [f'datasets:train:dataroot_{role}={world}/{role}' for role in ('gt', 'lq')]
    watched = (f'datasets:val={{name: hr, type: SingleImageDataset, dataroot_lq: {world}/val_gt, '
               'io_backend: {type: disk}}', 'val={val_freq: 3, save_img: false, select: haar_distance}')
    run(monkeypatch, pipeline.train, world, 'recipes/degradation_pdm.yml', *train, *short(decay=True)[:1],
        *short(decay=True)[2:], 'datasets:train:gt_size=128', 'logger:use_tb_logger=true', *watched)
    experiment = world / 'experiments' / 'recipe_degradation_pdm'
    log = only_log(experiment)
    assert 'what was learned' in log and all(f'# {name}: ' in log for name in LEARNED)
    (entry,) = read_validations(experiment)
    assert entry['learned'].keys() == LEARNED.keys() and 0 < abs(entry['learned']['blur'][0]) < 1
    page = build_page(experiment)
    assert 'What was learned' in page and 'noise_growth' in page and page.count('alt="draw 4"') == 2
    assert degrade.main(['-c', f'{experiment}/models/net_g_best.pth', '-i', f'{world}/val_gt', '-o', f'{world}/pairs',
                         '--noise-like', f'{world}/lq', '--save', f'{world}/camera.safetensors']) == 0
    assert cv2.imread(str(world / 'pairs' / 'lq' / 'a.png')).shape == (34, 32, 3)
    assert LearnedDegradation.load(world / 'camera.safetensors').jpeg is None


def test_the_start_that_ships(monkeypatch, world):
    """Three trainings, each from the one before."""
    forced = [f'datasets:train:dataroot_gt={world}/gt', 'datasets:train:gt_size=128',
              'datasets:train:batch_size_per_gpu=2', *short()[:1], *short()[2:]]
    def after(name):
        return f'network_g:pretrained={world}/experiments/{name}/models/net_g_latest.pth'

    run(monkeypatch, pipeline.train, world, 'start/inversion.yml', *forced)
    run(monkeypatch, pipeline.train, world, 'start/fidelity.yml', *forced, after('start_inversion'))
    run(monkeypatch, pipeline.train, world, 'start/perception.yml', *forced, after('start_fidelity'),
        'network_d:num_feat=4', 'train:net_d_init_iters=1', 'train:scheduler:decay_start=1')
    log = only_log(world / 'experiments' / 'start_perception')
    assert all(term in log for term in ('l_pix', 'l_percep', 'l_gan', 'l_d_real'))
    assert {path.name for path in (ROOT / 'options' / 'start').iterdir()} == {
        'inversion.yml', 'fidelity.yml', 'perception.yml'}


def test_each_kind_of_option_file_is_run():
    assert len(STAGE1) == 4 and len(STAGE2) == 2
    shipped = {path.name for path in (ROOT / 'options').glob('*.yml')}
    assert set(TEST) == {name.replace('train', 'test') for name in STAGE2}
    assert shipped >= {*STAGE1, *STAGE2, *TEST}


@pytest.mark.parametrize('missing', ['folder', 'checkpoint', 'empty'])
def test_what_is_missing_is_named_in_one_line(tmp_path, missing):
    """As a user sees it: another process, no traceback, status 2."""
    run = subprocess.run if missing == 'folder' else ready_python.run  # one from its first import
    option_file, named = 'train_degradation_aim.yml', 'datasets.train.dataroot_gt'
    forced = []
    if missing == 'checkpoint':
        option_file, named = 'train_mssr_aim.yml', 'degradations[0].checkpoint'
    if missing == 'empty':
        for role in ('gt', 'lq'):
            (tmp_path / role).mkdir()
            forced += [f'datasets:train:dataroot_{role}={tmp_path}/{role}']
    arguments = ['-opt', str(ROOT / 'options' / option_file), *(['--force_yml', *forced] if forced else [])]
    done = run([sys.executable, str(ROOT / 'train.py'), *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    line = next(line for line in done.stderr.splitlines() if named in line)
    assert str(tmp_path) in line


@pytest.mark.parametrize('photos, batch', [(3, 16), (1, 2), (7, 3)])
def test_as_many_iterations_run_as_asked_for(monkeypatch, tmp_path, photos, batch):
    """BasicSR drops the last batch of each epoch and then runs out of epochs."""
    write_folder(tmp_path / 'gt', photos, 32, 32)
    write_folder(tmp_path / 'lq', photos, 8, 8)
    forced = [f'datasets:train:dataroot_{role}={tmp_path}/{role}' for role in ('gt', 'lq')]
    run(monkeypatch, pipeline.train, tmp_path, 'train_degradation_aim.yml', *forced, 'datasets:train:gt_size=32',
        f'datasets:train:batch_size_per_gpu={batch}', 'datasets:train:num_worker_per_gpu=0', 'train:total_iter=5',
        'train:scheduler:decay_start=1', 'train:scheduler:total_iter=5', 'logger:print_freq=1', 'num_gpu=0',
        'network_g:num_feat=4', 'network_g:num_block=1', 'train:perceptual_opt=~', 'val=~', 'datasets:val=~')
    log = only_log(tmp_path / 'experiments' / 'degradation_aim_deresnet')
    assert re.findall(r'iter: +(\d+), lr', log) == ['1', '2', '3', '4', '5']
