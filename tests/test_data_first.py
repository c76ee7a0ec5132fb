"""A fault in the data is the first thing that a training says, before BasicSR's log begins."""

import os
import sys
from pathlib import Path

import pytest

from data_tools import folder_to_lmdb, photo, write_folder, write_photo
from mssr_data.decoding import TAIL, looks_whole
from mssr_train import pipeline

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def world(tmp_path):
    for role, side in (('gt', 40), ('lq', 20), ('val_gt', 40), ('val_lq', 10)):
        write_folder(tmp_path / role, 3, side, side)
    return tmp_path


def said_first(root, monkeypatch, capfd, *more):
    """What a training says that must not begin."""
    forced = [f'datasets:train:dataroot_{role}={root}/{role}' for role in ('gt', 'lq')]
    forced += [f'datasets:val:dataroot_{role}={root}/val_{role}' for role in ('gt', 'lq')]
    forced += ['datasets:train:gt_size=32', 'num_gpu=0', 'train:perceptual_opt=~', 'val:metrics=~', *more]
    option_file = str(ROOT / 'options' / 'train_degradation_aim.yml')
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', option_file, '--force_yml', *forced])
    with pytest.raises(SystemExit) as end:
        pipeline.train(str(root))
    out, err = capfd.readouterr()
    assert end.value.code == 2 and not (root / 'experiments').exists()
    assert out == '' and err.startswith('error: ') and err.count('\n') == 1
    return err


def cut(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


CASES = {
    'cut': (lambda r: cut(r / 'lq' / 'p001.png'), 'datasets.train.dataroot_lq', 'lq/p001.png'),
    'cut HR': (lambda r: cut(r / 'gt' / 'p002.png'), 'datasets.train.dataroot_gt', 'gt/p002.png'),
    'cut JPEG': (lambda r: (write_photo(r / 'lq' / 'a.jpg', photo(1, 99, 99)), cut(r / 'lq' / 'a.jpg')),
                 'datasets.train.dataroot_lq', 'lq/a.jpg'),
    'empty file': (lambda r: (r / 'gt' / 'p001.png').write_bytes(b''), 'datasets.train.dataroot_gt', 'gt/p001.png'),
    'a page': (lambda r: (r / 'lq' / 'p001.png').write_text('<html>'), 'datasets.train.dataroot_lq', 'lq/p001.png'),
    'too small': (lambda r: write_photo(r / 'lq' / 'tiny.png', photo(1, 5, 5)), 'datasets.train.dataroot_lq', 'tiny'),
    'validation': (lambda r: cut(r / 'val_lq' / 'p001.png'), 'datasets.val.dataroot_lq', 'val_lq/p001.png'),
    'no photo': (lambda r: [path.unlink() for path in (r / 'lq').iterdir()], 'datasets.train.dataroot_lq', 'is empty'),
}


@pytest.mark.parametrize('case', CASES)
def test_folders(world, monkeypatch, capfd, case):
    spoil, key, culprit = CASES[case]
    spoil(world)
    error = said_first(world, monkeypatch, capfd)
    assert key in error and culprit in error


def test_databases(world, monkeypatch, capfd):
    for role in ('gt', 'lq'):
        folder_to_lmdb(world / role, world / f'{role}.lmdb')
    cut(world / 'lq.lmdb' / 'data.mdb')
    roots = [f'datasets:train:dataroot_{role}={world}/{role}.lmdb' for role in ('gt', 'lq')]
    error = said_first(world, monkeypatch, capfd, *roots, 'datasets:train:io_backend:type=lmdb')
    assert 'datasets.train.dataroot_lq' in error and 'cut short' in error


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.webp', '.tif', '.ppm', '.jp2'])
def test_whole_files_look_whole(tmp_path, suffix):
    path = tmp_path / f'photo{suffix}'
    write_photo(path, photo(0, 40, 50))
    data = path.read_bytes()
    assert looks_whole(data[:16], data[-TAIL:], len(data))
    if suffix not in ('.tif', '.ppm', '.jp2'):  # which do not say where they end
        short = data[:len(data) * 3 // 4]
        assert not looks_whole(short[:16], short[-TAIL:], len(short))


def test_photos_with_something_after_their_end_are_decoded_before_they_are_refused(world):
    from mssr_data.image_source import ImageSource

    path = world / 'gt' / 'p001.png'
    path.write_bytes(path.read_bytes() + b'made by a camera' * 9)
    assert ImageSource(str(world / 'gt'), 'key', {'type': 'disk'}).first_damaged() is None
