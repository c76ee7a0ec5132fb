"""The generator of few numbers: where it begins, what it may become, what it says of itself."""

import json

import pytest
import torch
from basicsr.archs import build_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from degradation_world import as_photos, tiles
from mssr_arch import DegradationPDM, SimulatedDegradation
from mssr_arch.degradation_base import LEARNED
from mssr_arch.imresize import bicubic_downsample, mirrored
from mssr_compat.checkpoint import read_description
from mssr_compat.errors import UserError
from mssr_degradation import LearnedDegradation
from mssr_metric.degradation_figures import effective_noise

NAMES = list(LEARNED)


def photos(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def trained(scale=4, seed=1, **keywords):
    """As a training may leave it: blurs and noise that differ from draw to draw."""
    torch.manual_seed(seed)
    net = DegradationPDM(scale, num_feat=16, kernel_sigma=(0, scale / 2), noise_levels=(2, 20), **keywords)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return net


def learned(net):
    """Of a typical draw, by name."""
    return dict(zip(NAMES, net.describe()['learned'][:, 0].tolist(), strict=True))


@settings(deadline=None, max_examples=25)
@given(scale=st.integers(1, 5), height=st.integers(1, 45), width=st.integers(1, 45))
def test_training_begins_at_bicubic_lr(scale, height, width):
    y = photos(2, 3, height, width)
    net, bicubic = DegradationPDM(scale), bicubic_downsample(y, scale)
    assert net(y, False).shape == bicubic.shape
    torch.testing.assert_close(net(y, False), bicubic, rtol=0, atol=1e-5)
    apart = net(y, net.draw_noise(y, torch.Generator().manual_seed(0))) - bicubic
    assert 0 < apart.abs().max() < 0.01 and apart.square().mean().sqrt() < (1.5e-3 if height * width > 400 else 3e-3)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_photos_go_through_their_own_kernels(scale):
    """The product of matrices is a strided convolution, with the kernel in the middle of each LR pixel."""
    net, y = trained(scale), photos(2, 3, 21, 26)
    z = net.draw_noise(y, torch.Generator().manual_seed(0))
    quiet = [z[0], *map(torch.zeros_like, z[1:])]
    kernels = net.kernels(net.read(z[0].flatten(1))[0])
    side = kernels.shape[-1]
    before = (side - scale) // 2
    wide = y
    for k in (2, 3):
        wide = wide.index_select(k, mirrored(y.shape[k], before, y.shape[k] + side, None))
    expected = torch.cat([conv2d(photo[:, None], kernel[None, None], stride=scale)[None, :, 0]
                          for photo, kernel in zip(wide, kernels, strict=True)])
    x = net(y, quiet)
    assert (kernels[0] - kernels[1]).abs().max() > 1e-3
    torch.testing.assert_close(x, expected[..., :x.shape[2], :x.shape[3]].clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize('scale', [1, 2, 3, 4])
def test_kernels_sum_to_one_and_amplify_no_frequency_more_than_twice(scale):
    net = trained(scale)
    with torch.no_grad():
        net.kernel.copy_(torch.tensor([-1.0, 0.5, 0.3, -2.0]))  # sharper than it may become
        gain = net.read(torch.randn(20, 8))[0]
    assert torch.allclose(net.kernels(gain).sum((1, 2)), torch.ones(20), atol=1e-5)
    assert gain.max() > 0.3 and gain.exp().max() <= 2
    photo = torch.full((1, 3, 17, 17), 0.5)
    torch.testing.assert_close(net(photo, False), torch.full_like(net(photo, False), 0.5))


@pytest.mark.parametrize('sigma', [0.8, 2.0, 4.0])
def test_a_blur_that_it_begins_with_is_a_gaussian_one(sigma):
    net, y = DegradationPDM(4, kernel_sigma=[sigma, sigma]), photos(1, 3, 128, 128)
    expected = SimulatedDegradation(4, [sigma, sigma], [0, 0])(y, False)
    inside = (..., slice(8, -8), slice(8, -8))  # borders are mirrored here, repeated there
    assert (net(y, False) - expected)[inside].abs().max() < 0.01 < (expected - bicubic_downsample(y, 4)).abs().max()
    found = learned(net)
    assert found['blur'] == pytest.approx(sigma, rel=0.02) and found['blur_lr'] == pytest.approx(sigma / 4, rel=0.02)
    assert found['sharpening'] <= 1 and found['noise'] == pytest.approx(0.25, rel=0.01)


def test_a_range_is_drawn_from():
    net = DegradationPDM(4, kernel_sigma=[1, 3], noise_levels=[4, 12])
    rows = dict(zip(NAMES, net.describe()['learned'].tolist(), strict=True))
    assert rows['blur'] == pytest.approx([2, 1.1, 2.9], abs=0.15)
    assert rows['noise'] == pytest.approx([8, 4.4, 11.6], abs=0.3)


def test_noise_is_what_is_said_of_it():
    torch.manual_seed(0)
    net = DegradationPDM(1, noise_levels=[10, 10])
    noise = net.noises[0]
    with torch.no_grad():
        noise.mix.copy_(torch.tensor([[1, 0.3, 0], [1, 0, 0.3], [1, -0.3, 0.2]]))
        noise.grain[:, :, 2, 3] = torch.tensor([[-0.7], [-3.0], [-1.5]])
        noise.brightness[0] = 0.8
    found = learned(net)

    def draw(brightness):
        return (net(torch.full((1, 3, 400, 400), brightness))[0] - brightness).detach()

    x = draw(0.5)
    covariance = torch.cov(x.flatten(1))
    assert found['noise'] == pytest.approx(10)
    assert 255 * (covariance.trace() / 3).sqrt() == pytest.approx(found['noise'], rel=0.02)
    common = (covariance.sum() - covariance.trace()) / 2 / covariance.trace()
    assert common == pytest.approx(found['noise_gray'], abs=0.02) and common > 0.8
    beside = ((x[..., 1:] * x[..., :-1]).mean() + (x[:, 1:] * x[:, :-1]).mean()) / 2 / x.square().mean()
    assert beside == pytest.approx(found['noise_grain'], abs=0.02) and beside > 0.1
    growth = draw(0.75).std() / draw(0.25).std()
    assert growth == pytest.approx(found['noise_growth'], rel=0.03) and growth > 1.3
    brightness, typical, low, high = net.describe()['noise_curve']
    assert brightness[0] == 0 and brightness[-1] == 255 and (low <= typical).all() and (typical <= high).all()
    assert (typical.diff() > 0).all()


def test_draws_are_fixed_by_seed_and_maps_and_every_map_matters():
    net, y = trained(), photos(2, 3, 30, 22)
    maps = net.draw_noise(y, torch.Generator().manual_seed(5))
    torch.manual_seed(5)
    assert torch.equal(net(y), net(y, maps))
    assert [tuple(n.shape) for n in maps] == [(2, 1, 1, 8), *[(2, 1, 8, 6)] * 3]
    assert not torch.allclose(*net(y[:1].expand(2, -1, -1, -1), maps), atol=1e-3)
    for k in range(net.num_noise):
        changed = [n + 1.0 * (j == k) for j, n in enumerate(maps)]
        assert not torch.allclose(net(y, changed), net(y, maps), atol=1e-4), k
    alone = torch.cat([net(y[i:i + 1], [n[i:i + 1] for n in maps]) for i in range(2)])
    assert torch.allclose(alone, net(y, maps), atol=1e-5)


def test_the_opposite_draw_has_the_same_blur():
    net, y = trained(), 0.4 + 0.2 * photos(1, 3, 64, 64)
    z = net.draw_noise(y)
    with torch.no_grad():
        x, opposite, blurred = net(y, z), net(y, net.opposite(z)), net(y, [z[0], *map(torch.zeros_like, z[1:])])
        assert torch.allclose((x + opposite) / 2, blurred, atol=1e-6) and (x - blurred).std() > 0.002

        def at(**shares):
            return LearnedDegradation(net, 4).degrade(y, z, **shares)

        bicubic = bicubic_downsample(y, 4)
        assert torch.equal(at(strength=0), bicubic)
        assert torch.allclose(at(noise=0), blurred, atol=1e-6)
        assert torch.allclose(at(strength=0, noise=0.5), bicubic + (x - blurred) / 2, atol=1e-6)


def test_gradients_reach_every_weight_from_the_start():
    net = build_network({'type': 'DegradationPDM'}).train()
    net(photos(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    assert 2000 < sum(p.numel() for p in net.parameters()) < 10_000
    assert [name for name, _ in net.named_parameters() if 'noises.' in name] and list(net.noise_parameters())


def test_what_is_saved_is_what_was_trained(tmp_path):
    options = {'type': 'DegradationPDM', 'scale': 3, 'num_feat': 16, 'kernel_sigma': [0, 1.5], 'noise_levels': [2, 20]}
    net = trained(3)
    LearnedDegradation(net, strength=[0.5, 1], noise=[0, 1], options=options).save(tmp_path / 'camera.safetensors')
    assert json.dumps(read_description(tmp_path / 'camera.safetensors')['network']) == json.dumps(options)
    read = LearnedDegradation.load(tmp_path / 'camera.safetensors')
    y = photos(1, 3, 20, 31)
    maps = net.draw_noise(y)
    assert torch.equal(read.generator(y, maps), net(y, maps)) and (read.scale, read.strength) == (3, [0.5, 1])
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}  # what is computed is not kept


def test_autocast_leaves_it_in_float32_and_double_is_double():
    net, y = trained(), photos(1, 3, 24, 24)
    maps = net.draw_noise(y)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(net(y, maps), net(y, maps).float())
    wide = net.double()(y.double(), maps)
    assert wide.dtype == torch.float64
    torch.testing.assert_close(wide.float(), trained()(y, maps), rtol=0, atol=1e-5)


def test_what_a_latent_variable_weighs():
    assert effective_noise(DegradationPDM()) == pytest.approx([0, *[0.25 / 255 / 3**0.5] * 3], abs=1e-3)
    weights = effective_noise(trained())
    assert len(weights) == 4 and weights[0] > 0.05 and min(weights[1:]) > 0.005
    found = trained().describe()
    assert found['learned'].shape == (len(LEARNED), 3) and found['learned'].isfinite().all()
    number, *sides = found['kernels'].shape
    assert number == 6 and sides[0] == sides[1] <= 40 and sides[0] % 2 == 0
    assert DegradationPDM().describe()['kernels'].shape == (6, 14, 14)  # the bicubic one's
    assert found['kernels'].sum((1, 2)).sub(1).abs().max() < 0.2


@pytest.mark.parametrize('wrong, words', [
    ({'scale': 0}, 'scale is 0'), ({'num_latent': 1}, 'num_latent is 1'), ({'reach': 2.5}, 'reach is 2.5'),
    ({'kernel_sigma': [2, 1]}, r'kernel_sigma is \[2, 1\].*0 to 6 .*half of reach'), ({'kernel_sigma': [0, 7]}, 'to 6'),
    ({'kernel_sigma': 2}, 'kernel_sigma is 2, but must be two numbers'), ({'noise_levels': [-1, 5]}, 'noise_levels'),
    ({'noise_levels': [1]}, 'noise_levels'), ({'noise_levels': ['1', 2]}, 'noise_levels')])
def test_impossible_values_are_named(wrong, words):
    with pytest.raises(UserError, match=words):
        DegradationPDM(**wrong)


@pytest.mark.parametrize('sigma, level', [(2.0, 6.0), (1.0, 12.0)])
def test_a_known_degradation_is_found(sigma, level):
    """By the moments of what aligned photos differ by, in 60 steps, at the ratio of rates that the recipe has."""
    y = torch.stack(as_photos(*tiles(0)[::9]))[:, :, :96, :96]
    torch.manual_seed(0)
    real = SimulatedDegradation(4, [sigma, sigma], [level, level])(y)
    net = DegradationPDM()
    others = [p for name, p in net.named_parameters() if 'noises.' not in name]
    optimizer = torch.optim.Adam([{'params': others}, {'params': list(net.noise_parameters()), 'lr': 4e-2}], 2e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, 60)
    for _ in range(60):
        x = net(y, False)
        deviation = net.read(torch.zeros(1, 8))[1] * net.noises[0].at(x.detach())
        apart = (real - x).square().mean((1, 2, 3)).log()
        loss = (apart + (apart.detach() - deviation.square().mean((1, 2, 3)).log()).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    found = learned(net)
    assert found['blur'] == pytest.approx(sigma, rel=0.1) and found['noise'] == pytest.approx(level, rel=0.2)
    assert found['sharpening'] < 1.1
