"""Sets of pairs: what trainers read, what a stopped run leaves, and how ranks share the work."""

import contextlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.data.realesrgan_paired_dataset import RealESRGANPairedDataset

import degrade
import ready_python
from data_tools import folder_to_lmdb, write_photo
from inference_tools import generator_checkpoint, picture

ROOT = Path(__file__).resolve().parent.parent
PAIRED = {'phase': 'train', 'scale': 4, 'gt_size': 32, 'use_hflip': True, 'use_rot': True, 'name': 'set', 'type': ''}


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    for k, size in enumerate([(64, 80), (45, 67), (70, 41)]):
        write_photo(folder / f'p{k}.png', picture(*size, seed=k))
    write_photo(folder / 'sub.dir' / 'ä.jpg', picture(50, 60, seed=9))
    return folder


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return generator_checkpoint(tmp_path_factory.mktemp('weights'))


def run(checkpoint, photos, out, *options):
    return degrade.main(['-c', *map(str, checkpoint if isinstance(checkpoint, list) else [checkpoint]), '-i',
                         str(photos), '-o', str(out), '--device', 'cpu', *map(str, options)])


def pictures(out, folder='lq'):
    return {path.name: cv2.imread(str(path)) for path in sorted((out / folder).iterdir())}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_pairs_fit_and_are_read_as_they_are(tmp_path, checkpoint, photos):
    out = tmp_path / 'set'
    assert run(checkpoint, photos, out, '--draws', 2, '--lmdb') == 0
    lq, gt = pictures(out), pictures(out, 'gt')
    assert list(lq) == list(gt)
    assert len(lq) == 8
    assert all(gt[name].shape[:2] == (4 * lq[name].shape[0], 4 * lq[name].shape[1]) for name in lq)
    assert not np.array_equal(lq['p0_d0.png'], lq['p0_d1.png'])
    assert np.array_equal(gt['p1_d0.png'], cv2.imread(str(photos / 'p1.png'))[:44, :64])
    assert os.stat(out / 'gt' / 'p0_d0.png').st_ino == os.stat(photos / 'p0.png').st_ino  # no second copy

    folders = {'dataroot_gt': str(out / 'gt'), 'dataroot_lq': str(out / 'lq'), 'io_backend': {'type': 'disk'}}
    databases = {'dataroot_gt': str(out / 'gt.lmdb'), 'dataroot_lq': str(out / 'lq.lmdb'),
                 'io_backend': {'type': 'lmdb'}}
    listed = {'dataroot_gt': str(out), 'dataroot_lq': str(out), 'meta_info': str(out / 'meta_info.txt'),
              'io_backend': {'type': 'disk'}}
    validation = {**PAIRED, 'phase': 'val'}
    found = []
    for cls, roots in ((PairedImageDataset, folders), (PairedImageDataset, databases),
                       (RealESRGANPairedDataset, listed)):
        training = cls({**PAIRED, **roots, 'io_backend': dict(roots['io_backend'])})
        assert len(training) == 8
        assert training[3]['lq'].shape == (3, 8, 8)
        del training  # LMDB opens a database once in a process
        items = cls({**validation, **roots, 'io_backend': dict(roots['io_backend'])})
        found.append({Path(item['gt_path']).stem: item['lq'] for item in map(items.__getitem__, range(8))})
    assert all(same(found[0], other) for other in found[1:])


def test_the_manifest_says_where_everything_comes_from(tmp_path, checkpoint, photos):
    run(checkpoint, photos, tmp_path / 'set', '--seed', 7)
    manifest = json.loads((tmp_path / 'set' / 'manifest.json').read_text())
    settings = manifest['settings']
    assert settings['seed'] == 7
    assert settings['generators'][0]['network']['type'] == 'DeResnet'
    assert len(settings['generators'][0]['sha256']) == 64
    entry = next(entry for entry in manifest['pictures'] if entry['photo'] == 'sub.dir/ä.jpg')
    assert (tmp_path / 'set' / 'lq' / f'{entry["name"]}.png').exists()


