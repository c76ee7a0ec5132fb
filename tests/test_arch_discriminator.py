"""The discriminators beyond the golden records: sizes, gradients, logits, errors."""

import pytest
import torch
from basicsr.archs import build_network

from mssr_arch import WaveletDiscriminator
from mssr_compat.errors import UserError


@pytest.mark.parametrize('filter', ['wavelet', 'gaussian', 'average', None])
@pytest.mark.parametrize('net', ['fsd', 'patch_s1', 'patch_s2'])
@pytest.mark.parametrize('norm', ['instance', 'batch', None])
def test_gradients_reach_every_parameter_and_the_image(filter, net, norm):
    torch.manual_seed(0)
    network = build_network({'type': 'WaveletDiscriminator', 'filter': filter, 'net': net, 'norm': norm})
    x = torch.rand(2, 3, 34, 33, requires_grad=True)
    logits = network(x)
    assert logits.shape[:2] == (2, 1)
    logits.sigmoid().log().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    assert all(p.grad.abs().sum() > 0 for name, p in network.named_parameters() if name.endswith('0.weight'))
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ('net', 'size', 'expected'),
    [('fsd', (17, 20), (17, 20)), ('patch_s1', (17, 20), (13, 16)), ('patch_s2', (33, 40), (6, 8))],
)
def test_output_size_without_filter(net, size, expected):
    network = WaveletDiscriminator(filter=None, net=net).eval()
    assert network(torch.rand(1, 3, *size)).shape == (1, 1, *expected)


def test_wavelet_halves_first():
    network = WaveletDiscriminator()
    assert network(torch.rand(1, 3, 15, 18)).shape == (1, 1, 8, 9)


def test_it_returns_logits():
    network = WaveletDiscriminator().eval()
    with torch.no_grad():
        network.net.net[-1].bias.fill_(7.0)
        assert (network(torch.rand(1, 3, 16, 16)) > 1).all()  # no probability


def test_it_is_blind_to_colour():
    """A constant shift of brightness is in the low band alone, which the discriminator never sees."""
    network, x = WaveletDiscriminator().eval(), torch.rand(1, 3, 16, 16) * 0.5
    with torch.no_grad():
        assert torch.allclose(network(x), network(x + 0.25), atol=1e-4)
        assert not torch.allclose(network(x), network(x + 0.25 * torch.rand_like(x)), atol=1e-2)


def test_bands_matter_to_the_wavelet_filter_alone():
    assert WaveletDiscriminator(bands='mean').net.net[0].in_channels == 3
    assert WaveletDiscriminator(num_in_ch=1).net.net[0].in_channels == 3
    assert WaveletDiscriminator(filter='gaussian', bands='mean').net.net[0].in_channels == 3


def test_without_a_norm_the_strength_of_noise_is_seen():
    """An instance norm divides by it: twice the noise gives D's last layers the same features, but for the border."""
    torch.manual_seed(0)
    x, scores = 0.1 * torch.randn(4, 3, 64, 64), {}
    for norm in ('instance', None):
        network = WaveletDiscriminator(norm=norm, gain=1.0).eval()
        network.net.net[0].bias.data.zero_()  # a stand-in for D's training, which finds what is linear in the noise
        with torch.no_grad():
            weak, strong = (network(factor * x)[..., 4:-4, 4:-4].std() for factor in (1, 2))
        scores[norm] = (strong / weak).item()
    assert 0.9 < scores['instance'] < 1.1 and scores[None] > 1.5


def test_gain_centres_amplifies_and_bounds_the_bands():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 16)
    network = WaveletDiscriminator(norm=None, gain=8.0).eval()
    with torch.no_grad():
        assert torch.equal(network(x), network.net((8 * (network.filter.high(x) - 0.5)).tanh()))
        assert torch.equal(network(torch.full_like(x, 0.25)), network.net(torch.zeros(1, 9, 8, 8)))


@pytest.mark.parametrize('net', ['fsd', 'patch_s1', 'patch_s2'])
def test_width(net):
    widths = [m.out_channels for m in WaveletDiscriminator(net=net, num_feat=8).modules() if hasattr(m, 'out_channels')]
    assert widths == [8, 16, 32, 1]


def test_fixed_filters_are_not_saved():
    for filter in ('wavelet', 'gaussian', 'average', None):
        names = WaveletDiscriminator(filter=filter).state_dict()
        assert names and all(name.startswith('net.') for name in names)


def test_fixed_filters_follow_the_device_and_type():
    network = WaveletDiscriminator(filter='gaussian').double()
    assert network(torch.rand(1, 3, 16, 16, dtype=torch.float64)).dtype == torch.float64
    assert network.to('meta').filter.kernel.is_meta


@pytest.mark.parametrize(
    ('keywords', 'words'),
    [
        ({'filter': 'haar'}, ['WaveletDiscriminator', 'filter is haar', 'wavelet, gaussian, average, null']),
        ({'filter': False}, ['filter is false']),
        ({'bands': 'sum'}, ['bands is sum', 'concat, mean']),
        ({'net': 'FSD'}, ['net is FSD', 'fsd, patch_s1, patch_s2']),
        ({'norm': 'none'}, ['norm is none', 'instance, batch, null']),
        ({'gain': -1}, ['gain is -1']),
        ({'num_feat': 0}, ['num_feat is 0']),
        ({'num_in_ch': 0}, ['num_in_ch is 0']),
        ({'filter': 'gaussian', 'kernel_size': 6}, ['kernel_size is 6', 'odd']),
    ],
)
def test_impossible_values_are_named(keywords, words):
    with pytest.raises(UserError) as error:
        WaveletDiscriminator(**keywords)
    assert all(word in str(error.value) for word in words), str(error.value)
