"""``train.py --check``: what it reports, what it finds, and that it leaves nothing behind."""

import copy
import sys

import numpy as np
import pytest
import torch
from basicsr.archs import build_network
from basicsr.utils.logger import initialized_logger

from data_tools import folder_to_lmdb, photo, write_folder, write_photo
from mssr_compat.errors import UserError
from mssr_train.pipeline import test as run_test
from mssr_train.pipeline import train
from mssr_train.preflight import run_preflight
from option_tools import DERESNET, put, stage_1, stage_2, test_options, write


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Photos, pairs and checkpoints that the options of ``option_tools`` name."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / 'clean', 3, 70, 80)
    write_folder(tmp_path / 'real', 5, 20, 24)
    for number in range(2):
        write_photo(tmp_path / 'lq' / f'{number}.png', photo(number, 12, 16))
        write_photo(tmp_path / 'gt' / f'{number}.png', photo(number, 48 + 2 * number, 64))  # cut to 48 by BasicSR
    opt = stage_2()
    for section, name in ((opt['network_g']['branches'][0], 'a'), *zip(opt['degradations'], ('g1', 'g2'), strict=True)):
        options = {key: value for key, value in section.items() if key != 'checkpoint'}
        torch.save({'params': build_network(options).state_dict()}, tmp_path / f'{name}.pth')
    return tmp_path


def complete(opt, root):
    """What BasicSR's ``parse_options`` adds."""
    opt = copy.deepcopy(opt)
    opt |= {'dist': False, 'rank': 0, 'world_size': 1, 'is_train': True, 'auto_resume': False, 'root_path': str(root)}
    for phase, options in opt['datasets'].items():
        options |= {'phase': phase.split('_')[0], 'scale': opt['scale']}
    results = root / 'experiments' / opt['name']
    opt['path'] |= {'experiments_root': str(results), 'log': str(results)}
    opt['path'] |= {key: str(results / key) for key in ('models', 'training_states', 'visualization')}
    return opt


def report_of(opt, root, capsys):
    """The report, and the problems raised at its end (one a line, '' if there are none)."""
    before = sorted(root.rglob('*'))
    problems = ''
    try:
        run_preflight(complete(opt, root))
    except UserError as error:
        problems = str(error)
    assert sorted(root.rglob('*')) == before, 'nothing is left behind'
    return capsys.readouterr().out, problems


def test_report_of_stage_1(world, capsys):
    report, problems = report_of(stage_1(), world, capsys)
    assert problems == ''
    for part in (
        'DegradationGANModel', 'on the CPU', 'clean HR photos: 3 images', 'real LR photos: 5 images', 'p000.png',
        'width x height, smallest 80x70', 'largest 80x72', 'modes: RGB 3', 'pairs: 2; HR = 4 x LR in 2 of 2',
        'random weights', 'net_g: DeResnet', 'net_d: WaveletDiscriminator, 1,039,105 parameters',
        'gt (1, 3, 64, 64), lq (1, 3, 16, 16)', 'l_g_gan', 'peak memory', 's an iteration, judged by one',
        'hours in all', str(world / 'experiments' / 'unit'), 'All is well',
    ):
        assert part in report, part


def test_report_of_stage_2(world, capsys):
    report, problems = report_of(stage_2(), world, capsys)
    assert problems == ''
    for part in (
        'network_g.branches[0].checkpoint: a.pth', 'degradations[1].checkpoint: g2.pth: a DeResnet',
        'net_g: SREnsemble', 'net_g.branches[1]: RRDBNet', 'degradations[0]: DeResnet', 'losses, iteration 1:',
        'losses, iteration 100:', 'l_adapt_2',
    ):
        assert part in report, part


