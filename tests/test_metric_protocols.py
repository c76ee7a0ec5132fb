import math

import numpy as np
import pytest
from basicsr.metrics import calculate_metric
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mssr_compat.errors import UserError
from mssr_metric import FIGURES
from mssr_metric.protocols import better, name_metrics, protocol_metrics

SCALE = 4


def pair(height=32, width=40, seed=0, channels=3):
    rng = np.random.default_rng(seed)
    img = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    noise = rng.integers(-30, 31, img.shape)
    return img, np.clip(img.astype(int) + noise, 0, 255).astype(np.uint8)


def measure(img, img2, metric='psnr', protocol='mssr', **options):
    return calculate_metric({'img': img, 'img2': img2},
                            {'type': f'calculate_{metric}_protocol', 'protocol': protocol, **options})


def luma(img):
    """ITU-R BT.601 studio range of a BGR image, as MATLAB's rgb2ycbcr."""
    return img.astype(np.float64) / 255 @ np.array([24.966, 128.553, 65.481]) + 16


@settings(max_examples=20, deadline=None)
@given(st.integers(11, 30), st.integers(11, 30), st.integers(0, 99))
def test_mssr_is_rgb_without_cropping(height, width, seed):
    img, img2 = pair(height, width, seed)
    assert measure(img, img2) == pytest.approx(peak_signal_noise_ratio(img, img2))
    expected = structural_similarity(img, img2, channel_axis=2, gaussian_weights=True, sigma=1.5,
                                     use_sample_covariance=False, data_range=255)
    # scikit-image takes the mean where its window fits, as BasicSR does.
    assert measure(img, img2, 'ssim') == pytest.approx(expected, abs=1e-6)


def test_basicsr_is_luma_without_the_border():
    img, img2 = pair()
    inner = [luma(image)[SCALE:-SCALE, SCALE:-SCALE] for image in (img, img2)]
    expected = peak_signal_noise_ratio(*inner, data_range=255)
    assert measure(img, img2, protocol='basicsr', scale=SCALE) == pytest.approx(expected, abs=1e-4)
    expected = structural_similarity(*inner, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                     data_range=255)
    assert measure(img, img2, 'ssim', 'basicsr', scale=SCALE) == pytest.approx(expected, abs=1e-5)


def test_the_border_counts_in_one_protocol_alone():
    img, _ = pair()
    img2 = img.copy()
    img2[:SCALE] ^= 8
    assert math.isfinite(measure(img, img2))
    assert measure(img, img2, protocol='basicsr', scale=SCALE) == math.inf


@pytest.mark.parametrize('protocol', ['mssr', 'basicsr'])
def test_equal_images(protocol):
    img, _ = pair()
    assert measure(img, img, protocol=protocol, scale=SCALE) == math.inf
    assert measure(img, img, 'ssim', protocol, scale=SCALE) == pytest.approx(1)


def test_gray_images():
    img, img2 = (image[..., 0] for image in pair())
    assert measure(img, img2) == pytest.approx(peak_signal_noise_ratio(img, img2))


def test_mistakes_are_named():
    img, img2 = pair()
    with pytest.raises(UserError, match='ssim_mssr needs at least 11 px.*10x12'):
        measure(*pair(12, 10), 'ssim')
    with pytest.raises(UserError, match='ssim_basicsr needs at least 11 px.*18x18.*4 px'):
        measure(*pair(18, 18), 'ssim', 'basicsr', scale=SCALE)
    with pytest.raises(UserError, match='psnr_basicsr needs at least 1 px.*8x8'):
        measure(*pair(8, 8), 'psnr', 'basicsr', scale=SCALE)
    with pytest.raises(UserError, match='result is 40x32 and the ground truth 36x32'):
        measure(img, img2[:, :36])
    with pytest.raises(UserError, match='result is 40x32 and the ground truth 40x32 gray'):
        measure(img, img2[..., 0])
    with pytest.raises(UserError, match='protocol is matlab, but must be one of mssr, basicsr'):
        measure(img, img2, protocol='matlab')
    for scale in (None, 0, '4'):
        with pytest.raises(UserError, match='scale: 4'):
            measure(img, img2, protocol='basicsr', scale=scale)
    with pytest.raises(TypeError, match='crop_border'):
        measure(img, img2, crop_border=4)


def test_names_carry_the_protocol():
    metrics = name_metrics({
        'psnr': {'type': 'calculate_psnr_protocol', 'protocol': 'mssr'},
        'psnr_basicsr': {'type': 'calculate_psnr_protocol', 'protocol': 'basicsr', 'scale': 2},
        'niqe': {'type': 'calculate_niqe', 'crop_border': 4, 'better': 'lower'},
        'lpips': {'type': 'calculate_lpips'},
        'texture': {'type': 'calculate_dists'},
    }, scale=SCALE)
    assert metrics == {
        'psnr_mssr': {'type': 'calculate_psnr_protocol', 'protocol': 'mssr', 'scale': 4},
        'psnr_basicsr': {'type': 'calculate_psnr_protocol', 'protocol': 'basicsr', 'scale': 2},
        'niqe': {'type': 'calculate_niqe', 'crop_border': 4, 'better': 'lower'},
        'lpips': {'type': 'calculate_lpips', 'better': 'lower'},
        'texture': {'type': 'calculate_dists', 'better': 'lower'},
    }
    assert list(metrics) == ['psnr_mssr', 'psnr_basicsr', 'niqe', 'lpips', 'texture']


def test_names_that_mislead_are_refused():
    options = {'type': 'calculate_psnr_protocol', 'protocol': 'mssr'}
    with pytest.raises(UserError, match='val.metrics.psnr_basicsr is named after protocol basicsr.*is mssr'):
        name_metrics({'psnr_basicsr': options}, SCALE)
    with pytest.raises(UserError, match='two metrics named psnr_mssr'):
        name_metrics({'psnr': options, 'psnr_mssr': options}, SCALE)
    with pytest.raises(UserError, match='val.metrics.psnr: protocol is None'):
        name_metrics({'psnr': {'type': 'calculate_psnr_protocol'}}, SCALE)


@pytest.mark.parametrize('protocol', ['mssr', 'basicsr'])
def test_a_protocol_s_metrics_can_be_calculated(protocol):
    img, img2 = pair()
    metrics = protocol_metrics(protocol, SCALE)
    assert list(metrics) == [f'psnr_{protocol}', f'ssim_{protocol}']
    for options in metrics.values():
        assert math.isfinite(calculate_metric({'img': img, 'img2': img2}, options))


def test_which_way_is_better():
    assert {name for name in FIGURES if better(name) == 'lower'} == {
        'haar_distance', 'spectrum_distance', 'noise_distance', 'color_shift', 'color_drift'}
    assert [better(name) for name in ('psnr_mssr', 'ssim', 'LPIPS', 'niqe')] == ['higher', 'higher', 'lower', 'lower']
    assert better('quality', {'type': 'calculate_niqe'}) == 'lower'
    assert better('my_distance', {'type': 'calculate_psnr'}) == 'higher'
    assert better('niqe', {'type': 'calculate_niqe', 'better': 'higher'}) == 'higher'
    assert name_metrics({'quality': {'type': 'calculate_niqe'}}, SCALE)['quality']['better'] == 'lower'