def test_the_same_draw_in_any_set(tmp_path, checkpoint, photos):
    """Alone, among others, from a database, in another order of names and with more draws: the same pictures."""
    run(checkpoint, photos, tmp_path / 'all')
    alone = tmp_path / 'alone'
    write_photo(alone / 'p1.png', cv2.imread(str(photos / 'p1.png'))[..., ::-1])
    run(checkpoint, alone, tmp_path / 'one', '--draws', 3)
    run(checkpoint, folder_to_lmdb(alone, tmp_path / 'alone.lmdb'), tmp_path / 'base', '--no-hr')
    expected = pictures(tmp_path / 'all')['p1.png']
    assert np.array_equal(pictures(tmp_path / 'one')['p1_d0.png'], expected)
    assert np.array_equal(pictures(tmp_path / 'base')['p1.png'], expected)
    assert not pictures(tmp_path / 'base', 'gt')


def test_a_stopped_run_is_continued(tmp_path, checkpoint, photos, monkeypatch):
    run(checkpoint, photos, tmp_path / 'whole', '--draws', 2)
    from mssr_inference.degrader import Degrader
    degrade_photo, calls = Degrader.__call__, []

    def stop_after_three(self, photo, key):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(key)
        return degrade_photo(self, photo, key)

    out = tmp_path / 'set'
    monkeypatch.setattr(Degrader, '__call__', stop_after_three)
    assert run(checkpoint, photos, out, '--draws', 2) == 130
    assert not list(out.rglob('*.part'))
    calls.clear()
    monkeypatch.setattr(Degrader, '__call__', lambda *args: calls.append(args[2]) or degrade_photo(*args))
    assert run(checkpoint, photos, out, '--draws', 2) == 0
    assert 0 < len(calls) <= 8 - 3 + 1
    assert same(pictures(out), pictures(tmp_path / 'whole'))
    calls.clear()
    run(checkpoint, photos, out, '--draws', 2)
    assert calls == []


def test_other_settings_do_not_mix_into_a_set(tmp_path, checkpoint, photos, capsys):
    out = tmp_path / 'set'
    run(checkpoint, photos, out)
    for options, words in ((['--seed', 1], 'seed 0, not 1'), (['--draws', 2], 'draws 1, not 2'),
                           (['--strength', 0, 1], 'strength'), (['--noise', 0, 1], 'noise')):
        assert run(checkpoint, photos, out, *options) == 2
        assert words in capsys.readouterr().err
    other = generator_checkpoint(tmp_path, 'other.pth', seed=5)
    assert run(other, photos, out) == 2
    assert 'generators' in capsys.readouterr().err
    assert run(checkpoint, photos, photos) == 2
    assert 'not empty' in capsys.readouterr().err


def test_strength_between_bicubic_and_the_generator(tmp_path, checkpoint, photos, capsys):
    for name, strength in (('whole', []), ('none', [0, 0]), ('some', [0, 1]), ('again', [0, 1])):
        assert run(checkpoint, photos, tmp_path / name, *(['--strength', *strength] if strength else [])) == 0
    whole, none, some, again = (pictures(tmp_path / name) for name in ('whole', 'none', 'some', 'again'))
    assert same(some, again) and not same(some, whole)

    def apart(one, other, name):
        return np.abs(one[name].astype(int) - other[name]).mean()

    shares = [apart(some, none, name) / apart(whole, none, name) for name in whole]
    assert max(shares) < 1.1 and max(shares) - min(shares) > 0.1  # another for each photo
    for option in ('--strength', '--noise'):
        for strength, words in ((['1', '0'], 'lower one comes first'), (['-1', '1'], '-1'), (['0', 'nan'], 'nan')):
            with pytest.raises(SystemExit) if 'lower' not in words else contextlib.nullcontext():
                assert run(checkpoint, photos, tmp_path / 'no', option, *strength) == 2
            error = capsys.readouterr().err
            assert words in error and option in error


