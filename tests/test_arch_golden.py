"""Every network and setting of the golden data: the same names in the same order, and the same output."""

import pytest
import torch
from basicsr.archs import build_network

import golden_tools
from golden_runs import FORWARD, forward_tolerance, run_forward
from golden_tools import array, golden, relative_error


@pytest.mark.parametrize('tag', FORWARD)
def test_names_and_output(tag):
    network, output, exact = run_forward(tag)
    assert [[name, list(value.shape)] for name, value in network.state_dict().items()] == golden()['state'][tag]
    expected = array(f'forward/{tag}')
    if exact is None:
        assert relative_error(output, expected) < forward_tolerance(tag)
        return
    # Instance norms magnify how a CPU rounds in float32, as the recording one did, too: exact is what agrees in float64
    # within what rounding does here.
    rounding = relative_error(output, exact)
    assert rounding < 1e-4
    assert relative_error(exact, expected.double()) < max(1e-5, 4 * rounding)


@pytest.mark.parametrize(
    ('options', 'count'),
    [
        ({'type': 'DeResnet'}, 668_750),
        ({'type': 'DegradationHAN'}, 63_167_201),
        ({'type': 'WaveletDiscriminator'}, 1_039_105),
    ],
)
def test_defaults_are_the_published_networks(options, count):
    with torch.device('meta'):  # counting needs no memory
        network = build_network(options)
    assert sum(p.numel() for p in network.parameters()) == count


def test_every_record_is_there():
    """A golden file cut short must not pass as a smaller one."""
    assert len(FORWARD) == 32
    assert {f'forward/{tag}' for tag in FORWARD} <= golden_tools.array_names()
