"""Networks of spandrel's in a form that trains: the same function, and back to what spandrel loads."""

import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import mssr_arch  # noqa: F401  (shims, and networks register)
from mssr_arch.spandrel_arch import SpandrelNet, read_spandrel
from mssr_compat.checkpoint import read_weights
from mssr_compat.errors import UserError

spandrel = pytest.importorskip('spandrel')

SWIN = {'embed_dim': 12, 'num_heads': [2], 'mlp_ratio': 2, 'upscale': 4, 'upsampler': 'pixelshuffledirect'}
SMALL = {
    ('SPAN', 'SPAN'): {'num_in_ch': 3, 'num_out_ch': 3, 'feature_channels': 8, 'upscale': 4},
    ('Compact', 'SRVGGNetCompact'): {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_conv': 2, 'upscale': 4},
    ('ESRGAN', 'RRDBNet'): {'in_nc': 3, 'out_nc': 3, 'num_filters': 8, 'num_blocks': 1, 'scale': 4},
    ('PLKSR', 'RealPLKSR'): {'dim': 8, 'n_blocks': 2, 'upscaling_factor': 4, 'kernel_size': 5, 'split_ratio': 0.25},
    ('SwinIR', 'SwinIR'): {**SWIN, 'img_size': 16, 'window_size': 8, 'depths': [2]},
    ('Swin2SR', 'Swin2SR'): {**SWIN, 'img_size': 16, 'window_size': 8, 'depths': [2]},
    ('HAT', 'HAT'): {**SWIN, 'img_size': 16, 'window_size': 4, 'depths': [2], 'squeeze_factor': 2,
                     'upsampler': 'pixelshuffle'},
    ('DAT', 'DAT'): {'img_size': 16, 'split_size': [4, 4], 'depth': [2], 'embed_dim': 32, 'num_heads': [2],
                     'expansion_factor': 2, 'upscale': 4, 'upsampler': 'pixelshuffledirect'},
    ('OmniSR', 'OmniSR'): {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 16, 'block_num': 1, 'up_scale': 4,
                           'res_num': 1, 'window_size': 8},
    ('ATD', 'ATD'): {**SWIN, 'img_size': 32, 'window_size': 8, 'depths': (2,), 'num_heads': (2,), 'num_tokens': 8,
                     'reducted_dim': 4, 'category_size': 16},
    ('RCAN', 'RCAN'): {'scale': 4, 'n_resgroups': 1, 'n_resblocks': 1, 'n_feats': 16, 'reduction': 4},
    ('SAFMN', 'SAFMN'): {'dim': 8, 'n_blocks': 2, 'ffn_scale': 2.0, 'upscaling_factor': 4},
    ('MoSR', 'MoSR'): {'in_ch': 3, 'out_ch': 3, 'upscale': 4, 'n_block': 2, 'dim': 16},
    ('SwiftSRGAN', 'Generator'): {'in_channels': 3, 'num_channels': 8, 'num_blocks': 1, 'upscale_factor': 4},
}


def network(architecture, name, **changes):
    """A small random network of spandrel's own."""
    module = getattr(spandrel.architectures, architecture)
    cls = next(cls for cls in vars(module).values() if isinstance(cls, type) and cls.__name__ == name)
    torch.manual_seed(0)
    return cls(**{**SMALL.get((architecture, name), {}), **changes}).eval()


def photo(size=48):
    """Smooth, as photos are: networks made of noise blow noise up."""
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, (size, size), mode='bicubic').clamp(0, 1)


def copied(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def assert_same_function(state, where):
    """Spandrel's network, ours in either mode, and spandrel's made of our weights again compute the same."""
    reference = spandrel.MAIN_REGISTRY.load(copied(state)).eval()
    options, weights = read_spandrel(copied(state), where)
    net = SpandrelNet(**{key: value for key, value in options.items() if key != 'type'})
    net.load_state_dict(weights)
    x = photo()
    with torch.no_grad():
        expected = reference.model(x.clone())
        bound = 1e-5 * max(1, expected.abs().max().item())
        for mode in (False, True):
            assert (net.train(mode)(x.clone()) - expected).abs().max() <= bound
        again = spandrel.MAIN_REGISTRY.load(copied(net.unfold(net.state_dict()))).eval()
        assert again.architecture.id == reference.architecture.id
        assert type(again.model) is type(reference.model) and again.scale == reference.scale
        assert (again.model(x.clone()) - expected).abs().max() <= bound
    return net


@pytest.mark.parametrize(('architecture', 'name'), SMALL)
@pytest.mark.filterwarnings('ignore')
def test_the_function_stays_and_goes_back(architecture, name):
    net = assert_same_function(network(architecture, name).state_dict(), 'small.pth')
    output = net.train()(photo())
    output.mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_span_without_its_norm():
    net = assert_same_function(network('SPAN', 'SPAN', norm=False).state_dict(), 'small.pth')
    assert not net.ranges


def test_the_input_range_is_in_the_first_convolution():
    state = network('SPAN', 'SPAN').state_dict()
    net = assert_same_function(state, 'small.pth')
    assert net.ranges == {'img_range': 255.0}
    assert net.net.conv_1.weight.abs().max() > 50 * sum(state[f'conv_1.{part}.weight'].abs().max()
                                                        for part in ('sk', 'eval_conv'))
    assert not any('eval_conv' in name or '.sk.' in name for name in net.state_dict())


def test_trained_weights_go_back_too():
    net = assert_same_function(network('SPAN', 'SPAN').state_dict(), 'small.pth').train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        (net(photo()) - 0.5).abs().mean().backward()
        optimizer.step()
    again = spandrel.MAIN_REGISTRY.load(copied(net.unfold(net.state_dict()))).eval()
    with torch.no_grad():
        assert torch.allclose(again.model(photo()), net.eval()(photo()), atol=1e-5)


@pytest.mark.parametrize(('make', 'words'), [
    (lambda: {'some.weight': torch.zeros(3)}, 'no network that spandrel'),
    (lambda: network('Compact', 'SRVGGNetCompact', upscale=1).state_dict(), 'enlarges nothing'),
    (lambda: network('Compact', 'SRVGGNetCompact', num_in_ch=1, num_out_ch=1).state_dict(), '1 channels'),
])
def test_what_is_no_sr_network_is_refused(make, words):
    with pytest.raises(UserError, match=words) as error:
        read_spandrel(make(), 'weights.pth')
    assert str(error.value).startswith('weights.pth holds')


def test_hyperparameters_that_do_not_fit_are_refused():
    options, _ = read_spandrel(network('Compact', 'SRVGGNetCompact').state_dict(), 'small.pth')
    options.pop('type')
    with pytest.raises(UserError, match='cannot be built'):
        SpandrelNet(**{**options, 'hyperparameters': {'width': 3}})
    with pytest.raises(UserError, match='no network Compact2'):
        SpandrelNet(**{**options, 'network': 'Compact2'})
    with pytest.raises(UserError, match='input range of 255'):
        SpandrelNet(**{**options, 'hyperparameters': {'img_range': 255}})


WEIGHTS = Path(os.environ.get('MSSR_WEIGHTS') or Path(__file__).resolve().parents[2] / 'shared' / 'weights')


@pytest.mark.parametrize('file', sorted(file.name for file in WEIGHTS.glob('*x4*.pth')) or ['none'])
def test_pretrained_files(file):
    if file == 'none':
        pytest.skip('no pretrained weights here')
    assert_same_function(read_weights(WEIGHTS / file), file)