def test_as_noisy_as_real_photos(tmp_path, checkpoint, photos, capsys):
    """Where these have no noise, none is drawn; where they have more than the generator, all of it."""
    random = np.random.default_rng(0)
    for name, deviation in (('quiet', 0), ('loud', 60)):
        for k in range(4):
            noisy = 128 + deviation * random.standard_normal((48, 64, 3))
            write_photo(tmp_path / name / f'{k}.png', noisy.clip(0, 255).astype(np.uint8))
    folder_to_lmdb(tmp_path / 'loud', tmp_path / 'loud.lmdb')
    for out, options in (('a', ['--noise-like', tmp_path / 'quiet']), ('b', ['--noise-like', tmp_path / 'loud']),
                         ('c', ['--noise-like', tmp_path / 'loud.lmdb']), ('none', ['--noise', 0, 0]),
                         ('all', ['--noise', 1, 1])):
        assert run(checkpoint, photos, tmp_path / out, '--strength', 0, 1, *options) == 0
    sets = {name: pictures(tmp_path / name) for name in ('a', 'b', 'c', 'none', 'all')}
    assert same(sets['a'], sets['none']) and not same(sets['none'], sets['all'])
    assert same(sets['b'], sets['all']) and same(sets['c'], sets['all'])
    assert json.loads((tmp_path / 'b' / 'manifest.json').read_text())['settings']['noise'] == [[1.0] * 5]
    assert 'shares of its noise, from quiet photos to noisy ones: 1.00, 1.00' in capsys.readouterr().out
    again = ['--strength', 0, 1, '--noise-like']
    assert run(checkpoint, photos, tmp_path / 'b', *again, tmp_path / 'loud') == 0
    assert run(checkpoint, photos, tmp_path / 'b', *again, tmp_path / 'quiet') == 2
    assert 'noise' in capsys.readouterr().err
    assert run(checkpoint, photos, tmp_path / 'no', *again, tmp_path / 'nowhere') == 2
    assert '--noise-like' in capsys.readouterr().err and not (tmp_path / 'no').exists()
    with pytest.raises(SystemExit):
        run(checkpoint, photos, tmp_path / 'no', '--noise', 0, 1, *again, tmp_path / 'loud')


def test_damaged_photos_are_listed_and_the_others_degraded(tmp_path, checkpoint, capsys):
    write_photo(tmp_path / 'hr' / 'good.png', picture(40, 40))
    write_photo(tmp_path / 'hr' / 'tiny.png', picture(3, 40))
    (tmp_path / 'hr' / 'bad.png').write_bytes(b'no picture')
    assert run(checkpoint, tmp_path / 'hr', tmp_path / 'set', '--lmdb') == 1
    message = capsys.readouterr().err
    assert '2 photos' in message and 'bad.png' in message and 'too few for scale 4' in message
    assert list(pictures(tmp_path / 'set')) == ['good.png']
    assert (tmp_path / 'set' / 'lq.lmdb' / 'meta_info.txt').read_text() == 'good.png (10,10,3) 1\n'


def test_several_generators_take_turns(tmp_path, checkpoint, photos, capsys):
    other = generator_checkpoint(tmp_path, 'other.pth', seed=5)
    assert run([checkpoint, other], photos, tmp_path / 'set', '--draws', 4) == 0
    entries = json.loads((tmp_path / 'set' / 'manifest.json').read_text())['pictures']
    assert {entry['generator'] for entry in entries} == {0, 1}
    run(checkpoint, photos, tmp_path / 'first', '--draws', 4)
    first, mixed = pictures(tmp_path / 'first'), pictures(tmp_path / 'set')
    for entry in entries:
        name = f'{entry["name"]}.png'
        assert np.array_equal(first[name], mixed[name]) == (entry['generator'] == 0)
    wrong = generator_checkpoint(tmp_path, 'x2.pth', scale=2)
    torch.save({**torch.load(wrong), 'scale': 2}, wrong)
    assert run([checkpoint, wrong], photos, tmp_path / 'no') == 2
    assert 'one set has one scale' in capsys.readouterr().err
    assert run(checkpoint, photos, tmp_path / 'no', '--weights', 1, 2) == 2


def test_ranks_share_the_photos_with_the_same_result(tmp_path, checkpoint, photos):
    run(checkpoint, photos, tmp_path / 'one', '--draws', 2)
    command = [*ready_python.TORCHRUN, '--standalone', '--nproc_per_node=2', str(ROOT / 'degrade.py'),
               '-c', str(checkpoint), '-i', str(photos), '-o', str(tmp_path / 'two'),
               '--draws', '2', '--device', 'cpu', '--lmdb']
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    done = ready_python.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert same(pictures(tmp_path / 'one'), pictures(tmp_path / 'two'))
    assert len((tmp_path / 'two' / 'gt.lmdb' / 'meta_info.txt').read_text().splitlines()) == 8


def test_an_sr_network_is_no_generator(tmp_path, photos, capsys):
    from inference_tools import sr_checkpoint

    assert run(sr_checkpoint(tmp_path), photos, tmp_path / 'set') == 2
    assert 'a degradation generator of stage 1 is needed' in capsys.readouterr().err
