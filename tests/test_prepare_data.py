"""Preparing data: sub-images, formats, names and modes."""

import os
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import yaml
from basicsr.data import build_dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data_tools import options, photo, write_photo
from mssr_data.sampler import SampleIndex
from mssr_prepare.crop import Crop
from mssr_prepare.sources import Photo, unique_keys
from prepare_tools import run, small_photos


@pytest.fixture
def photos(tmp_path):
    return small_photos(tmp_path)


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


@given(length=st.integers(1, 400), size=st.integers(1, 150), data=st.data(), threshold=st.integers(0, 40))
def test_sub_images_cover_the_photo_as_in_basicsr(length, size, data, threshold):
    step = data.draw(st.integers(1, size))
    starts = Crop(size, step, threshold).starts(length)
    if length <= size:
        assert starts == [0]
        return
    covered = {pixel for start in starts for pixel in range(start, start + size)}
    assert min(covered) == 0 and max(covered) < length and len(set(starts)) == len(starts)
    assert length - 1 - max(covered) <= threshold
    rest = [start for start in starts if start % step]
    assert rest in ([], [length - size])


def test_cuts_sub_images_out_of_the_photos(photos, capsys):
    assert run(photos) == 0
    out = photos / 'out' / 'train-clean-images'
    whole = photo(50, 100, 130)
    assert sorted(path.name for path in out.glob('p000*')) == [f'p000_s{n:03d}.png' for n in range(1, 7)]
    for number, (top, left) in enumerate([(top, left) for top in (0, 32) for left in (0, 32, 64)], start=1):
        assert (read(out / f'p000_s{number:03d}.png') == whole[top:top + 64, left:left + 64]).all()
    assert (read(photos / 'out' / 'train-noisy-images' / 'p001.png') == photo(1, 25, 31)).all()
    said = capsys.readouterr().out
    assert '3 photos (3 RGB), shorter side 100 to 102 px' in said and '18 images' in said
    meta = (photos / 'out' / 'meta_info' / 'train-clean-images.txt').read_text().splitlines()
    assert len(meta) == 18 and meta[0] == 'p000_s001.png (64,64,3) 1'


def test_the_printed_options_work_and_folder_and_lmdb_give_the_same_samples(photos, capsys):
    sets = []
    for form in ('folder', 'lmdb'):
        assert run(photos, '--format', form) == 0
        printed = yaml.safe_load(capsys.readouterr().out.split('\n\n')[-1])
        sets.append(build_dataset(options(photos) | printed['datasets']['train']))
    assert sets[1].opt['io_backend']['type'] == 'lmdb'
    for draw in range(8):
        one, other = (data[SampleIndex(draw % 2, draw)] for data in sets)
        assert (one['gt'] == other['gt']).all() and (one['lq'] == other['lq']).all()


def test_lmdb_has_the_layout_of_basicsr(photos):
    assert run(photos, '--format', 'lmdb') == 0
    database = photos / 'out' / 'train-noisy-images.lmdb'
    assert (database / 'meta_info.txt').read_text() == 'p000.png (24,30,3) 1\np001.png (25,31,3) 1\n'
    with lmdb.open(str(database), readonly=True, lock=False) as environment, environment.begin() as transaction:
        stored = dict(transaction.cursor())
    assert set(stored) == {b'p000', b'p001'}
    assert (cv2.imdecode(np.frombuffer(stored[b'p001'], np.uint8), 1)[..., ::-1] == photo(1, 25, 31)).all()
    assert not (photos / 'out' / '.prepare' / 'train-noisy-images').exists()


def key_list(*names):
    items = [Photo(Path('x'), name, name, os.path.splitext(name)[0], (0, 0)) for name in names]
    keys = unique_keys(items)
    return [keys[item] for item in items]


def test_plain_names_stay():
    assert key_list('0001.png', 'more/IMG_7-b.jpg') == ['0001', 'more_IMG_7-b']


