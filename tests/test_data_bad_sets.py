"""Data sets as they go wrong: each stops with one sentence that names the culprit and the YAML key, or is skipped."""

import os
import shutil

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from PIL import Image

from data_tools import lmdb_options, options, photo, rewrite, tiny_sets, write_folder, write_photo
from mssr_compat.errors import UserError
from mssr_data.sampler import IterationSampler, SampleIndex

GT, LQ = 'datasets.train.dataroot_gt', 'datasets.train.dataroot_lq'


@pytest.fixture
def root(tmp_path):
    return tiny_sets(tmp_path)


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def texts(folder):
    empty(folder)
    (folder / 'letter.txt').write_text('hello')
    (folder / 'more').mkdir()
    (folder / 'more' / 'b.doc').write_text('hello')


def meta(database, text):
    (database / 'meta_info.txt').write_text(text)


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


# What is done to the good data set, and what the message must hold besides the YAML key.
FOLDERS = {
    'no gt folder': (lambda r: shutil.rmtree(r / 'gt'), GT, 'does not exist'),
    'no lq folder': (lambda r: shutil.rmtree(r / 'lq'), LQ, 'does not exist'),
    'gt is a file': (lambda r: (shutil.rmtree(r / 'gt'), write(r / 'gt', b'x')), GT, 'is a file'),
    'empty gt': (lambda r: empty(r / 'gt'), GT, 'is empty'),
    'empty lq': (lambda r: empty(r / 'lq'), LQ, 'is empty'),
    'texts as gt': (lambda r: texts(r / 'gt'), GT, 'letter.txt'),
    'texts as lq': (lambda r: texts(r / 'lq'), LQ, 'letter.txt'),
    'hidden images only': (lambda r: (empty(r / 'lq'), write(r / 'lq' / '._a.png', b'x')), LQ, 'is empty'),
    'text called png': (lambda r: write(r / 'gt' / 'fake.png', b'hello'), GT, 'fake.png'),
    'zero bytes': (lambda r: write(r / 'lq' / 'nil.png', b''), LQ, 'nil.png'),
    'zero bytes, jpg': (lambda r: write(r / 'lq' / 'nil.jpg', b''), LQ, 'nil.jpg'),
    'header cut': (lambda r: os.truncate(r / 'gt' / 'p002.png', 20), GT, 'p002.png'),
    'link to nothing': (lambda r: os.symlink(r / 'gone.png', r / 'gt' / 'link.png'), GT, 'link.png'),
    'a folder called png': (lambda r: write(r / 'gt' / 'dir.png' / 'x.png', b''), GT, 'dir.png'),
    'small gt': (lambda r: write_photo(r / 'gt' / 'tiny.png', photo(1, 31, 60)), GT, 'tiny.png'),
    'small lq': (lambda r: write_photo(r / 'lq' / 'tiny.png', photo(1, 12, 7)), LQ, 'tiny.png'),
    'all lq small': (lambda r: (empty(r / 'lq'), write_folder(r / 'lq', 2, 6, 6)), LQ, '1 others'),
    'swapped': (lambda r: (r.joinpath('gt').rename(r / 'x'), (r / 'lq').rename(r / 'gt'), (r / 'x').rename(r / 'lq')),
                LQ, 'swap them'),
    'blank and foreign letters': (lambda r: write(r / 'lq' / 'schöner Tag 写.png', b'x'), LQ, 'schöner Tag 写.png'),
    'unreadable': (lambda r: (r / 'gt' / 'p001.png').unlink() or (r / 'gt' / 'p001.png').symlink_to('p001.png'), GT,
                   'p001.png'),
}
DATABASES = {
    'no gt database': (lambda r: shutil.rmtree(r / 'gt.lmdb'), GT, 'does not exist'),
    'no lq database': (lambda r: shutil.rmtree(r / 'lq.lmdb'), LQ, 'does not exist'),
    'no data': (lambda r: (r / 'gt.lmdb' / 'data.mdb').unlink(), GT, 'no data.mdb'),
    'a folder of images': (lambda r: (shutil.rmtree(r / 'gt.lmdb'), shutil.copytree(r / 'gt', r / 'gt.lmdb')), GT,
                           'no data.mdb'),
    'no meta info': (lambda r: (r / 'lq.lmdb' / 'meta_info.txt').unlink(), LQ, 'meta_info.txt'),
    'empty meta info': (lambda r: meta(r / 'lq.lmdb', '\n\n'), LQ, 'is empty'),
    'binary meta info': (lambda r: write(r / 'lq.lmdb' / 'meta_info.txt', b'\xff\xfe\x00\x91'), LQ, 'no text file'),
    'name twice': (lambda r: meta(r / 'lq.lmdb', 'p000.png (12,15,3) 1\np000.png (12,15,3) 1\n'), LQ, 'line 2'),
    'meta info out of date': (lambda r: meta(r / 'gt.lmdb', 'p000.png (48,60,3) 1\nnew.png (48,60,3) 1\n'), GT,
                              "'new' of its images"),
    'missing key': (lambda r: rewrite(r / 'gt.lmdb', lambda t: t.delete(b'p002')), GT, 'p002'),
    'two missing keys': (lambda r: rewrite(r / 'gt.lmdb', lambda t: (t.delete(b'p002'), t.delete(b'p003'))), GT,
                         'and 1 more'),
    'foreign key': (lambda r: meta(r / 'gt.lmdb', 'Größe.png (48,60,3) 1\n'), GT, 'Größe.png'),
    'endless key': (lambda r: meta(r / 'gt.lmdb', f"{'x' * 600}.png (48,60,3) 1\n"), GT, 'out of date'),
    'no bytes': (lambda r: os.truncate(r / 'gt.lmdb' / 'data.mdb', 0), GT, 'gt.lmdb'),
    'first page': (lambda r: os.truncate(r / 'gt.lmdb' / 'data.mdb', 4096), GT, 'gt.lmdb'),
    'two pages': (lambda r: os.truncate(r / 'lq.lmdb' / 'data.mdb', 8192), LQ, 'cut short'),
    'last byte': (lambda r: os.truncate(r / 'lq.lmdb' / 'data.mdb', os.path.getsize(r / 'lq.lmdb' / 'data.mdb') - 1),
                  LQ, 'cut short'),
    'junk': (lambda r: write(r / 'gt.lmdb' / 'data.mdb', b'junk' * 9000), GT, 'gt.lmdb'),
    'small image': (lambda r: meta(r / 'lq.lmdb', 'p000.png (7,15,3) 1\n'), LQ, 'p000'),
}
OPTIONS = {
    'gt_size larger than all': ({'gt_size': 64}, GT, 'p000.png'),
    'backend': ({'io_backend': {'type': 'hdf5'}}, GT, 'hdf5'),
    'backend option': ({'io_backend': {'type': 'disk', 'db_path': 'x'}}, GT, 'db_path'),
    'lmdb of folders': ({'io_backend': {'type': 'lmdb'}}, GT, 'data.mdb'),
    'disk of lmdbs': ({'dataroot_gt': 'LMDB'}, GT, 'set it to lmdb'),
    'no such meta info': ({'meta_info_gt': 'nowhere.txt'}, 'datasets.train.meta_info_gt', 'nowhere.txt'),
    'meta info out of date': ({'meta_info_lq': 'STALE'}, 'datasets.train.meta_info_lq', 'gone.png'),
}


