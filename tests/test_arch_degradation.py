"""What all degradation generators promise: noise, sizes, gradients, errors."""

import math

import pytest
import torch
from basicsr.archs import build_network
from hypothesis import given, settings
from hypothesis import strategies as st

from mssr_arch import DSGAN, DegradationEDSR, DegradationHAN, DeResnet
from mssr_arch.degradation_base import NoiseInjection
from mssr_arch.deresnet_arch import PReLU
from mssr_arch.han_arch import ChannelSpatialAttention, LayerAttention
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.errors import UserError

SMALL_HAN = {'num_feat': 8, 'num_group': 2, 'num_block': 1, 'reduction': 1}
PROBABILISTIC = {
    'deresnet_x1': {'type': 'DeResnet', 'num_feat': 8, 'num_block': 2, 'scale': 1},
    'deresnet_x2': {'type': 'DeResnet', 'num_feat': 8, 'num_block': 2, 'scale': 2},
    'deresnet_x4': {'type': 'DeResnet', 'num_feat': 8, 'num_block': 2, 'scale': 4},
    'deresnet_skip_x1': {'type': 'DeResnet', 'num_feat': 8, 'num_block': 2, 'scale': 1, 'skip': True},
    'deresnet_skip_x4': {'type': 'DeResnet', 'num_feat': 8, 'num_block': 2, 'scale': 4, 'skip': True},
    'han_skip': {'type': 'DegradationHAN', **SMALL_HAN, 'skip': True},
    'han_1_group': {'type': 'DegradationHAN', **SMALL_HAN, 'num_group': 1},
    'han_2_groups': {'type': 'DegradationHAN', **SMALL_HAN},
    'han_3_groups_x2': {'type': 'DegradationHAN', **SMALL_HAN, 'num_group': 3, 'scale': 2},
    'han_x1': {'type': 'DegradationHAN', **SMALL_HAN, 'scale': 1},
    'han_tail': {'type': 'DegradationHAN', **SMALL_HAN, 'downsample': 'tail'},
    'han_tail_x2': {'type': 'DegradationHAN', **SMALL_HAN, 'downsample': 'tail', 'scale': 2},
    'han_checkpointed': {'type': 'DegradationHAN', **SMALL_HAN, 'use_checkpoint': True},
    'edsr_x1': {'type': 'DegradationEDSR', 'num_feat': 8, 'num_block': 2, 'scale': 1},
    'edsr_x4': {'type': 'DegradationEDSR', 'num_feat': 8, 'num_block': 2, 'scale': 4},
}


def build(options, noise_weight=1.0):
    """A generator whose noise matters (untrained, its weights are zero), in evaluation mode."""
    torch.manual_seed(1)
    network = build_network(options).eval()
    with torch.no_grad():
        for w in network.noise_parameters():
            w.fill_(noise_weight)
        if hasattr(network, 'la'):
            network.la.gamma.fill_(0.5)
    return network


@pytest.fixture(params=PROBABILISTIC)
def options(request):
    return PROBABILISTIC[request.param]


@torch.no_grad()
def test_fresh_draws_differ_also_in_evaluation(options):
    network, y = build(options), torch.rand(2, 3, 16, 16)
    assert not torch.allclose(network(y), network(y), atol=1e-5)
    assert not torch.allclose(*network(y[:1].expand(2, -1, -1, -1)), atol=1e-5)  # each photo has maps of its own


@torch.no_grad()
def test_a_draw_is_fixed_by_its_seed_or_its_maps(options):
    network, y = build(options), torch.rand(2, 3, 16, 20)
    torch.manual_seed(5)
    fresh = network(y)
    torch.manual_seed(5)
    maps = network.draw_noise(y)
    assert len(maps) == network.num_noise > 0
    assert all(n.shape[:2] == (2, 1) for n in maps)
    assert torch.equal(network(y, noise=maps), fresh)
    state = torch.get_rng_state()
    own = network.draw_noise(y, torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), state)  # a generator of one's own leaves torch's alone
    assert all(torch.equal(n, m) for n, m in zip(maps, own, strict=True))


@torch.no_grad()
def test_every_map_matters(options):
    network, y = build(options), torch.rand(1, 3, 16, 16)
    maps = network.draw_noise(y)
    output = network(y, noise=maps)
    for k in range(network.num_noise):
        changed = [n + 1.0 * (j == k) for j, n in enumerate(maps)]
        assert not torch.allclose(network(y, noise=changed), output, atol=1e-6), f'map {k} has no effect'


@torch.no_grad()
def test_without_noise_it_equals_the_deterministic_network(options):
    network, y = build(options), torch.rand(1, 3, 16, 16)
    deterministic = build_network({**options, 'noise_std': 0}).eval()
    assert deterministic.num_noise == 0 and deterministic.draw_noise(y) == []
    state = {name: value for name, value in network.state_dict().items() if not name.startswith('noises.')}
    deterministic.load_state_dict(state)
    expected = deterministic(y)
    assert torch.equal(network(y, noise=False), expected)
    assert torch.equal(deterministic(y, noise=[]), expected)
    zeros = [torch.zeros_like(n) for n in network.draw_noise(y)]
    assert torch.allclose(network(y, noise=zeros), expected, atol=1e-6)


