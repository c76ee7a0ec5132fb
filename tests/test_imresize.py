"""Bicubic downsampling against the golden arrays and BasicSR's own copy of MATLAB's function."""

import math

import pytest
import torch
from basicsr.utils.matlab_functions import imresize
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_tools import array, image, record
from mssr_arch import BicubicDegradation
from mssr_arch.imresize import bicubic_downsample, mirrored
from mssr_compat.errors import UserError


@pytest.mark.parametrize('size', ['64x64', '64x96'])
@pytest.mark.parametrize(('factor', 'scale'), [('0.25', 4), ('0.5', 2)])
def test_golden(size, factor, scale):
    item = record('loss', f'imresize/{size}')
    small = bicubic_downsample(image(item['input_seed'], item['input_shape']), scale)
    assert torch.allclose(small[0], array(f'imresize/{size}_x{factor}'), rtol=0, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(20, 60), width=st.integers(20, 60), scale=st.sampled_from([2, 3, 4]))
def test_equals_basicsr(height, width, scale):
    x = torch.rand(2, 3, height, width)
    expected = torch.stack([imresize(one, 1 / scale) for one in x]).clamp(0, 1)
    small = bicubic_downsample(x, scale)
    assert small.shape == expected.shape
    assert torch.allclose(small, expected, rtol=0, atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 30), width=st.integers(1, 30), scale=st.integers(1, 8), value=st.floats(0, 1))
def test_any_size_and_a_flat_image_stays_flat(height, width, scale, value):
    small = bicubic_downsample(torch.full((1, 3, height, width), value), scale)
    assert small.shape == (1, 3, math.ceil(height / scale), math.ceil(width / scale))
    assert torch.allclose(small, torch.full_like(small, value), atol=1e-6)


def test_flipping_and_downsampling_commute():
    x = torch.rand(1, 3, 32, 48)
    assert torch.allclose(bicubic_downsample(x.flip(-1), 4), bicubic_downsample(x, 4).flip(-1), atol=1e-6)
    assert torch.allclose(bicubic_downsample(x.mT, 4), bicubic_downsample(x, 4).mT, atol=1e-6)


def test_images_of_a_batch_do_not_mix():
    x = torch.rand(3, 3, 16, 16)
    alone = torch.cat([bicubic_downsample(x[i : i + 1], 4) for i in range(3)])
    assert torch.allclose(bicubic_downsample(x, 4), alone, atol=1e-7)


def test_output_is_clamped_and_keeps_its_type():
    edges = (torch.arange(64) % 16 < 8).float().expand(1, 3, 64, 64)  # bicubic overshoots at edges
    small = bicubic_downsample(edges, 2)
    assert small.min() == 0 and small.max() == 1
    x = torch.rand(1, 3, 16, 16)
    half = bicubic_downsample(x.bfloat16(), 4)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), bicubic_downsample(x, 4), atol=0.01)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(bicubic_downsample(x, 4), bicubic_downsample(x, 4).float())


def test_differentiable():
    x = (torch.rand(1, 1, 9, 10, dtype=torch.float64) * 0.5 + 0.25).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: bicubic_downsample(v, 2), x)


def test_mirrored_repeats_the_border_item():
    assert mirrored(3, 4, 8).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]
    assert mirrored(1, 2, 3).tolist() == [0] * 5


@pytest.mark.parametrize('scale', [0, -4, 2.5, 4.0, None, True])
def test_impossible_scale_is_named(scale):
    with pytest.raises(UserError, match=f'scale is {scale}'):
        bicubic_downsample(torch.rand(1, 3, 16, 16), scale)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 50), width=st.integers(1, 50), scale=st.sampled_from([1, 2, 3, 4]))
def test_as_a_degradation_it_is_the_same(height, width, scale):
    network = BicubicDegradation(scale=scale)
    y = torch.rand(2, 3, height, width)
    assert network.scale == scale and network.num_noise == 0 and network.state_dict() == {}
    assert network.draw_noise(y) == []
    for noise in (None, [], False):
        assert torch.equal(network(y, noise), bicubic_downsample(y, scale))


@pytest.mark.parametrize('scale', [0, -1, 2.0, True, '4', None])
def test_a_degradation_of_an_impossible_scale_is_refused(scale):
    with pytest.raises(UserError, match='BicubicDegradation: scale is .* must be an integer of at least 1'):
        BicubicDegradation(scale=scale)
