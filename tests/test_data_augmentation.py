"""Crops stay inside; flips and turns reach each symmetry of the square; pixels decode in the one stated way."""

import io
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mssr_data.crops import flip_and_turn, random_crop
from mssr_data.decoding import CorruptImageError, decode_image, to_rgb8
from mssr_data.sampler import endless_shuffle, permutation, raw_numbers

any_number = st.integers(0, 2**64 - 1)


@given(height=st.integers(1, 30), width=st.integers(1, 30), data=st.data(), row=any_number, column=any_number)
def test_crops_lie_inside(height, width, data, row, column):
    size = data.draw(st.integers(1, min(height, width)))
    image = np.arange(height * width).reshape(height, width)
    crop = random_crop(image, size, row, column)
    top, left = divmod(int(crop[0, 0]), width)
    assert crop.shape == (size, size)
    assert (crop == image[top:top + size, left:left + size]).all()


def test_crops_reach_every_place():
    corners = {tuple(random_crop(np.mgrid[:4, :5].transpose(1, 2, 0), 3, *raw_numbers(2, draw))[0, 0])
               for draw in range(100)}
    assert corners == {(row, column) for row in range(2) for column in range(3)}


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match='6x5 px is smaller than the 6x6 crop'):
        random_crop(np.zeros((5, 6, 3)), 6, 0, 0)


@pytest.mark.parametrize('use_hflip, use_rot, symmetries', [(0, 0, 1), (1, 0, 2), (0, 1, 4), (1, 1, 8)])
def test_symmetries_are_reached_evenly(use_hflip, use_rot, symmetries):
    square = np.arange(9).reshape(3, 3)
    count = Counter(flip_and_turn(square, *raw_numbers(2, 5, draw), use_hflip=use_hflip, use_rot=use_rot).tobytes()
                    for draw in range(1600))
    assert len(count) == symmetries
    assert min(count.values()) > 1600 / symmetries * 0.7


@given(size=st.integers(1, 50), key=st.tuples(any_number, st.integers(0, 3), st.integers(0, 1000)))
def test_permutations_are_permutations(size, key):
    assert sorted(permutation(size, *key)) == list(range(size))


def test_the_random_numbers_never_change():
    """A change here would change every training run of a given seed."""
    assert raw_numbers(3, 0, 2, 7).tolist() == [13493442889192994057, 14774190215318270351, 10744328200061906236]
    assert [endless_shuffle(draw, 5, 0, 1) for draw in range(12)] == [4, 1, 2, 0, 3, 2, 1, 4, 0, 3, 3, 4]


def encode(image, suffix='PNG', **options):
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def decoded(data):
    return to_rgb8(decode_image(data, 'x'))


RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_rgb_is_kept():
    assert (decoded(encode(Image.fromarray(RGB))) == RGB).all()


def test_gray_and_black_and_white_become_rgb():
    gray = RGB[..., 0]
    assert (decoded(encode(Image.fromarray(gray))) == gray[..., None]).all()
    assert (decoded(encode(Image.fromarray(gray > 99))) == np.where(gray > 99, 255, 0)[..., None]).all()


def test_palette_becomes_rgb():
    image = Image.fromarray(RGB).quantize(7)
    assert (decoded(encode(image)) == np.array(image.convert('RGB'))).all()


def test_alpha_is_dropped_not_blended():
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 9, np.uint8)])
    assert (decoded(encode(Image.fromarray(rgba))) == RGB).all()
    assert (decoded(encode(Image.fromarray(rgba).convert('LA')))[..., 0] == np.array(Image.fromarray(rgba).convert('L'))
            ).all()


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_16_bits_are_divided_by_257_and_rounded(channels):
    wide = np.random.default_rng(1).integers(0, 65536, (6, 5, channels), dtype=np.uint16)
    wide[0, 0] = 65535
    pixels = decoded(cv2.imencode('.png', wide)[1].tobytes())
    expected = np.rint(wide / 257).astype(np.uint8)
    assert pixels.dtype == np.uint8 and pixels.shape == (6, 5, 3)
    assert (pixels == (expected[..., 2::-1] if channels > 1 else expected)).all()


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decoded(encode(Image.fromarray(RGB), 'JPEG', exif=exif)).shape == (7, 5, 3)


@pytest.mark.parametrize('suffix', ['PNG', 'JPEG', 'WEBP', 'BMP'])
@pytest.mark.parametrize('part', [0, 0.05, 0.5, 0.9])
def test_truncated_images_are_refused_by_name(suffix, part):
    large = Image.fromarray(np.random.default_rng(2).integers(0, 256, (60, 70, 3), dtype=np.uint8))
    data = encode(large, suffix)
    with pytest.raises(CorruptImageError, match='some photo'):
        decode_image(data[:int(len(data) * part)], 'some photo')


def test_bytes_after_the_end_do_no_harm():
    data = encode(Image.fromarray(RGB), 'JPEG')
    assert (decoded(data + b'\0' * 500) == decoded(data)).all()


@pytest.mark.parametrize('data', [None, b'', b'not an image', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(CorruptImageError, match='key_7'):
        decode_image(data, 'key_7')


def test_float_pixels_are_refused():
    data = cv2.imencode('.tiff', np.zeros((4, 4, 3), np.float32))[1].tobytes()
    with pytest.raises(CorruptImageError, match='float32'):
        decode_image(data, 'hdr.tiff')


