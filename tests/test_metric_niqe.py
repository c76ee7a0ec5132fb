"""BasicSR's NIQE, for photos without ground truth."""

import json

import cv2
import numpy as np
import pytest
from basicsr.metrics import calculate_metric
from resume_tools import experiment, make_world, options, train

import mssr_metric  # noqa: F401
from data_tools import photo, write_photo
from degradation_world import tiles
from mssr_compat.errors import UserError

NIQE = {'type': 'calculate_niqe', 'crop_border': 4}


def niqe(image, **options):
    return calculate_metric({'img': image}, {**NIQE, **options, 'better': 'lower'})


def test_blur_and_noise_are_worse_than_a_photo():
    clean = np.ascontiguousarray(np.concatenate([tiles(1)[k] for k in range(4)], 1))
    blurred = cv2.GaussianBlur(clean, (0, 0), 2)
    noisy = clean + np.random.default_rng(0).normal(0, 25, clean.shape)
    assert niqe(clean) < niqe(blurred) and niqe(clean) < niqe(noisy.clip(0, 255))


@pytest.mark.parametrize('size, fits', [
    ((104, 200), True), ((200, 104), True), ((104, 199), False), ((103, 400), False)])
def test_two_blocks_are_needed(size, fits):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    if fits:
        assert np.isfinite(niqe(image))
    else:
        with pytest.raises(UserError, match=f'NIQE needs two blocks of 96 x 96 pixels.*has {size[1]}x{size[0]}'):
            niqe(image)
    assert np.isfinite(niqe(image, crop_border=0)) == (min(size) >= 96)


@pytest.mark.filterwarnings('error')
def test_a_photo_without_texture_has_none():
    assert np.isnan(niqe(np.full((200, 300, 3), 128, np.uint8)))


def test_it_chooses_the_best_network_where_there_is_no_ground_truth(monkeypatch, capfd, tmp_path):
    world = make_world(tmp_path / 'world')
    for number in range(2):
        write_photo(world / 'real' / f'{number}.png', photo(number, 26, 50))
    photos = {'name': 'real', 'type': 'SingleImageDataset', 'dataroot_lq': str(world / 'real'),
              'io_backend': {'type': 'disk'}}
    opt = options(world, 'stage2', total=2, datasets__val=photos, val__metrics={'niqe': NIQE}, val__select='niqe',
                  val__val_freq=1)
    assert train(monkeypatch, tmp_path, opt) == 0
    validations = [json.loads(line) for line in (experiment(tmp_path) / 'validation.jsonl').read_text().splitlines()]
    figures = {entry['iter']: entry['metrics']['niqe'] for entry in validations}
    best = json.loads((experiment(tmp_path) / 'models' / 'net_g_best.json').read_text())
    assert sorted(figures) == [1, 2] and (best['metric'], best['better']) == ('niqe', 'lower')
    assert best['value'] == min(figures.values()) and np.isfinite(best['value'])

    write_photo(world / 'real' / 'small.png', photo(3, 26, 49))
    capfd.readouterr()
    for flags in ((), ('--check',)):
        assert train(monkeypatch, tmp_path, opt, *flags) == 2
        said = capfd.readouterr().err
        assert 'datasets.val.dataroot_lq' in said and 'small.png' in said and 'has 196x104' in said
