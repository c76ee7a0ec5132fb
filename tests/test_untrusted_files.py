"""A pickle that would make a folder, in every place where a user gives a file: refused in one sentence, never run."""

import os
import pickle

import convert_checkpoint
import export
import numpy as np
import pytest
import torch
from resume_tools import make_world, options, train

import degrade
import inference
from data_tools import photo, write_folder, write_photo
from inference_tools import generator_checkpoint
from mssr_monitor.experiment_record import read_pictures
from mssr_train import pipeline
from option_tools import write


class Evil:
    """What a checkpoint from anywhere may be."""

    def __init__(self, proof):
        self.proof = str(proof)

    def __reduce__(self):
        return os.mkdir, (self.proof,)


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp('world'))


@pytest.fixture
def evil(tmp_path):
    file = tmp_path / 'evil.pth'
    torch.save({'params': {'conv.weight': torch.ones(1), 'more': Evil(tmp_path / 'executed')}}, file)
    yield file
    assert not (tmp_path / 'executed').exists()
    torch.load(file, weights_only=False)  # it would have
    assert (tmp_path / 'executed').exists()


def upscale(evil, root):
    return inference.main(['-c', str(evil), '-i', str(root / 'photos'), '-o', str(root / 'out'), '--device', 'cpu'])


def draw(evil, root):
    return degrade.main(['-c', str(evil), '-i', str(root / 'photos'), '-o', str(root / 'out'), '--device', 'cpu'])


def discriminate(evil, root):
    good = generator_checkpoint(root)
    return degrade.main(['-c', str(good), '--distance-maps', str(evil), '-i', str(root / 'photos'), '-o',
                         str(root / 'out'), '--device', 'cpu'])


def convert(evil, root):
    return convert_checkpoint.main([str(evil), str(root / 'out.pth')])


def hand_on(evil, root):
    return export.main([str(evil), str(root / 'out')])


@pytest.mark.parametrize('program', [upscale, draw, discriminate, convert, hand_on])
def test_programs(capsys, tmp_path, evil, program):
    (tmp_path / 'photos').mkdir()
    write_photo(tmp_path / 'photos' / 'photo.png', photo(0, 32, 32))
    assert program(evil, tmp_path) == 2
    assert f'{evil} was refused' in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob('out*') if path.is_file()]


@pytest.mark.parametrize('key', ['path.pretrain_network_g', 'path.pretrain_network_d', 'degradations[1].checkpoint',
                                 'network_g.branches[0].checkpoint', 'train.perceptual_opt', 'val.metrics.lpips',
                                 'path.resume_state', 'SRModel'])
@pytest.mark.parametrize('flag', [(), ('--check',)], ids=['training', 'trial'])
def test_trainings(monkeypatch, capfd, tmp_path, world, evil, key, flag):
    opt = options(world, 'stage1' if key in ('path.pretrain_network_d', 'train.perceptual_opt') else 'stage2', total=2)
    section, _, name = key.partition('.')
    if section == 'path':
        opt['path'][name] = str(evil)
    elif section == 'degradations':
        opt['degradations'][1]['checkpoint'] = str(evil)
    elif section == 'network_g':
        opt['network_g']['branches'] = [{**branch, 'checkpoint': str(evil)} for branch in opt['network_g']['branches']]
    elif section == 'train':
        write_folder(tmp_path / 'gt', 2, 128, 128)  # LPIPS needs crops of 31 pixels
        write_folder(tmp_path / 'lq', 2, 32, 32, first=50)
        opt['datasets']['train'] |= {'gt_size': 128, 'dataroot_gt': str(tmp_path / 'gt'),
                                     'dataroot_lq': str(tmp_path / 'lq')}
        opt['train']['perceptual_opt'] = {'type': 'LPIPSLoss', 'weights': str(evil)}
    elif section == 'val':
        opt['val']['metrics']['lpips'] = {'type': 'calculate_lpips', 'weights': str(evil)}
    else:  # BasicSR's own model and its own reader
        opt['model_type'], opt['path']['pretrain_network_g'] = 'SRModel', str(evil)
        opt['network_g'] = opt['network_g']['branches'][0]
        for term in ('collab_opt', 'adapt_opt', 'collab_start_iter'):
            del opt['train'][term]
        del opt['degradations']
    assert train(monkeypatch, tmp_path, opt, *flag) == 2
    error = capfd.readouterr().err
    assert 'was refused' in error and 'Traceback' not in error


def test_a_test(monkeypatch, capfd, tmp_path, world, evil):
    opt = options(world, 'stage2')
    opt['datasets'] = {'test': opt['datasets']['val']}
    for key in ('train', 'logger', 'degradations'):
        del opt[key]
    opt['path'] = {'pretrain_network_g': str(evil)}
    opt['val'] = {'save_img': False, 'suffix': None, 'metrics': opt['val']['metrics']}
    monkeypatch.setattr('sys.argv', ['test.py', '-opt', write(tmp_path, opt)])
    with pytest.raises(SystemExit) as end:
        pipeline.test(str(tmp_path))
    assert end.value.code == 2 and f'{evil} was refused' in capfd.readouterr().err


def test_pictures_of_an_experiment(tmp_path):
    """The report reads what training left there; NumPy's files can hold pickles too."""
    np.savez(tmp_path / 'pictures_branches.npz', lq_0=np.array([Evil(tmp_path / 'executed')], dtype=object))
    assert read_pictures(tmp_path, 'branches') is None
    assert not (tmp_path / 'executed').exists()


def test_a_pickle_that_calls_itself_safetensors(capsys, tmp_path):
    (tmp_path / 'evil.safetensors').write_bytes(pickle.dumps(Evil(tmp_path / 'executed')))
    assert convert(tmp_path / 'evil.safetensors', tmp_path) == 2
    assert 'evil.safetensors is damaged' in capsys.readouterr().err
    assert not (tmp_path / 'executed').exists()
