"""A draw is a function of seed, photo and number, whatever is computed beside it or in what pieces."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_tools import enliven, picture
from mssr_arch import DSGAN, DegradationEDSR, DegradationHAN, DegradationPDM, DeResnet
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.errors import UserError
from mssr_degradation import LearnedDegradation
from mssr_inference.degrader import Degrader, NoiseMaps
from mssr_inference.pair_set import plain_names, plan_draws

CPU = torch.device('cpu')
GENERATORS = {
    'DeResnet': lambda: DeResnet(num_feat=4, num_block=2),
    'DeResnet x2': lambda: DeResnet(num_feat=4, num_block=2, scale=2),
    'EDSR': lambda: DegradationEDSR(num_feat=4, num_block=1, res_scale=1),
    'HAN': lambda: DegradationHAN(num_feat=4, num_group=1, num_block=1, reduction=2),
    'HAN tail': lambda: DegradationHAN(num_feat=4, num_group=1, num_block=1, reduction=2, downsample='tail'),
    'PDM': lambda: DegradationPDM(kernel_sigma=(0, 4), noise_levels=(4, 20)),
    'DSGAN': lambda: DSGAN(num_feat=4, num_block=1),
}


def degrader(name, precision='fp32', strength=None, noise=None, **options):
    net = enliven(GENERATORS[name]()).requires_grad_(False)
    net = net.double() if precision == 'fp64' else net  # in which rounding to 8 bits leaves nothing of differences
    return Degrader(LearnedDegradation(net, 2 if 'x2' in name else 4, strength, noise), CPU, **options)


# --- noise --------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 199), st.integers(1, 199), st.integers(0, 49), st.integers(1, 49))
def test_windows_are_windows_of_one_map(top, height, left, width):
    whole = NoiseMaps('k', [50, 60]).window(1, 0, 400, 0, 60)
    window = NoiseMaps('k', [50, 60]).window(1, top, top + height, left, left + width)
    assert torch.equal(window, whole[..., top:top + height, left:left + width])


def test_maps_are_standard_normal_and_independent():
    maps = [NoiseMaps(key, [400, 400]).window(layer, 0, 400, 0, 400).flatten()
            for key in ('0/a/0', '0/a/1', '1/a/0') for layer in (0, 1)]
    assert torch.allclose(torch.stack(maps).mean(1), torch.zeros(6), atol=0.02)
    assert torch.allclose(torch.stack(maps).corrcoef(), torch.eye(6), atol=0.02)


def test_noise_stays_what_it_was():
    """Sets that were begun are continued by later versions with the same noise."""
    found = NoiseMaps('0/photo/0', [5]).window(0, 63, 65, 1, 4)[0, 0]
    expected = torch.tensor([[-0.3218787, 0.6050307, -0.0334020], [0.8323922, 1.0820723, 0.5042763]])
    assert torch.allclose(found, expected, atol=1e-5)


# --- pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', GENERATORS)
def test_cells_change_nothing(name):
    photo = picture(136, 200)
    whole = degrader(name, 'fp64')(photo, 'k')
    assert np.array_equal(degrader(name, 'fp64', cell=64)(photo, 'k'), whole)
    single = degrader(name, cell=64)(photo, 'k').astype(int)
    assert np.abs(single - whole).max() <= 1
    assert (single != whole).mean() < 1e-3


@pytest.mark.parametrize('name', GENERATORS)
def test_cells_do_see_the_noise_of_the_photo(name):
    """The draw is the network's own output for the photo's maps."""
    photo, up = picture(24, 36), degrader(name)
    s = up.scale // up.net.scale
    y = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255
    if s > 1:
        y = bicubic_downsample(y, s)
    sizes = up.net.noise_sizes(*y.shape[-2:])
    maps = NoiseMaps('k', [width for _, width in sizes])
    noise = [maps.window(layer, 0, h, 0, w) for layer, (h, w) in enumerate(sizes)]
    with torch.no_grad():
        x = (up.net(y, noise or False)[0].clamp(0, 1) * 255).round().permute(1, 2, 0)
    assert np.abs(up(photo, 'k') - x.numpy()).max() <= 1


def test_a_map_of_the_whole_photo_is_the_same_in_all_its_cells():
    """Also beyond the size at which the ratios of maps are read."""
    up = degrader('PDM')
    maps = NoiseMaps('k', [width for _, width in up.net.noise_sizes(9000, 400)])
    first, last = up._noise(maps, (512, 400), 0, 0), up._noise(maps, (512, 400), 8400, 0)
    assert torch.equal(first[0], last[0]) and first[0].shape == (1, 1, 1, 8)
    assert not torch.equal(first[1], last[1]) and first[1].shape == last[1].shape == (1, 1, 128, 100)


def test_draws_differ_and_repeat():
    photo, up = picture(64, 64), degrader('DeResnet')
    first, again, other = up(photo, '0/a/0'), up(photo, '0/a/0'), up(photo, '0/a/1')
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 3


@pytest.mark.parametrize('name', GENERATORS)
def test_strength_is_a_share_of_what_the_generator_does(name):
    photo = picture(136, 200)
    y = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].double() / 255
    bicubic = bicubic_downsample(y, degrader(name).scale)[0].permute(1, 2, 0).numpy() * 255
    none = degrader(name, 'fp64', strength=(0, 0))(photo, 'k')
    assert np.array_equal(none, bicubic.clip(0, 255).round().astype(np.uint8))
    whole, all_of_it = degrader(name, 'fp64')(photo, 'k'), degrader(name, 'fp64', strength=(1, 1))(photo, 'k')
    assert np.array_equal(whole, all_of_it)
    half = degrader(name, 'fp64', strength=(0.5, 0.5))
    cells = degrader(name, 'fp64', strength=(0.5, 0.5), cell=64)
    assert np.array_equal(half(photo, 'k'), cells(photo, 'k'))
    inside = (whole > 0) & (whole < 255)  # elsewhere the network was outside the range
    assert np.abs(half(photo, 'k') - (bicubic + whole) / 2)[inside].max() <= 1


@pytest.mark.parametrize('name', GENERATORS)
def test_noise_has_a_share_of_its_own(name):
    photo = picture(136, 200)
    def draw(strength, noise, key='k', **options):
        return degrader(name, 'fp64', strength=strength, noise=noise, **options)(photo, key).astype(float)

    assert np.array_equal(draw(None, (1, 1)), draw(None, None))
    quiet, loud, half = (draw((0.5, 0.5), noise) for noise in ((0, 0), (1, 1), (0.5, 0.5)))
    assert np.array_equal(quiet, draw((0.5, 0.5), (0, 0), 'l')) or degrader(name).net.num_noise
    if degrader(name).net.num_noise:
        assert np.abs(loud - draw((0.5, 0.5), (1, 1), 'l')).mean() > 1
    inside = np.minimum(quiet, loud).clip(0) > 0
    inside &= np.maximum(quiet, loud) < 255  # elsewhere the network was outside the range
    assert inside.any() and np.abs(half - (quiet + loud) / 2)[inside].max() <= 1
    assert np.array_equal(half, draw((0.5, 0.5), (0.5, 0.5), cell=64))


def test_strengths_fill_their_range():
    up = degrader('DeResnet', strength=(0.25, 0.75), noise=(0.5, 1))
    shares = [up._shares(f'0/{k}/0') for k in range(500)]
    for found, low, high in zip(zip(*shares, strict=True), (0.25, 0.5), (0.75, 1), strict=True):
        assert low <= min(found) < low + 0.02 and high - 0.02 < max(found) <= high
    assert up._shares('0/3/0') == shares[3]
    assert abs(np.corrcoef(np.array(shares).T)[0, 1]) < 0.2
    assert degrader('DeResnet', noise=(0.5, 1))._shares('k')[0] == 1
    assert degrader('DeResnet')._shares('k') == (None, None)


@pytest.mark.parametrize('size', [(4, 4), (4, 64), (512, 8), (8, 1028)])
def test_any_size_that_the_scale_divides(size):
    assert degrader('DeResnet')(picture(*size), 'k').shape == (size[0] // 4, size[1] // 4, 3)


# --- names, keys, generators --------------------------------------------------------------------------------------


def test_keys_do_not_depend_on_other_photos():
    few = plan_draws(['b.png', 'x/c.jpg'], 3, draws=2, weights=[1, 1])
    many = plan_draws(['a.png', 'b.png', 'x/c.jpg'], 3, draws=3, weights=[1, 1])
    by_key = {draw.key: draw.generator for draw in many}
    assert len(by_key) == 9
    assert all(by_key[draw.key] == draw.generator for draw in few)
    assert few[0].key == '3/b/0'
    assert plan_draws(['b.png'], 4)[0].key != few[0].key


@settings(deadline=None)
@given(st.lists(st.sampled_from(['a', 'b', 'a_d0', 'ä', '.x', 'a.b', 'A']), min_size=1, max_size=3),
       st.sampled_from(['.png', '.jpg']))
def test_names_are_different_plain_keys(parts, suffix):
    paths = sorted({'/'.join(parts) + suffix, '_'.join(parts) + suffix, parts[0] + '.bmp', parts[0] + '.png'})
    names = plain_names(paths)
    assert len(set(names)) == len(paths)
    assert all(name.isascii() and '.' not in name and '/' not in name for name in names)
    drawn = [draw.name for draw in plan_draws(paths, 0, 2)]
    assert len(set(drawn)) == 2 * len(paths)


def test_generators_are_mixed_by_their_weights():
    draws = plan_draws([f'{k}.png' for k in range(2000)], 0, weights=[3, 1, 0])
    share = np.bincount([draw.generator for draw in draws], minlength=3) / 2000
    assert np.allclose(share, [0.75, 0.25, 0], atol=0.03)
    with pytest.raises(UserError, match='--weights'):
        plan_draws(['a.png'], 0, weights=[0.0, 0.0])
