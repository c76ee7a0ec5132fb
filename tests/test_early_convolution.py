"""Convolving before an enlargement computes what convolving after it does."""

import copy

import mssr_arch  # noqa: F401  (shims before BasicSR's first import)

# isort: split
import pytest
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from mssr_arch.early_convolution import EarlyConvolvingRRDBNet, convolve_early, enlarged_convolution

CHANNELS_LAST = torch.channels_last


@settings(deadline=None, max_examples=25)
@given(batch=st.integers(1, 3), height=st.integers(1, 6), width=st.integers(1, 6), num_in=st.integers(1, 5),
       num_out=st.integers(1, 5))
def test_it_is_the_convolution_of_repeated_pixels(batch, height, width, num_in, num_out):
    conv = torch.nn.Conv2d(num_in, num_out, 3, padding=1).double()
    x = torch.randn(batch, num_in, height, width, dtype=torch.double, requires_grad=True)
    expected = conv(interpolate(x, scale_factor=2, mode='nearest'))
    found = enlarged_convolution(x, conv)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)  # no weight is like another, so that no output stands for its neighbour
    wanted = (x, *conv.parameters())
    gradients = [torch.autograd.grad((y * weights).sum(), wanted) for y in (expected, found)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(b, a)


@pytest.mark.parametrize('scale', [1, 2, 4])
@pytest.mark.parametrize('memory_format', [torch.contiguous_format, CHANNELS_LAST])
def test_an_rrdbnet_stays_the_same_network(scale, memory_format):
    torch.manual_seed(0)
    plain = RRDBNet(3, 3, scale, num_feat=16, num_block=1, num_grow_ch=8)
    early = copy.deepcopy(plain)
    convolve_early(early)
    assert type(early) is EarlyConvolvingRRDBNet and list(early.state_dict()) == list(plain.state_dict())
    x = torch.rand(2, 3, 16, 12).contiguous(memory_format=memory_format)
    outputs = [net(x) for net in (plain, early)]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-5, atol=1e-6)
    for y in outputs:
        y.square().mean().backward()
    for (name, p), q in zip(plain.named_parameters(), early.named_parameters(), strict=True):
        torch.testing.assert_close(q[1].grad, p.grad, rtol=1e-4, atol=1e-7, msg=name)
    with torch.no_grad():
        assert torch.equal(early(x), plain(x))  # what is validated is what is deployed


def test_it_takes_half_precision():
    net = RRDBNet(3, 3, 4, num_feat=8, num_block=1, num_grow_ch=4)
    convolve_early(net)
    with torch.autocast('cpu', torch.bfloat16):
        y = net(torch.rand(1, 3, 8, 8))
    y.float().mean().backward()
    assert y.dtype == torch.bfloat16
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in net.parameters())


def test_other_networks_are_left_alone():
    class Other(RRDBNet):
        pass

    nets = torch.nn.ModuleList([Other(3, 3, 4, num_feat=8, num_block=1), torch.nn.Conv2d(3, 3, 3)])
    convolve_early(nets)
    assert [type(net) for net in nets] == [Other, torch.nn.Conv2d]
