"""Every network and setting of the golden data: the same names in the same order, and the same output."""

import pytest
import torch
from basicsr.archs import build_network

import golden_tools
import mssr_arch  # noqa: F401
from golden_tools import array, fill_weights, golden, image, network_options, relative_error

RECORDS = {item['tag']: item for item in golden()['forward']}


@pytest.mark.parametrize('tag', RECORDS)
def test_names_and_output(tag):
    item = RECORDS[tag]
    network = build_network(network_options(item))
    assert [[name, list(value.shape)] for name, value in network.state_dict().items()] == golden()['state'][tag]

    fill_weights(network).eval()  # noise stays active in evaluation
    torch.manual_seed(item['torch_seed'])
    x, expected = image(item['input_seed'], item['input_shape']), array(f'forward/{tag}')
    with torch.no_grad():
        output = network(x)
        if item['arch'] != 'Discriminator':
            assert relative_error(output, expected) < (1e-4 if item['arch'] == 'HAN' else 1e-5)
            return
        # The published networks returned probabilities. Instance norms magnify how a CPU rounds in float32, as the
        # recording one did, too: exact is what agrees in float64 within what rounding does here.
        exact = network.double()(x.double()).sigmoid()
    rounding = relative_error(output.double().sigmoid(), exact)
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
    assert len(RECORDS) == 32
    assert {f'forward/{tag}' for tag in RECORDS} <= golden_tools.array_names()
