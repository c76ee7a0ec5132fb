"""What is missing on disk is found before training, with its key."""

import os

import pytest
import torch

from data_tools import folder_to_lmdb, write_folder
from mssr_compat.errors import UserError
from mssr_options.files import check_files
from mssr_options.reader import read_options
from option_tools import put, stage_1, stage_2, test_options, write


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with all that the options of ``option_tools`` name."""
    monkeypatch.chdir(tmp_path)
    for name in ('clean', 'real', 'gt', 'lq'):
        write_folder(tmp_path / name, 1, 8, 8)
    for name in ('a.pth', 'g1.pth', 'g2.pth', 'net_g.pth'):
        (tmp_path / name).write_bytes(b'x')
    return tmp_path


def error_of(opt, source=None):
    with pytest.raises(UserError) as error:
        check_files(opt, source)
    return str(error.value)


@pytest.mark.parametrize('make', [stage_1, stage_2, test_options])
def test_nothing_is_missing(world, make):
    opt = make()
    opt['is_train'] = make is not test_options
    check_files(opt)


@pytest.mark.parametrize(
    ('path', 'value', 'parts'),
    [
        ('datasets.train.dataroot_gt', 'nowhere', ['does not exist', '{cwd}/nowhere']),
        ('datasets.train.dataroot_lq', 'data/AIM2019/x', ['{cwd}/data/AIM2019/x']),
        ('datasets.val.dataroot_lq', 'a.pth', ['is a file']),
        ('datasets.train.dataroot_gt', '', ['empty_folder is empty']),
        ('datasets.train.meta_info_gt', 'list.txt', ['{cwd}/list.txt', 'does not exist']),
        ('path.pretrain_network_g', 'RRDB_PSNR_x4.pth', ['{cwd}/RRDB_PSNR_x4.pth', 'does not exist']),
        ('path.pretrain_network_d', 'net_d.pth', ['does not exist']),
        ('path.resume_state', '5.state', ['does not exist']),
        ('path.pretrain_network_g', 'clean', ['is a folder']),
        ('train.perceptual_opt', {'type': 'LPIPSLoss', 'weights': 'alex.pth'}, ['train.perceptual_opt.weights']),
        ('num_gpu', 4096, ['CUDA devices', 'auto']),
    ],
)
def test_what_stage_1_lacks(world, path, value, parts):
    opt = stage_1()
    if not value:
        (world / 'empty_folder').mkdir()
        value, parts = 'empty_folder', ["empty_folder' is empty"]
    put(opt, path, value)
    message = error_of(opt)
    assert path in message
    for part in parts:
        assert part.format(cwd=os.getcwd()) in message
    assert '\n' not in message


def test_a_folder_of_text_files(world):
    (world / 'texts' / 'deep').mkdir(parents=True)
    (world / 'texts' / 'deep' / 'readme.txt').write_text('x')
    opt = stage_1()
    put(opt, 'datasets.train.dataroot_lq', 'texts')
    assert "has no image among its 1 files (such as 'deep/readme.txt')" in error_of(opt)
    write_folder(world / 'texts' / 'deeper' / 'still', 1, 8, 8)
    check_files(opt)


def test_a_link_that_leads_back_up(world):
    (world / 'loop').mkdir()
    (world / 'loop' / 'again').symlink_to(world / 'loop')
    opt = stage_1()
    put(opt, 'datasets.train.dataroot_lq', 'loop')
    assert 'is empty' in error_of(opt)


def test_lmdbs(world):
    opt = stage_1()
    for role in ('clean', 'real'):
        folder_to_lmdb(world / role, world / f'{role}.lmdb')
    train = opt['datasets']['train']
    train |= {'io_backend': {'type': 'lmdb'}, 'dataroot_gt': 'clean.lmdb', 'dataroot_lq': 'real.lmdb'}
    check_files(opt)
    (world / 'real.lmdb' / 'meta_info.txt').write_text('')
    assert "meta_info.txt' is empty" in error_of(opt)
    (world / 'real.lmdb' / 'data.mdb').unlink()
    assert 'it has no data.mdb' in error_of(opt)
    put(opt, 'datasets.train.dataroot_lq', 'other.lmdb')
    assert 'other.lmdb' in error_of(opt)


def test_what_stage_2_lacks(world):
    opt = stage_2()
    (world / 'g2.pth').write_bytes(b'')
    for name in ('a.pth', 'g1.pth'):
        (world / name).unlink()
    first, second, third = error_of(opt).splitlines()
    assert first.startswith('degradations[0].checkpoint:') and 'g1.pth' in first
    assert second.startswith('degradations[1].checkpoint:') and '0 bytes' in second
    assert third.startswith('network_g.branches[0].checkpoint:')


def test_a_generators_own_photos_are_looked_for(world):
    opt = stage_2()
    opt['degradations'][1]['meta_info_lq'] = 'groups/group_2.txt'
    assert error_of(opt).startswith('degradations[1].meta_info_lq:') and 'group_2.txt' in error_of(opt)
    (world / 'groups').mkdir()
    (world / 'groups' / 'group_2.txt').write_text('a.png')
    check_files(opt)


def test_a_resumed_run_brings_its_own_networks(world):
    opt = stage_2()
    put(opt, 'path.pretrain_network_g', 'gone.pth')
    (world / 'a.pth').unlink()
    assert 'gone.pth' in error_of(opt)
    opt['auto_resume'] = True
    assert 'gone.pth' in error_of(opt), 'there is nothing to go on from'
    (world / 'experiments' / 'unit' / 'training_states').mkdir(parents=True)
    (world / 'experiments' / 'unit' / 'training_states' / '10.state').write_bytes(b'x')
    check_files(opt)
    (world / 'g1.pth').unlink()
    assert 'degradations[0]' in error_of(opt), 'frozen generators are read again'


def test_tests_need_no_training_files(world):
    opt = test_options()
    opt['is_train'] = False
    opt['train'] = {'perceptual_opt': {'type': 'LPIPSLoss', 'weights': 'gone.pth'}}
    for name in ('a.pth', 'g1.pth'):
        (world / name).unlink()
    check_files(opt)
    put(opt, 'path.pretrain_network_g', None)
    assert 'network_g.branches[0].checkpoint' in error_of(opt)


def test_the_place_in_the_file_is_named(world):
    opt = stage_1()
    put(opt, 'datasets.train.dataroot_gt', 'nowhere')
    file = write(world, opt)
    assert f'{file}:' in error_of(read_options(file))
    assert f'{file}: datasets.train.dataroot_gt' in error_of(opt, file)


def test_results_that_cannot_be_written(world, monkeypatch):
    opt = stage_1()
    opt['path']['experiments_root'] = str(world / 'experiments' / 'unit')
    monkeypatch.setattr(os, 'access', lambda path, mode: False)  # the tests may run as root, who may write anywhere
    assert f"'{world}' is read-only" in error_of(opt)


def test_as_many_gpus_as_there_are(world):
    opt = stage_1()
    opt['num_gpu'] = torch.cuda.device_count()
    check_files(opt)
    opt['num_gpu'] = 'auto'
    check_files(opt)


def test_the_best_of_an_experiment_is_looked_for_where_it_lies(world):
    opt = stage_2()
    opt['is_train'] = True
    opt['degradations'][0]['checkpoint'] = 'experiments/g1/best'
    (world / 'experiments' / 'g1' / 'models').mkdir(parents=True)
    assert 'experiments/g1/models/net_g_best.pth' in error_of(opt)
    (world / 'experiments' / 'g1' / 'models' / 'net_g_best.pth').write_bytes(b'x')
    check_files(opt)
