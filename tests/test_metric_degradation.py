"""Degradation metrics: they rank known degradations, keep to their ranges, and touch no random numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from degradation_world import DEGRADATIONS, as_lr, as_photos, tiles
from mssr_arch import DSGAN, DegradationHAN, DeResnet
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.errors import UserError
from mssr_metric import FIGURES, DegradationReference, effective_noise
from mssr_metric.degradation_figures import color_drift, color_shift, diversity, mean_difference
from mssr_metric.haar_distance import HaarReference
from mssr_metric.noise_level import noise_level
from mssr_metric.photo_sets import halves, windows
from mssr_metric.spectrum import frequencies, radial_spectrum, spectrum_gap

ALL = list(DEGRADATIONS)


@pytest.mark.parametrize('true', ALL)
def test_the_matching_degradation_scores_best(true):
    """Scenes of both sets are different; only the degradation is the same."""
    real = HaarReference(as_lr(0, true))
    scores = {name: real.distance(as_lr(1, name)) for name in ALL}
    assert min(scores, key=scores.get) == true, scores
    assert 0.5 < scores[true] < 1.4  # about as near as real photos are to each other
    assert true == 'bicubic' or scores['bicubic'] > 1.15 * scores[true]


@pytest.mark.parametrize('true', ['soft', 'blurred', 'very noisy', 'soft, noisy'])
def test_the_spectrum_of_the_matching_degradation_is_nearest(true):
    real = radial_spectrum(as_lr(0, true))
    scores = {name: spectrum_gap(radial_spectrum(as_lr(1, name)), real) for name in ALL}
    assert min(scores, key=scores.get) == true, scores


def test_a_stronger_mismatch_scores_worse():
    real = HaarReference(as_lr(0, 'soft, noisy'))
    noise = [real.distance(as_lr(1, name)) for name in ('soft, noisy', 'noisy', 'very noisy')]
    assert noise == sorted(noise)


@pytest.mark.parametrize('sigma', [3, 8, 20])
def test_noise_level_finds_the_noise(sigma):
    smooth = np.tile(np.linspace(60, 190, 96)[:, None, None], (1, 80, 3))
    noisy = smooth + sigma * np.random.default_rng(0).standard_normal(smooth.shape)
    assert noise_level(as_photos(noisy.round())) == pytest.approx(sigma, rel=0.12)
    assert noise_level(as_photos(smooth.round())) < 1


def test_noise_level_survives_texture():
    assert noise_level(as_lr(1, 'very noisy')) == pytest.approx(20, rel=0.2)
    assert noise_level(as_lr(1, 'bicubic')) < 4


@pytest.mark.parametrize('level', [0, 255])
@pytest.mark.parametrize('size', [(96, 80), (65, 51)])
def test_noise_that_is_cut_off_does_not_count(level, size):
    """A blown sky, or a night's: flat, and without noise where the rest of the photo has it."""
    photo = np.full((*size, 3), 100.0)
    photo[:size[0] // 2] = level
    photo += 8 * np.random.default_rng(0).standard_normal(photo.shape)
    photo = photo.round().clip(0, 255)
    assert noise_level(as_photos(photo)) == pytest.approx(8, rel=0.12)


def test_the_noise_of_a_photo_that_reaches_black_everywhere_is_what_is_seen_of_it():
    dark = (8 * np.random.default_rng(0).standard_normal((64, 64, 3))).round().clip(0, 255)
    assert 2 < noise_level(as_photos(dark)) < 6
    assert noise_level(as_photos(np.zeros((64, 64, 3)))) == 0


def test_white_noise_has_a_flat_spectrum_of_its_power():
    noise = [0.5 + 10 / 255 * torch.randn(3, 96, 96) for _ in range(16)]
    spectrum = radial_spectrum(noise)
    luma_power = 20 * math.log10(10) + 10 * math.log10(0.299**2 + 0.587**2 + 0.114**2)
    # The mean of the logarithm of a chi-square variable of two degrees is 2.5 dB below the logarithm of its mean.
    assert spectrum[3:].mean() == pytest.approx(luma_power - 2.5, abs=0.3)
    assert spectrum[3:].numpy() == pytest.approx(float(spectrum[3:].mean()), abs=0.5)
    assert len(spectrum) == len(frequencies()) and frequencies()[-1] == 0.5


def test_figures_of_equal_and_shifted_photos():
    image = np.full((40, 48, 3), 100, np.uint8)
    image[::2] = 140
    shifted = image.copy()
    shifted[..., 0] += 9
    same, other = as_photos(image), as_photos(shifted)
    assert HaarReference(same).distance(same) == pytest.approx(0, abs=1e-4)
    assert spectrum_gap(radial_spectrum(same), radial_spectrum(same)) == color_shift(same, same) == 0
    assert color_shift(other, same) == pytest.approx(9, rel=1e-4)
    assert color_shift(other + same, same) == pytest.approx(4.5, rel=1e-4)
    assert HaarReference(as_lr(0, 'noisy')).distance(as_lr(1, 'noisy')) < 1.4


def test_colour_drift_sees_what_the_mean_colour_hides():
    lr = as_lr(1, 'bicubic')[:4]
    faded = [(lq - lq.mean((1, 2), keepdim=True)) * 0.5 + lq.mean((1, 2), keepdim=True) for lq in lr]
    assert color_shift(faded, lr) < 0.1
    assert color_drift(faded, lr) > 10
    assert color_drift(as_lr(1, 'noisy')[:4], lr) < 3


def test_the_distance_from_bicubic_is_that_of_the_levels():
    bicubic = [bicubic_downsample(y[None], 4)[0] for y in as_photos(*tiles(1)[:3])]
    assert mean_difference(as_lr(1, 'bicubic')[:3], bicubic) < 0.3  # rounding to 8 bits
    assert mean_difference(as_lr(1, 'noisy')[:3], bicubic) > 3


@settings(max_examples=20, deadline=None)
@given(sigma=st.floats(0, 20), draws=st.integers(2, 6), seed=st.integers(0, 99))
def test_diversity_is_the_deviation_between_draws(sigma, draws, seed):
    rng = np.random.default_rng(seed)
    photo = np.full((24, 20, 3), 128.0)
    found = diversity(torch.stack(as_photos(*(photo + sigma * rng.standard_normal(photo.shape) for _ in range(draws)))))
    assert found == pytest.approx(sigma, rel=0.15, abs=1e-3)
    assert diversity(torch.stack(as_photos(photo) * draws)) == 0


def test_too_small_photos_are_refused_and_odd_ones_are_not():
    with pytest.raises(UserError, match='too few'):
        HaarReference([torch.rand(3, 8, 40)] * 2)
    with pytest.raises(UserError, match='too few'):
        radial_spectrum([torch.rand(3, 31, 40)])
    odd = [torch.rand(3, 33, 47), torch.rand(3, 41, 35)]
    assert HaarReference(odd).distance(odd) < 0.3


def test_a_single_real_photo_is_enough():
    real = as_lr(0, 'noisy')[:1]
    assert 0 < HaarReference(real).distance(as_lr(1, 'noisy')) < 20
    one, other = halves(real, seed=0)
    assert one[0].shape == other[0].shape and not torch.equal(one[0], other[0])


def test_samples_are_pure_and_leave_random_numbers_alone():
    photos = as_lr(0, 'noisy')[:2]
    torch.manual_seed(5)
    np.random.seed(5)
    first = HaarReference(photos).distance(as_lr(1, 'noisy')[:2]), noise_level(photos), radial_spectrum(photos)
    after = torch.rand(1), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    assert (torch.rand(1), np.random.rand()) == after
    again = HaarReference(photos).distance(as_lr(1, 'noisy')[:2]), noise_level(photos), radial_spectrum(photos)
    assert first[:2] == again[:2] and torch.equal(first[2], again[2])
    assert torch.equal(windows(photos[0], 5, 9), windows(photos[0], 5, 9))


def test_all_figures_of_a_generator():
    reference = DegradationReference(as_lr(0, 'noisy'), as_lr(1, 'bicubic'))
    generated = as_lr(1, 'noisy')
    draws = [torch.stack([photo, photo.flip(1)]) for photo in generated[:2]]
    found = reference.measure(generated, draws, [0.25, 0.75])
    assert set(found.generated) == set(FIGURES) and all(map(math.isfinite, found.generated.values()))
    assert found.generated['haar_distance'] < found.bicubic['haar_distance']
    assert found.generated['noise_distance'] < found.bicubic['noise_distance']
    assert found.generated['effective_noise'] == 0.5 and found.generated['diversity'] > 1
    assert found.generated['color_shift'] < 1 and found.generated['bicubic_distance'] == pytest.approx(4.8, rel=0.1)
    assert set(reference.spectra) == {'real', 'bicubic', 'generated'}

    same = reference.measure(reference.bicubic_photos)
    assert same.generated['bicubic_distance'] == same.generated['color_shift'] == 0
    assert math.isnan(same.generated['diversity']) and same.generated['haar_distance'] == same.bicubic['haar_distance']

    broken = reference.measure([photo * math.nan for photo in generated])
    assert all(map(math.isnan, broken.generated.values()))


@pytest.mark.parametrize('net, number', [(DeResnet(num_feat=4, num_block=3), 3), (DSGAN(num_feat=4, num_block=1), 0),
                                         (DegradationHAN(num_feat=16, num_group=1, num_block=1), 3)])
def test_effective_noise_of_each_injection(net, number):
    assert effective_noise(net) == [0.0] * number
    for k, layer in enumerate(net.noises):
        layer.w.data.fill_(-k)
    assert effective_noise(net) == pytest.approx([k * 0.1 for k in range(number)])
