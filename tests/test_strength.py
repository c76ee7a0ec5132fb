"""Less of what a generator does to photos, and all of its noise."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mssr_arch import DeResnet
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.strength import at_strength
from mssr_model.strength import draw_lq


def photos(seed, shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.floats(0, 1), st.booleans())
def test_where_noise_is_added_it_stays_and_the_rest_is_shared(seed, share, noisy):
    bicubic, degraded = photos(seed, (2, 3, 4, 5)), photos(seed + 100, (2, 3, 4, 5))
    z = [photos(seed + 200, (2, 1, 4, 5)) - 0.5] if noisy else []
    x = at_strength(lambda maps: degraded + sum(0.3 * n for n in maps), z, bicubic, share)
    expected = (1 - share) * bicubic + share * degraded + sum(0.3 * n for n in z)
    assert torch.allclose(x, expected, atol=1e-12)


def test_each_photo_has_a_share_of_its_own():
    bicubic, degraded = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    x = at_strength(lambda _: degraded, [], bicubic, torch.tensor([0.25, 1.0]).view(2, 1, 1, 1))
    assert torch.equal(x[0], torch.full((3, 4, 4), 0.25)) and torch.equal(x[1], degraded[1])


def test_a_draw_without_strength_is_the_generators_own():
    torch.manual_seed(0)
    net = DeResnet(num_feat=4, num_block=2)
    for noise in net.noises:
        torch.nn.init.constant_(noise.w, 20.0)
    y = photos(1, (2, 3, 16, 16)).float()
    found = []
    with torch.no_grad():
        for strength in (None, [1, 1], [0, 0]):
            torch.manual_seed(3)
            found.append(draw_lq(net, net, y, 4, strength))
        torch.manual_seed(3)
        z = net.draw_noise(y)
        assert torch.equal(found[0], net(y, z))
        assert torch.allclose(found[1], found[0], atol=1e-6)
        noise = (net(y, z) - net(y, [-n for n in z])) / 2
        assert noise.std() > 0.01
        assert torch.allclose(found[2], bicubic_downsample(y, 4) + noise, atol=1e-6)
