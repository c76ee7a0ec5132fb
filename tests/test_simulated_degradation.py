"""The degradation that nobody learned: known blur and noise."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mssr_arch import SimulatedDegradation
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.sharpening import gaussian_blur
from mssr_compat.errors import UserError


@settings(deadline=None, max_examples=15)
@given(sigma=st.floats(0.3, 4), height=st.integers(9, 40), width=st.integers(9, 40), scale=st.sampled_from([1, 2, 4]))
def test_it_blurs_as_a_gaussian_does(sigma, height, width, scale):
    y = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    x = SimulatedDegradation(scale, [sigma, sigma], [0, 0])(y)
    assert x.shape[-2:] == (-(-height // scale), -(-width // scale))
    wide = torch.nn.functional.pad(y, (16,) * 4, mode='replicate')
    expected = bicubic_downsample(gaussian_blur(wide, sigma)[..., 16:-16, 16:-16], scale).clamp(0, 1)
    assert (x - expected).abs().max() < 0.02


@pytest.mark.parametrize('level', [2.0, 10.0])
def test_its_noise_has_the_level_that_was_asked_for(level):
    G, y = SimulatedDegradation(4, [0, 0], [level, level]), torch.full((4, 3, 256, 256), 0.5)
    torch.manual_seed(0)
    x = G(y)
    assert (x.std() * 255).item() == pytest.approx(level, rel=0.03)
    assert abs(torch.corrcoef(x.transpose(0, 1).flatten(1))[0, 1]) < 0.03  # a noise of its own for each colour


def test_each_photo_has_a_strength_of_its_own_and_no_maps_mean_the_mean():
    G, y = SimulatedDegradation(4, [0, 2], [0, 20]), torch.full((64, 3, 64, 64), 0.5)
    torch.manual_seed(0)
    levels = G(y).std((1, 2, 3)) * 255
    assert levels.min() < 4 and levels.max() > 16 and levels.mean() == pytest.approx(10, abs=2)
    y = torch.rand(1, 3, 32, 32)
    assert torch.allclose(G(y, False), SimulatedDegradation(4, [1, 1], [0, 0])(y))
    z = G.draw_noise(y, torch.Generator().manual_seed(3))
    assert torch.equal(G(y, z), G(y, G.draw_noise(y, torch.Generator().manual_seed(3))))


@pytest.mark.parametrize('wrong', [{'blur': [2, 1]}, {'noise': [-1, 1]}, {'blur': [0, 9]}, {'noise': [1]}])
def test_ranges_that_are_none_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        SimulatedDegradation(4, **wrong)
