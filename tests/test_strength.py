"""Less of what a generator does to photos, or of its noise."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mssr_arch import DeResnet
from mssr_arch.imresize import bicubic_downsample
from mssr_degradation import LearnedDegradation
from mssr_degradation.blending import at_strength


def photos(seed, shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.floats(0, 1), st.none() | st.floats(0, 2), st.booleans())
def test_noise_that_is_added_has_its_own_share(seed, strength, share, noisy):
    bicubic, degraded = photos(seed, (2, 3, 4, 5)), photos(seed + 100, (2, 3, 4, 5))
    z = [photos(seed + 200, (2, 1, 4, 5)) - 0.5] if noisy else []
    x = at_strength(lambda maps: degraded + sum(0.3 * n for n in maps), z, bicubic, strength, share)
    noise = (strength if share is None else share) * sum(0.3 * n for n in z)
    assert torch.allclose(x, (1 - strength) * bicubic + strength * degraded + noise, atol=1e-12)


def test_each_photo_has_a_share_of_its_own():
    bicubic, degraded = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    x = at_strength(lambda _: degraded, [], bicubic, torch.tensor([0.25, 1.0]).view(2, 1, 1, 1))
    assert torch.equal(x[0], torch.full((3, 4, 4), 0.25)) and torch.equal(x[1], degraded[1])


def test_draws_of_a_generator():
    torch.manual_seed(0)
    net = DeResnet(num_feat=4, num_block=2)
    for noise in net.noises:
        torch.nn.init.constant_(noise.w, 20.0)
    y = photos(1, (2, 3, 16, 16)).float()

    def draw(strength, noise):
        torch.manual_seed(3)
        return LearnedDegradation(net, 4, strength, noise).draw(y)

    with torch.no_grad():
        torch.manual_seed(3)
        z = net.draw_noise(y)
        whole, opposite, bicubic = net(y, z), net(y, [-n for n in z]), bicubic_downsample(y, 4)
        noise = (whole - opposite) / 2
        assert noise.std() > 0.01
        assert torch.equal(draw(None, None), whole) and torch.equal(draw([1, 1], None), whole)
        assert torch.equal(draw([0, 0], None), bicubic)
        assert torch.allclose(draw([1, 1], [1, 1]), whole, atol=1e-6)
        assert torch.allclose(draw([0, 0], [1, 1]), bicubic + noise, atol=1e-6)
        assert torch.allclose(draw(None, [0, 0]), (whole + opposite) / 2, atol=1e-6)
