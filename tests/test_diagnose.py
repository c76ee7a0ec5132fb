"""What diagnose reads from photos that were degraded with known values."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import yaml
from basicsr.archs import build_network

import mssr_arch
from benchmarks import diagnose_round_trip
from mssr_command import diagnose
from mssr_data.jpeg_traces import jpeg_trace
from mssr_diagnose.blur import measure_blur
from mssr_diagnose.noise import Noise, measure_noise
from mssr_diagnose.option_files import degradation_options
from mssr_diagnose.photo import Measured, measure_photo
from mssr_options.reader import read_options
from mssr_options.shipped import SHIPPED

assert mssr_arch  # registers
RECIPE = yaml.safe_load((SHIPPED / 'recipes' / 'degradation_pdm.yml').read_text())


def scene(seed, side=192):
    """(side, side) levels with the spectrum of photos, and flat places."""
    random = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    plane = np.fft.irfft2(np.fft.rfft2(random.normal(size=(side, side))) / np.maximum(f, 0.01) ** 1.2, (side, side))
    return 128 + np.clip(plane / plane.std(), -2, 2).round() * 30  # steps between plateaus


def degraded(seed, sigma=1.0, across=None, noise=0.0, gray=False):
    plane = cv2.GaussianBlur(scene(seed), (0, 0), sigmaX=sigma, sigmaY=across or sigma)
    random = np.random.default_rng(seed)
    photo = plane[..., None] + random.normal(0, 1, (*plane.shape, 1 if gray else 3)) * noise + np.zeros(3)
    return photo.clip(0, 255).round().astype(np.uint8)


def luma(photo):
    return photo @ np.float32([0.299, 0.587, 0.114])


@pytest.mark.parametrize('noise', (0, 8))
def test_more_blur_in_more_blur_out(noise):
    widths = [measure_blur(luma(degraded(1, sigma, noise=noise))).width for sigma in (1, 1.5, 2, 3)]
    assert widths == sorted(widths)
    assert widths[-1] - widths[0] > 1


def test_rotating_a_photo_turns_the_direction_of_its_blur():
    photo = degraded(2, 2.5, across=1.0)
    one, other = measure_blur(luma(photo)), measure_blur(luma(np.rot90(photo)))
    assert abs(one.direction % 180 - 90) > 75  # along x
    assert abs(other.direction - 90) < 15
    assert one.wide > 1.5 * one.narrow
    assert one.width == pytest.approx(other.width, rel=0.03)


@pytest.mark.parametrize('level', (2, 5, 10, 20))
@pytest.mark.parametrize('gray', (False, True))
def test_noise_comes_back(level, gray):
    noise = measure_noise(degraded(3, 1.2, noise=level, gray=gray))
    assert noise.level == pytest.approx(level, rel=0.12)
    if noise.gray is not None:
        assert (noise.gray > 0.8) == gray


def test_texture_behind_jpeg_is_not_taken_for_noise():
    """Seven clean photographs of scikit-image: most say nothing where there is none, most tell what there is."""
    found = {0: [], 12: []}
    for name in ('astronaut.png', 'coffee.png', 'chelsea.png', 'rocket.jpg', 'motorcycle_left.png', 'gravel.png',
                 'brick.png'):
        photo = cv2.imread(str(Path(skimage.__file__).parent / 'data' / name))[:400, :400]
        photo = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        photo = cv2.GaussianBlur(photo.astype(np.float32), (0, 0), 0.6)
        for level, told in found.items():
            noisy = photo + np.random.default_rng(0).normal(0, level, photo.shape)
            noisy = noisy.clip(0, 255).round().astype(np.uint8)
            noisy = cv2.imdecode(cv2.imencode('.jpg', noisy, [cv2.IMWRITE_JPEG_QUALITY, 92])[1], cv2.IMREAD_COLOR)
            told.append(measure_noise(noisy[..., ::-1], jpeg_trace(noisy[..., ::-1])).level)
    assert found[0].count(None) >= 5
    assert found[12].count(None) <= 2
    assert np.median([level for level in found[12] if level]) == pytest.approx(12, rel=0.15)


def test_the_round_trip_says_what_it_needs(monkeypatch, tmp_path, capsys):
    (tmp_path / 'photos').mkdir()
    for seed in range(3):
        cv2.imwrite(str(tmp_path / f'photos/{seed}.png'), degraded(seed, 1.5, noise=5))
    monkeypatch.setitem(sys.modules, 'realesrgan', None)
    assert diagnose_round_trip.main([str(tmp_path / 'photos'), '--clean', str(tmp_path / 'photos')]) == 2
    assert 'error: Real-ESRGAN is missing: pip install --no-deps realesrgan' in capsys.readouterr().err


@pytest.mark.parametrize('top, left', ((0, 0), (3, 6)))
def test_quality_and_grid_come_back(top, left):
    code = cv2.imencode('.jpg', degraded(4, noise=3), [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    photo = cv2.imdecode(code, cv2.IMREAD_COLOR)[top:, left:]
    assert jpeg_trace(photo) == (70, -top % 8, -left % 8)


def test_a_folder_becomes_a_page_figures_and_option_files(tmp_path):
    (tmp_path / 'photos').mkdir()
    for seed in range(3):
        cv2.imwrite(str(tmp_path / f'photos/{seed}.png'), degraded(seed, 1.5, noise=5))
    cv2.imwrite(str(tmp_path / 'photos/tiny.png'), np.zeros((8, 8, 3), np.uint8))
    out = tmp_path / 'out'
    threads = cv2.getNumThreads()
    assert diagnose.main([str(tmp_path / 'photos'), '--out', str(out)]) == 0
    assert cv2.getNumThreads() == threads
    assert 'one group' in (out / 'diagnosis.html').read_text()
    assert len(json.loads((out / 'measurements.json').read_text())) == 3
    low, high = yaml.safe_load((out / 'realesrgan.yml').read_text())['noise_range2']
    assert 4 < low <= high < 6
    assert yaml.safe_load((out / 'trainner_redux.yml').read_text())['jpeg_prob2'] == 0
    text = (out / 'mssr.yml').read_text()
    opt = yaml.safe_load(text)
    assert opt['network_g'].items() >= {'type': 'DegradationPDM', 'scale': 4, 'noise_levels': [low, high]}.items()
    assert 4 < opt['network_g']['kernel_sigma'][0] <= opt['network_g']['kernel_sigma'][1] < 8
    assert opt['datasets']['train']['dataroot_lq'] == str(tmp_path / 'photos') and opt['train'] == RECIPE['train']
    assert text.startswith('# Begins at the blur and the noise of 3 photos') and 'dataroot_gt' in text.split('#')[2]


def with_noise(level, shot=None, growth=None):
    noise = Noise(level, None, None, shot, growth, 0.5)
    return Measured('', (64, 64), None, noise, None, None, None, 0.0, 0.0, (0.0, 0.0))


def test_photos_with_too_little_noise_to_see_it_grow_do_not_get_poisson_noise():
    quiet, loud, hidden = with_noise(0.5), with_noise(3.0, 0.09, 0.9), with_noise(None)
    values, _, _ = degradation_options([quiet] * 9 + [loud] + [hidden] * 5, 4)
    assert values['gaussian_noise_prob2'] == 0.9  # of those whose noise is told
    assert values['poisson_scale_range2'] == [0.3, 0.3] and values['noise_range2'] == [0.5, 0.5]
    values, _, _ = degradation_options([loud] * 3, 4)
    assert values['gaussian_noise_prob2'] == 0 and values['noise_range2'] == [3.0, 3.0]
    assert degradation_options([hidden], 4)[0]['gaussian_noise_prob2'] == 1


def test_its_training_fits_any_scale_blur_and_folder(tmp_path):
    (tmp_path / "it's").mkdir()
    for seed in range(2):
        cv2.imwrite(str(tmp_path / f"it's/{seed}.png"), degraded(seed, 4.0, noise=5))
    assert diagnose.main([str(tmp_path / "it's"), '--clean', str(tmp_path / "it's"), '--scale', '3', '--out',
                          str(tmp_path)]) == 2  # two clean photos are too few
    for seed in range(2, 4):
        cv2.imwrite(str(tmp_path / f"it's/{seed}.png"), degraded(seed, 4.0, noise=5))
    (tmp_path / 'clean').mkdir()
    for seed in range(4):
        cv2.imwrite(str(tmp_path / f'clean/{seed}.png'), degraded(seed, 0.3))
    assert diagnose.main([str(tmp_path / "it's"), '--clean', str(tmp_path / 'clean'), '--scale', '3', '--out',
                          str(tmp_path)]) == 0
    opt = read_options(str(tmp_path / 'mssr.yml'))
    data = opt['datasets']['train']
    assert (opt['scale'], data['gt_size'], data['dataroot_lq']) == (3, 120, str(tmp_path / "it's"))
    assert data['dataroot_gt'] == str(tmp_path / 'clean')
    net = build_network(opt['network_g'])
    assert net.scale == 3 and net.describe()['learned'][0, 0] > 8


@pytest.mark.parametrize('value', (0, 128, 255))
def test_a_photo_without_any_detail_is_measured(value):
    measured = measure_photo(np.full((64, 80, 3), value, np.uint8))
    assert measured.enlarged is measured.overshoot is None and not measured.noise.level


def test_no_folder_is_a_sentence(tmp_path, capsys):
    assert diagnose.main([str(tmp_path / 'none')]) == 2
    assert 'does not exist' in capsys.readouterr().err