def test_report_of_a_test(world, capsys):
    opt = complete(test_options(), world)
    opt['is_train'] = False
    opt['path'] = {'results_root': str(world / 'results' / 'unit'), 'pretrain_network_g': 'net_g.pth'}
    network_g = build_network(opt['network_g'])
    torch.save({'params': network_g.state_dict()}, world / 'net_g.pth')
    run_preflight(opt)
    report = capsys.readouterr().out
    for part in ('pairs: 2', 'net_g.pth', 'net_g: SREnsemble', str(world / 'results' / 'unit'), 'All is well'):
        assert part in report, part
    torch.save({'params': build_network(DERESNET).state_dict()}, world / 'net_g.pth')
    with pytest.raises(UserError, match='net_g.pth'):
        run_preflight(opt)
    assert not (world / 'results').exists()


def test_lmdb_keys(world, capsys):
    opt = stage_1()
    for role in ('clean', 'real'):
        folder_to_lmdb(world / role, world / f'{role}.lmdb')
        put(opt, f'datasets.train.dataroot_{"gt" if role == "clean" else "lq"}', f'{role}.lmdb')
    put(opt, 'datasets.train.io_backend', {'type': 'lmdb'})
    # BasicSR's LMDB of pairs
    for role in ('gt', 'lq'):
        folder_to_lmdb(world / role, world / f'pairs_{role}.lmdb')
        put(opt, f'datasets.val.dataroot_{role}', f'pairs_{role}.lmdb')
    put(opt, 'datasets.val.io_backend', {'type': 'lmdb'})
    report, problems = report_of(opt, world, capsys)
    assert problems == ''
    assert 'keys: p000, p001, p002' in report
    assert 'pairs: 2; HR = 4 x LR in 2 of 2' in report


def test_modes_and_sizes(world, capsys):
    write_photo(world / 'real' / 'gray.png', photo(0, 40, 30)[..., 0])
    write_photo(world / 'real' / 'deep.png', photo(0, 40, 30)[..., 0].astype(np.uint16) * 257)
    report, problems = report_of(stage_1(), world, capsys)
    assert problems == ''
    assert 'modes: RGB 5, L 1, I;16 1' in report or 'modes: RGB 5, I;16 1, L 1' in report
    assert 'largest 30x40' in report


def test_unreadable_images_are_named(world, capsys):
    (world / 'lq' / '0.png').write_bytes((world / 'lq' / '0.png').read_bytes()[:60])
    (world / 'gt' / '1.png').write_bytes(b'')
    report, problems = report_of(stage_1(), world, capsys)
    for role, name in (('lq', '0.png'), ('gt', '1.png')):
        assert any('datasets.val.dataroot_' + role in line and f"{role}/{name}'" in line
                   for line in problems.splitlines())
    assert 'PROBLEM' in report and 'All is well' not in report


def test_pairs_of_another_scale(world, capsys):
    write_photo(world / 'gt' / '1.png', photo(1, 24, 32))
    _, problems = report_of(stage_1(), world, capsys)
    assert 'datasets.val: 1 pairs are not of scale 4' in problems
    assert '32x24' in problems and '16x12' in problems


def test_images_without_a_partner(world, capsys):
    (world / 'gt' / '1.png').unlink()
    _, problems = report_of(stage_1(), world, capsys)
    assert 'datasets.val: the images cannot be paired' in problems


def test_photos_smaller_than_the_crop(world, capsys):
    write_photo(world / 'real' / 'tiny.png', photo(0, 9, 9))
    _, problems = report_of(stage_1(), world, capsys)
    assert 'tiny.png' in problems


def test_checkpoint_of_another_network(world, capsys):
    (world / 'g2.pth').write_bytes((world / 'a.pth').read_bytes())
    _, problems = report_of(stage_2(), world, capsys)
    assert 'g2.pth' in problems and 'RRDBNet' in problems and 'DeResnet' in problems