def refused(opt, option, culprit):
    with pytest.raises(UserError) as error:
        build_dataset(opt)
    message = str(error.value)
    assert option in message and culprit in message
    assert '\n' not in message and message.endswith('.')


@pytest.mark.parametrize('case', FOLDERS)
def test_bad_folders(root, case):
    spoil, option, culprit = FOLDERS[case]
    spoil(root)
    refused(options(root), option, culprit)


@pytest.mark.parametrize('case', DATABASES)
def test_bad_databases(root, case):
    spoil, option, culprit = DATABASES[case]
    spoil(root)
    refused(lmdb_options(root), option, culprit)


@pytest.mark.parametrize('case', OPTIONS)
def test_bad_options(root, case):
    changes, option, culprit = OPTIONS[case]
    (root / 'stale.txt').write_text('p000.png\ngone.png\n')
    names = {'GT': root / 'gt', 'LMDB': root / 'gt.lmdb', 'STALE': root / 'stale.txt'}
    changes = {key: str(names.get(value, value)) if isinstance(value, str) and key != 'scale' else value
               for key, value in changes.items()}
    refused(options(root, **changes), option, culprit)


def test_larger_lr_photos_may_be_meant(root):
    opt = options(root, dataroot_gt=str(root / 'lq'), dataroot_lq=str(root / 'gt'), gt_size=8, allow_larger_lq=True)
    assert build_dataset(opt)[0]['lq'].shape == (3, 2, 2)


def test_one_photo_each_is_enough(tmp_path):
    write_photo(tmp_path / 'gt' / 'a.png', photo(0, 32, 32))
    write_photo(tmp_path / 'lq' / 'a.png', photo(1, 8, 8))
    dataset = build_dataset(options(tmp_path))
    loader = torch.utils.data.DataLoader(dataset, 4, sampler=IterationSampler(dataset, 1, 0, batch_size=4))
    assert next(iter(loader))['gt'].shape == (4, 3, 32, 32)


def test_odd_photos_are_fine(tmp_path):
    """Gray, alpha, 16 bit, palette, odd sizes, blanks and foreign letters in paths."""
    lq = tmp_path / 'LR Fotos ü' / 'sub folder'
    lq.mkdir(parents=True)
    image = Image.fromarray(photo(3, 13, 17))
    for mode, name in {'L': 'gray.png', 'RGBA': 'a.png', 'LA': 'la.png', '1': 'bw.png', 'RGB': '漢字 é.jpg'}.items():
        image.convert(mode).save(lq / name)
    image.quantize(8).save(lq / 'palette.png')
    cv2.imwrite(str(lq / 'deep.png'), np.full((9, 11, 3), 65535, np.uint16))
    write_folder(tmp_path / 'gt', 2, 33, 35)
    dataset = build_dataset(options(tmp_path, dataroot_lq=str(tmp_path / 'LR Fotos ü')))
    samples = [dataset[SampleIndex(index, index)]['lq'] for index in range(7)]
    assert all(sample.shape == (3, 8, 8) and sample.max() <= 1 for sample in samples)
    assert (samples[[image.name.endswith('deep.png') for image in dataset.sources['lq'].images].index(True)] == 1).all()
