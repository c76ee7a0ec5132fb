"""Powers in rings of frequencies, compared between crops of different scenes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mssr_compat.errors import UserError
from mssr_loss import SpectrumLoss


def noise(seed, *shape, deviation=0.1):
    return 0.5 + deviation * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_white_noise_has_the_power_of_its_variance_in_every_ring():
    power = SpectrumLoss(bands=6).log_power(noise(1, 60, 3, 40, 40)).exp().mean((0, 1))
    assert power.shape == (5,)
    assert torch.allclose(power, torch.full((5,), 0.01), rtol=0.05)


def test_a_wave_counts_in_its_ring_alone():
    x = 0.5 + 0.3 * torch.sin(2 * math.pi * 0.3 * torch.arange(40)).expand(1, 1, 40, 40)  # 0.3 of 0.5: the 4th of 6
    power = SpectrumLoss(bands=6).log_power(x)[0, 0]
    assert power.argmax() == 2 and power[2] > power[[0, 1, 3, 4]].max() + 3


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.floats(0.5, 2), st.integers(13, 40), st.integers(13, 40))
def test_the_loss_is_the_logarithm_of_the_ratio_of_powers(seed, factor, height, width):
    x = noise(seed, 2, 3, height, width)
    loss = SpectrumLoss(loss_weight=0.5)(0.5 + factor * (x - 0.5), x)
    assert loss.item() == pytest.approx(0.5 * abs(math.log(factor**2)), abs=2e-3)
    assert SpectrumLoss()(x, x.clone()).item() == 0


def test_crops_of_other_places_of_a_texture_are_alike_and_noise_is_not():
    x, shifted = noise(1, 64, 3, 40, 40).chunk(2)
    assert SpectrumLoss()(x, shifted) < SpectrumLoss()(x + noise(2, 32, 3, 40, 40, deviation=0.1) - 0.5, shifted) / 2


def test_flat_crops_have_gradients():
    x = torch.full((1, 3, 40, 40), 0.25, requires_grad=True)
    loss = SpectrumLoss()(x, noise(3, 1, 3, 40, 40))
    loss.backward()
    assert loss.isfinite() and x.grad.isfinite().all()
    other = (0.25 + 1e-4 * noise(4, 1, 3, 40, 40)).requires_grad_()
    SpectrumLoss()(other, noise(3, 1, 3, 40, 40)).backward()
    assert other.grad.isfinite().all() and other.grad.abs().sum() > 0


def test_half_precision_is_computed_in_float32():
    x, target = noise(1, 2, 3, 40, 40), noise(2, 2, 3, 40, 40)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(SpectrumLoss()(x, target), SpectrumLoss()(x, target).float())
        assert SpectrumLoss()(x.bfloat16(), target).dtype == torch.float32


@pytest.mark.parametrize('side', [2, 4, 6])
def test_crops_too_small_for_their_rings(side):
    with pytest.raises(UserError, match=f'{side}x{side}.*bands'):
        SpectrumLoss(bands=6)(noise(1, 1, 3, side, side), noise(2, 1, 3, side, side))


@pytest.mark.parametrize('bands', [0, -1, 1, 2.5, True])
def test_impossible_numbers_of_bands(bands):
    with pytest.raises(UserError, match='bands'):
        SpectrumLoss(bands=bands)