@given(st.lists(st.text(st.characters(exclude_characters='\0', exclude_categories=['Cs']), min_size=1, max_size=300),
                unique=True, max_size=8))
def test_keys_are_unique_short_ascii(names):
    keys = key_list(*(f'{name}.png' for name in names))
    assert len({key.lower() for key in keys}) == len(names)
    assert all(key.isascii() and '.' not in key and ' ' not in key and '/' not in key and 0 < len(key) < 200
               for key in keys)


@pytest.mark.parametrize('names', [('a.png', 'a.jpg'), ('a/b.png', 'a_b.png'), ('A.png', 'a.png'),
                                   ('ä 1.png', 'ö 1.png'), ('a.png', 'a_s001.png'), ('a.b.png', 'a,b.png')])
def test_names_that_clash_are_told_apart_whatever_else_is_there(names):
    both = key_list(*names)
    assert len({key.lower() for key in both}) == 2
    assert key_list(*reversed(names)) == both[::-1] and key_list(*names, 'other.png')[:2] == both


def test_photos_with_clashing_and_foreign_names_all_arrive(photos):
    for name in ('x.png', 'x.bmp', 'sub/x.png', 'sub_x.png', 'Grüße an alle.png', '写真.png', 'dots.in.name.png'):
        write_photo(photos / 'real' / name, photo(len(name), 20, 20))
    assert run(photos, '--format', 'lmdb') == 0
    data = build_dataset(options(photos, dataroot_gt=str(photos / 'out' / 'train-clean-images.lmdb'), gt_size=64,
                                 dataroot_lq=str(photos / 'out' / 'train-noisy-images.lmdb'),
                                 io_backend={'type': 'lmdb'}))
    assert len(data) == 9 and all(data[index]['lq'].shape == (3, 16, 16) for index in range(9))


def test_every_mode_becomes_8_bit_rgb(photos, capsys):
    real = photos / 'real'
    image = Image.fromarray(photo(7, 24, 32))
    gray = image.convert('L')
    exif = Image.Exif()
    exif[0x0112] = 6
    saved = {'gray.png': gray, 'palette.png': image.quantize(9), 'rgba.png': image.convert('RGBA'),
             'la.png': image.convert('LA'), 'bw.png': image.convert('1'), 'cmyk.tif': image.convert('CMYK')}
    expected = {key_of: saved_image.convert('RGB') for key_of, saved_image in
                ((name.split('.')[0], saved_image) for name, saved_image in saved.items())}
    for name, saved_image in saved.items():
        saved_image.save(real / name)
    image.save(real / 'cmyk_photo.jpg', quality=95)
    image.convert('CMYK').save(real / 'cmyk.jpg', quality=95)
    image.save(real / 'turned.png', exif=exif)
    expected['turned'] = image.transpose(Image.Transpose.ROTATE_270)
    wide = np.array(image).astype(np.uint16) * 257 - (np.array(image) > 0).astype(np.uint16) * 100
    cv2.imwrite(str(real / 'deep.png'), wide[..., ::-1])
    expected['deep'] = image
    assert run(photos) == 0
    out = photos / 'out' / 'train-noisy-images'
    for name, should in expected.items():
        path = next(out.glob(f'{name}.png'), None) or next(path for path in out.glob(f'{name}_*.png')
                                                            if path.stem != 'cmyk_photo')
        pixels = read(path)
        assert pixels.dtype == np.uint8 and pixels.shape == (should.height, should.width, 3), name
        if name != 'cmyk':
            assert (pixels == np.array(should)).all(), name
    for path in out.glob('cmyk*.png'):
        assert np.abs(read(path).astype(int) - np.array(image)).mean() < 6, path.name
    said = capsys.readouterr().out
    for mode in ('1 gray,', '1 palette', '1 RGB with alpha', '1 gray with alpha', '1 black and white', '2 CMYK',
                 '1 16-bit'):
        assert mode in said.replace('1 gray)', '1 gray,')


