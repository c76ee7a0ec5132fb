import pytest
import torch
from basicsr.archs import build_network
from basicsr.utils import get_root_logger
from torch import nn

import mssr_arch  # noqa: F401
from golden_tools import golden
from mssr_compat.checkpoint import describe_weights, load_into, read_weights
from mssr_compat.errors import UserError

SMALL = {
    'DeResnet x4 generator with 2': {'type': 'DeResnet', 'num_feat': 4, 'num_block': 2},
    'DeResnet x2 generator with 3': {'type': 'DeResnet', 'num_feat': 4, 'num_block': 3, 'scale': 2},
    'DeResnet x1 generator with 1': {'type': 'DeResnet', 'num_feat': 4, 'num_block': 1, 'scale': 1},
    'DeResnet x4 generator without noise with 1': {'type': 'DeResnet', 'num_feat': 4, 'num_block': 1, 'noise_std': 0},
    'a DSGAN generator with 2': {'type': 'DSGAN', 'num_feat': 4, 'num_block': 2},
    'a HAN generator with 2 groups and its downsampling in the head': {
        'type': 'DegradationHAN', 'num_feat': 8, 'num_group': 2, 'num_block': 1, 'reduction': 4},
    'a HAN generator with 3 groups and its downsampling in the tail': {
        'type': 'DegradationHAN', 'num_feat': 8, 'num_group': 3, 'num_block': 1, 'reduction': 4, 'downsample': 'tail'},
    'an EDSR degradation generator with 2 blocks': {'type': 'DegradationEDSR', 'num_feat': 4, 'num_block': 2},
    'an FSD discriminator with instance norm on 9 channels': {'type': 'WaveletDiscriminator'},
    'a PatchGAN discriminator with batch norm on 3 channels': {
        'type': 'WaveletDiscriminator', 'bands': 'mean', 'net': 'patch_s2', 'norm': 'batch'},
    'an RRDBNet with 2 blocks of 8': {
        'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 2, 'num_grow_ch': 4},
    'an MSRResNet with 3 blocks of 8': {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 3},
    'an EDSR with 2 blocks of 8': {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 2},
    'an RCAN with 2 blocks of 16': {
        'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 16, 'num_group': 2, 'num_block': 1},
    'a SwinIR': {'type': 'SwinIR', 'upscale': 4, 'img_size': 16, 'window_size': 8, 'depths': [1], 'num_heads': [1],
                 'embed_dim': 8, 'upsampler': 'pixelshuffledirect'},
    'an SREnsemble of 2 branches, the first of them an MSRResNet with 1 blocks': {
        'type': 'SREnsemble', 'branches': [{'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1}] * 2},
}


def build(words):
    return build_network(SMALL[words])


@pytest.mark.parametrize('words', SMALL)
def test_networks_are_recognised(words):
    assert words in describe_weights(build(words).state_dict())


@pytest.mark.parametrize(('tag', 'words'), [
    ('dsgan', 'a DSGAN generator with 8 blocks'),
    ('deresnet_x4', 'a DeResnet x4 generator with 8 blocks'),
    ('deresnet_x4_deterministic', 'a DeResnet x4 generator without noise with 8 blocks'),
    ('deresnet_x2', 'a DeResnet x2 generator with 8 blocks'),
    ('han', 'a HAN generator with 10 groups and its downsampling in the head'),
    ('han2', 'a HAN generator with 10 groups and its downsampling in the tail'),
    ('edsr_down', 'an EDSR degradation generator with 32 blocks'),
    ('disc_wavelet_cat_FSD_Batch', 'an FSD discriminator with batch norm on 9 channels'),
    ('disc_gau_cat_nld_s1_Instance', 'a PatchGAN discriminator with instance norm on 3 channels'),
    ('rrdb_16_1_8', 'an RRDBNet with 1 blocks of 16 channels'),
])
def test_published_files_are_recognised(tag, words):
    state = {name: torch.empty(shape, device='meta') for name, shape in golden()['state'][tag]}
    assert describe_weights(state) == words


@pytest.mark.parametrize('words', [words for words in SMALL if 'generator' in words])
def test_a_published_stage_1_file_loads(tmp_path, words):
    source, target = build(words), build(words)
    content = {'epoch': 500, 'model_g_state_dict': {f'module.model.{k}': v for k, v in source.state_dict().items()}}
    torch.save(content, tmp_path / 'last_iteration.tar')
    assert load_into(target, read_weights(tmp_path / 'last_iteration.tar'), 'last_iteration.tar') == []
    for name, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[name])


def test_a_published_discriminator_brings_its_fixed_filters(tmp_path):
    source, target = build_network({'type': 'WaveletDiscriminator'}), build_network({'type': 'WaveletDiscriminator'})
    fixed = {'DWT2.h0_col': torch.ones(1, 1, 2, 1), 'DWT2.h1_row': torch.ones(1, 1, 1, 2),
             'filter.filter_low.filter.gaussian_filter.weight': torch.ones(3, 1, 5, 5)}
    torch.save({'models_d_state_dict': [fixed | source.state_dict()]}, tmp_path / 'e.tar')
    load_into(target, read_weights(tmp_path / 'e.tar', part='discriminator'), 'e.tar')
    assert torch.equal(source.state_dict()['net.net.0.weight'], target.state_dict()['net.net.0.weight'])


def test_another_network_s_file():
    generator, sr = build('DeResnet x4 generator with 2'), build('an RRDBNet with 2 blocks of 8')
    with pytest.raises(UserError) as error:
        load_into(sr, generator.state_dict(), 'g.pth', 'network_g.branches[0].checkpoint')
    message = str(error.value)
    for part in ('network_g.branches[0].checkpoint: g.pth holds a DeResnet x4 generator with 2 blocks, but RRDBNet '
                 'expects an RRDBNet with 2 blocks of 8 channels', '72 missing (conv_first.weight, ',
                 'unknown (block_input.0.weight, '):
        assert part in message
    assert '\n' not in message


def test_another_depth_and_another_width():
    with pytest.raises(UserError, match=r'an? .*x2 generator with 3 .* expects .*x4 generator with 2 blocks.*missing'):
        load_into(build('DeResnet x4 generator with 2'), build('DeResnet x2 generator with 3').state_dict(), 'g.pth')
    wide = build_network(SMALL['DeResnet x4 generator with 2'] | {'num_feat': 6}).state_dict()
    with pytest.raises(UserError, match=r'of another shape \(block_.*block_input.0.weight is 6x3x3x3 in the file, 4x3'):
        load_into(build('DeResnet x4 generator with 2'), wide, 'g.pth')


def test_nothing_is_loaded_when_something_differs():
    net = nn.Linear(3, 2)
    before = net.weight.clone()
    with pytest.raises(UserError, match='1 missing'):
        load_into(net, {'weight': torch.ones(2, 3)}, 'f.pth')
    assert torch.equal(net.weight, before)


def test_not_strict_loads_what_fits_and_says_what_not(caplog, monkeypatch):
    monkeypatch.setattr(get_root_logger(), 'propagate', True)
    net = nn.Linear(3, 2)
    before = net.bias.clone()
    left = load_into(net, {'weight': torch.ones(2, 3), 'bias': torch.ones(5), 'other': torch.ones(1)}, 'f.pth',
                     strict=False)
    assert left == ['other', 'bias']
    assert 'f.pth: 2 tensors do not fit Linear and were left out: other, bias' in caplog.text
    assert torch.equal(net.weight, torch.ones(2, 3)) and torch.equal(net.bias, before)
    with pytest.raises(UserError, match=r'f.pth holds 1 tensors of an unknown network \(other\), but Linear'):
        load_into(net, {'other': torch.ones(1)}, 'f.pth', strict=False)


def test_a_wrapper_is_looked_through():
    net = nn.DataParallel(nn.Linear(3, 2))
    load_into(net, {'weight': torch.ones(2, 3), 'bias': torch.zeros(2)}, 'f.pth')
    assert torch.equal(net.module.weight, torch.ones(2, 3))
