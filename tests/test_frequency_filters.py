"""The filters against independent computations: pytorch_wavelets, golden colour losses, plain loops."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_tools import FILTERS as PUBLISHED_NAMES
from golden_tools import image, record
from mssr_arch.frequency_filters import AverageFilter, GaussianFilter, WaveletFilter, build_filter
from mssr_compat.errors import UserError


@pytest.mark.parametrize('published', ['gau', 'avg_pool', 'wavelet'])
def test_low_band_gives_the_golden_colour_loss(published):
    item = record('loss', f'color_loss/{published}')
    x, y = (image(seed, item['input_shape']) for seed in item['input_seeds'])
    low = build_filter(PUBLISHED_NAMES[published]).low
    assert F.l1_loss(low(x), low(y)).item() == pytest.approx(item['value'], rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), channels=st.integers(1, 3))
def test_wavelet_equals_pytorch_wavelets(height, width, channels):
    from pytorch_wavelets import DWTForward

    x = torch.rand(2, channels, height, width)
    # The package cannot mirror an image of one pixel; a repeated last row or column is what mirroring means here.
    even = F.pad(x, (0, width % 2, 0, height % 2), mode='replicate')
    ll, (highs,) = DWTForward(J=1, wave='haar', mode='symmetric')(even)
    lh, hl, hh = highs.unbind(2)
    expected = torch.cat([band * 0.5 + 0.5 for band in (lh, hl, hh)], dim=1)
    assert torch.allclose(WaveletFilter().low(x), ll * 0.5, atol=1e-6)
    assert torch.allclose(WaveletFilter().high(x), expected, atol=1e-6)
    mean = torch.stack([band * 0.5 + 0.5 for band in (lh, hl, hh)]).mean(0)
    assert torch.allclose(WaveletFilter('mean').high(x), mean, atol=1e-6)


def test_odd_sizes_agree_with_the_package_too():
    from pytorch_wavelets import DWTForward

    x = torch.rand(1, 3, 9, 7)
    ll, (highs,) = DWTForward(J=1, wave='haar', mode='symmetric')(x)
    assert torch.allclose(WaveletFilter().low(x), ll * 0.5, atol=1e-6)
    assert torch.allclose(WaveletFilter().high(x), highs.transpose(1, 2).flatten(1, 2) * 0.5 + 0.5, atol=1e-6)


def test_gaussian_is_a_gaussian():
    impulse = torch.zeros(1, 1, 11, 11)
    impulse[..., 5, 5] = 1
    kernel = GaussianFilter(5).low(impulse)[0, 0, 1:6, 1:6]
    assert kernel.sum() == pytest.approx(1)
    assert torch.allclose(kernel, kernel.T) and torch.allclose(kernel, kernel.flip(0))
    # exp(-d^2 / (2 sigma^2)) with sigma = 5 / 6, one and two pixels from the centre
    assert (kernel[2, 3] / kernel[2, 2]).item() == pytest.approx(0.486752, rel=1e-5)
    assert (kernel[2, 4] / kernel[2, 2]).item() == pytest.approx(0.486752**4, rel=1e-5)


def test_average_counts_only_pixels_that_exist():
    x = torch.rand(1, 1, 7, 7)
    corner = (x[..., 0, 0] - x[..., :3, :3].mean()) * 0.5 + 0.5
    assert AverageFilter(5).high(x)[..., 0, 0].item() == pytest.approx(corner.item(), abs=1e-6)
    assert AverageFilter(5).low(x)[..., 0, 0].item() == pytest.approx(x[..., :5, :5].mean().item(), abs=1e-6)


@pytest.mark.parametrize('name', ['wavelet', 'gaussian', 'average'])
@pytest.mark.parametrize('kernel_size', [3, 5, 7])
def test_a_flat_image_is_all_low(name, kernel_size):
    x = torch.full((1, 3, 16, 16), 0.3)
    split = build_filter(name, kernel_size)
    low, high = split(x)
    assert torch.allclose(low, torch.full_like(low, 0.3), atol=1e-6)
    inner = high[..., kernel_size // 2 : -(kernel_size // 2), kernel_size // 2 : -(kernel_size // 2)]
    assert torch.allclose(inner, torch.full_like(inner, 0.5), atol=1e-6)
    assert high.shape[1] == split.high_channels(3)


@pytest.mark.parametrize('name', ['wavelet', 'gaussian', 'average', None])
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_bands_of_images_stay_in_range(name, data):
    height, width = data.draw(st.integers(5, 17)), data.draw(st.integers(5, 17))
    extreme = torch.randint(0, 2, (1, 3, height, width)).float()
    for band in build_filter(name)(extreme):
        assert band.min() >= -1e-6 and band.max() <= 1 + 1e-6


def test_shapes():
    x = torch.rand(2, 3, 15, 20)
    assert WaveletFilter().low(x).shape == (2, 3, 8, 10)
    assert WaveletFilter().high(x).shape == (2, 9, 8, 10)
    assert WaveletFilter('mean').high(x).shape == (2, 3, 8, 10)
    for blur in (GaussianFilter(5), AverageFilter(5)):
        assert blur.low(x).shape == (2, 3, 11, 16)
        assert blur.high(x).shape == x.shape
    assert build_filter(None)(x) == (x, x)


@pytest.mark.parametrize('name', ['wavelet', 'gaussian', 'average', None])
@pytest.mark.parametrize('bands', ['concat', 'mean'])
def test_twice_differentiable_and_nothing_to_save(name, bands):
    split = build_filter(name, bands=bands)
    assert not split.state_dict() and not list(split.parameters())
    x = torch.rand(1, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    for band in (split.low, split.high):
        assert torch.autograd.gradcheck(band, x)
        assert torch.autograd.gradgradcheck(lambda v, band=band: band(v).square(), x)  # WGAN's penalty needs it


@pytest.mark.parametrize('name', ['wavelet', 'gaussian', 'average'])
def test_full_precision_under_autocast(name):
    x = torch.rand(1, 3, 16, 16)
    split = build_filter(name)
    expected = split(x)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        bands = split(x)
        halved = split(x.bfloat16())
    for band, wanted, half in zip(bands, expected, halved, strict=True):
        assert torch.equal(band, wanted)
        assert half.dtype == torch.float32


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'name': 'haar'}, ['filter is haar', 'wavelet, gaussian, average, null']),
        ({'name': 'wavelet', 'bands': 'sum'}, ['bands is sum', 'concat, mean']),
        ({'name': 'gaussian', 'kernel_size': 4}, ['GaussianFilter', 'kernel_size is 4', 'odd']),
        ({'name': 'average', 'kernel_size': 1}, ['AverageFilter', 'kernel_size is 1']),
        ({'name': 'average', 'kernel_size': 5.0}, ['kernel_size is 5.0']),
    ],
)
def test_impossible_values_are_named(arguments, words):
    with pytest.raises(UserError) as error:
        build_filter(**arguments)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_an_image_smaller_than_the_kernel_is_named():
    with pytest.raises(UserError, match='an image of 4 x 9 is smaller than kernel_size 5'):
        GaussianFilter(5).low(torch.rand(1, 3, 4, 9))