def test_damaged_checkpoint_and_state(world, capsys):
    (world / 'a.pth').write_bytes((world / 'a.pth').read_bytes()[:100])
    torch.save({'iter': 7, 'epoch': 0, 'optimizers': [], 'schedulers': []}, world / '7.state')
    opt = stage_2()
    put(opt, 'path.resume_state', '7.state')
    report, problems = report_of(opt, world, capsys)
    assert 'network_g.branches[0].checkpoint: a.pth' in problems
    assert '7.state: training state of iteration 7' in report
    put(opt, 'path.resume_state', 'g1.pth')
    _, problems = report_of(opt, world, capsys)
    assert 'path.resume_state: g1.pth' in problems


def test_a_loss_that_is_not_finite(world, capsys):
    opt = stage_1()
    put(opt, 'train.color_opt.loss_weight', 1e39)  # beyond float32
    _, problems = report_of(opt, world, capsys)
    assert 'l_g_color is inf in iteration 1' in problems


def test_out_of_memory(world, capsys, monkeypatch):
    def fail(*args, **kwargs):
        raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr('mssr_train.preflight.build_model', fail)
    _, problems = report_of(stage_1(), world, capsys)
    assert 'does not fit into memory; lower datasets.train.batch_size_per_gpu' in problems


def test_errors_in_other_peoples_code_are_located(world, capsys, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyError('odd')

    monkeypatch.setattr('mssr_train.preflight.build_model', fail)
    _, problems = report_of(stage_1(), world, capsys)
    assert "KeyError: 'odd' (test_preflight.py:" in problems


def test_existing_results_are_announced(world, capsys):
    (world / 'experiments' / 'unit' / 'training_states').mkdir(parents=True)
    report, _ = report_of(stage_1(), world, capsys)
    assert 'will be renamed' in report
    opt = stage_1()
    opt['path']['resume_state'] = 'x.state'
    report, _ = report_of(opt, world, capsys)
    assert 'goes on there' in report


def test_from_the_command_line(world, capsys, monkeypatch):
    before = sorted(world.rglob('*'))
    file = write(world, stage_1())
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', file, '--check', '--force_yml', 'train:total_iter=7'])
    with pytest.raises(SystemExit) as status:
        train(str(world))
    assert not status.value.code
    assert 'losses, iteration 7:' in capsys.readouterr().out
    assert sorted(world.rglob('*')) == sorted([*before, world / 'opt.yml'])
    assert 'basicsr' not in initialized_logger


def test_a_key_can_be_removed_for_one_run(world, capsys, monkeypatch):
    opt = stage_1()
    opt['train']['gone'] = 1
    file = write(world, opt)
    forced = ['~train:gone', '~datasets:val', '~val']
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', file, '--check', '--force_yml', *forced])
    with pytest.raises(SystemExit) as status:
        train(str(world))
    assert not status.value.code
    assert 'clean HR photos: 3 images' in capsys.readouterr().out


@pytest.mark.parametrize('pipeline', [train, run_test])
def test_help(world, capsys, monkeypatch, pipeline):
    monkeypatch.setattr(sys, 'argv', ['train.py', '-h'])
    with pytest.raises(SystemExit) as status:
        pipeline(str(world))
    assert not status.value.code
    text = ' '.join(capsys.readouterr().out.split())
    for part in ('-opt FILE', '--check', "'~section:key' removes one", '--launcher', '--auto_resume', '--debug'):
        assert part in text


@pytest.mark.parametrize(
    ('force', 'expected'),
    [
        ('train:total_itr=7', "train.total_itr: no such option; did you mean 'total_iter'?"),
        ('datasets:train:dataroot_gt=nowhere', "datasets.train.dataroot_gt: '"),
        ('datasets:val:dataroot_gt=clean', 'datasets.val: the images cannot be paired'),
        ('name', '--force_yml name: it must read key=value'),
    ],
)
def test_mistakes_on_the_command_line(world, capsys, monkeypatch, force, expected):
    file = write(world, stage_1())
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', file, '--check', '--force_yml', force])
    with pytest.raises(SystemExit) as status:
        train(str(world))
    error = capsys.readouterr().err
    assert status.value.code == 2
    assert expected in error and error.startswith('error: ') and 'Traceback' not in error
    assert not (world / 'experiments').exists()