@torch.no_grad()
def test_an_untrained_generator_is_deterministic(options):
    network = build_network(options)
    y = torch.rand(1, 3, 16, 16)
    assert torch.equal(network(y), network(y))


@settings(max_examples=12, deadline=None)
@given(height=st.integers(1, 21), width=st.integers(1, 21), name=st.sampled_from(sorted(PROBABILISTIC)))
@torch.no_grad()
def test_any_size(height, width, name):
    network = build(PROBABILISTIC[name])
    y = torch.rand(1, 3, height, width)
    expected = (1, 3, math.ceil(height / network.scale), math.ceil(width / network.scale))
    assert network(y).shape == expected
    assert [tuple(n.shape[-2:]) for n in network.draw_noise(y)] == network.noise_sizes(height, width)


def test_gradients_reach_every_parameter(options):
    network = build_network(options).train()  # as a training starts: noise weights and gammas at zero
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == (['csa.gamma'] if 'HAN' in options['type'] else [])  # published, but in no formula
    assert all(p.requires_grad == (name != 'csa.gamma') for name, p in network.named_parameters())


def test_checkpointing_changes_nothing():
    results = []
    for use_checkpoint in (False, True):
        network = build({'type': 'DegradationHAN', **SMALL_HAN, 'use_checkpoint': use_checkpoint}).train()
        torch.manual_seed(2)
        y = torch.rand(2, 3, 12, 12)
        network(y).square().sum().backward()
        results.append([p.grad for p in network.parameters() if p.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_han_has_two_injections_more_than_groups():
    for num_group in (1, 2, 3):
        network = DegradationHAN(**{**SMALL_HAN, 'num_group': num_group})
        assert network.num_noise == num_group + 2
        assert network.last_conv.in_channels == 8 * (num_group + 1)


def test_han_output_does_not_depend_on_the_batch():
    """Attention weighs within a photo, never across the batch."""
    network, y = build(PROBABILISTIC['han_2_groups']), torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        maps = network.draw_noise(y)
        alone = torch.cat([network(y[i : i + 1], [n[i : i + 1] for n in maps]) for i in range(3)])
        assert torch.allclose(network(y, maps), alone, atol=1e-6)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_layer_attention_is_its_formula(memory_format):
    attention = LayerAttention()
    layers = torch.randn(2, 3, 4, 5, 6)
    outputs = [h.contiguous(memory_format=memory_format) for h in layers.unbind(1)]
    assert torch.equal(attention(outputs), layers.flatten(1, 2))  # gamma starts at 0
    assert attention(outputs).is_contiguous(memory_format=memory_format)  # no copy for the convolution that follows
    torch.nn.init.constant_(attention.gamma, 0.3)
    rows = layers.reshape(2, 3, -1)
    energy = rows @ rows.transpose(1, 2)
    weights = (energy.max(-1, keepdim=True).values - energy).softmax(-1)
    expected = (0.3 * (weights @ rows) + rows).reshape(2, 12, 5, 6)
    assert torch.allclose(attention(outputs), expected, atol=1e-5)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('channels', [1, 5, 16, 24, 32, 48])  # those of several groups of 16 among them
def test_channel_spatial_attention_is_a_3d_convolution(memory_format, channels):
    torch.manual_seed(0)
    attention = ChannelSpatialAttention()
    h = torch.randn(2, channels, 6, 7).contiguous(memory_format=memory_format).requires_grad_()
    expected = h * attention.conv(h.unsqueeze(1)).sigmoid().squeeze(1)
    output = attention(h)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    inputs, gradient = (h, attention.conv.weight, attention.conv.bias), torch.randn_like(output)
    found, wanted = (torch.autograd.grad(y, inputs, gradient) for y in (output, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('init', [0.25, -0.5, 0.0])
def test_prelu_is_torchs(init):
    """Outputs and gradients of x bit for bit; the slope's sum in another order."""
    ours, torchs = PReLU(init), torch.nn.PReLU(1, init)
    x = torch.randn(2, 3, 8, 8)
    x[0, 0, 0, :4] = 0
    gradient, results = torch.randn_like(x), []
    for net in (ours, torchs):
        leaf = x.clone().requires_grad_()
        y = net(leaf)
        results.append((y, *torch.autograd.grad(y, (leaf, net.weight), gradient)))
    (y, of_x, of_slope), (y0, of_x0, of_slope0) = results
    assert torch.equal(y, y0) and torch.equal(of_x, of_x0)
    torch.testing.assert_close(of_slope, of_slope0, rtol=1e-5, atol=1e-5)
    assert list(ours.state_dict()) == ['weight']
    with torch.no_grad():
        assert torch.equal(ours(x), y)


def test_half_precision_attention_does_not_overflow():
    """Energies of large features exceed what fp16 holds (65504); they are summed in float32."""
    attention = LayerAttention().half()
    torch.nn.init.constant_(attention.gamma, 0.5)
    attended = attention([torch.full((1, 8, 64, 64), 10.0, dtype=torch.float16)] * 3)
    assert attended.dtype == torch.float16 and attended.isfinite().all()


@pytest.mark.parametrize('name', ['deresnet_x4', 'han_2_groups', 'edsr_x4'])
def test_autocast_keeps_close(name):
    network, y = build(PROBABILISTIC[name]), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        maps = network.draw_noise(y)
        expected = network(y, maps)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            output = network(y, maps)
    assert output.dtype == torch.bfloat16  # the injections do not silently widen the features
    assert (output - expected).abs().max() < 0.03 * expected.abs().max().clamp(min=1)


def test_noise_injection_is_its_formula():
    layer = NoiseInjection(4, std=0.1)
    h, n = torch.randn(2, 4, 5, 6), torch.randn(2, 1, 5, 6)
    assert torch.equal(layer(h.clone(), n), h)
    torch.nn.init.normal_(layer.w)
    assert torch.allclose(layer(h.clone(), n), h + layer.w * (0.1 * n), atol=1e-6)
    assert list(layer.state_dict()) == ['w'] and layer.w.shape == (1, 4, 1, 1)


def test_noise_parameters_are_the_injections_weights():
    network = DeResnet(num_feat=8, num_block=3)
    assert list(network.noise_parameters()) == [p for name, p in network.named_parameters() if 'noises.' in name]
    assert len(list(network.noise_parameters())) == 3


def test_dsgan_keeps_the_size_and_takes_no_noise():
    network, x = DSGAN(num_feat=8, num_block=1), torch.rand(2, 3, 7, 9)
    assert network.scale == 1 and network.num_noise == 0
    output = network(x)
    assert output.shape == x.shape and output.min() > 0 and output.max() < 1
    assert torch.equal(network(x, noise=False), output)
    output.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    ('arch', 'keywords', 'words'),
    [
        (DeResnet, {'scale': 3}, ['DeResnet', 'scale is 3', '1, 2, 4']),
        (DeResnet, {'scale': True}, ['scale is true']),
        (DeResnet, {'skip': 1}, ['skip is 1', 'false, true']),
        (DegradationHAN, {'skip': None}, ['skip is null', 'false, true']),
        (DeResnet, {'num_block': 0}, ['num_block is 0']),
        (DeResnet, {'num_feat': '64'}, ['num_feat is 64']),
        (DeResnet, {'noise_std': -0.1}, ['noise_std is -0.1']),
        (DeResnet, {'noise_std': float('nan')}, ['noise_std is nan']),
        (DeResnet, {'noise_std': None}, ['noise_std is null']),
        (DSGAN, {'num_in_ch': 2.5}, ['DSGAN', 'num_in_ch is 2.5']),
        (DegradationHAN, {'downsample': 'body'}, ['downsample is body', 'head, tail']),
        (DegradationHAN, {'scale': 8}, ['DegradationHAN', 'scale is 8']),
        (DegradationHAN, {'reduction': 256}, ['reduction is 256', 'num_feat, 128']),
        (DegradationHAN, {'use_checkpoint': 'yes'}, ['use_checkpoint is yes', 'false, true']),
        (DegradationEDSR, {'res_scale': -1}, ['DegradationEDSR', 'res_scale is -1']),
        (DegradationEDSR, {'scale': 6}, ['scale is 6']),
    ],
)
def test_impossible_values_are_named(arch, keywords, words):
    with pytest.raises(UserError) as error:
        arch(**keywords)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_maps_that_do_not_fit_are_named():
    network, y = DeResnet(num_feat=8, num_block=2), torch.rand(2, 3, 8, 8)
    maps = network.draw_noise(y)
    with pytest.raises(UserError, match='noise has 1 maps, but 2 are needed'):
        network(y, noise=maps[:1])
    with pytest.raises(UserError, match=r'noise\[1\] has shape \(1, 1, 8, 8\), but needs \(2, 1, 8, 8\)'):
        network(y, noise=[maps[0], maps[1][:1]])
    with pytest.raises(UserError, match='noise is True'):
        network(y, noise=True)


@pytest.mark.parametrize('scale', [1, 2, 4])
@pytest.mark.parametrize('options', [{'type': 'DeResnet', 'num_feat': 8, 'num_block': 2},
                                     {'type': 'DegradationHAN', **SMALL_HAN}], ids=lambda options: options['type'])
@torch.no_grad()
def test_with_skip_training_begins_near_bicubic_downsampling(options, scale):
    torch.manual_seed(0)
    y = torch.rand(2, 3, 21, 18)
    network, published = (build_network({**options, 'scale': scale, 'skip': skip}) for skip in (True, False))
    from_bicubic = [(net(y) - bicubic_downsample(y, scale)).abs().mean() for net in (network, published)]
    assert from_bicubic[0] < min(0.05, 0.5 * from_bicubic[1])
    assert network.state_dict().keys() == published.state_dict().keys()
