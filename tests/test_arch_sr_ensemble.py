"""The ensemble: any SR networks as branches, their mean, all of them, their trunk features, errors."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from basicsr.archs import build_network
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.utils.registry import ARCH_REGISTRY

from mssr_arch import SREnsemble
from mssr_compat.errors import UserError

RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4}
EDSR = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'upscale': 4, 'img_range': 1.0}
RCAN = {**EDSR, 'type': 'RCAN', 'num_group': 1, 'squeeze_factor': 4}
RESNET = {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': 4}
SWINIR = {
    'type': 'SwinIR',
    'upscale': 4,
    'img_size': 8,
    'window_size': 4,
    'depths': [1],
    'embed_dim': 8,
    'num_heads': [2],
    'mlp_ratio': 2,
    'upsampler': 'pixelshuffle',
}
COMPACT = {'type': 'SRVGGNetCompact', 'num_feat': 8, 'num_conv': 1}
BRANCHES = {options['type']: options for options in (RRDB, EDSR, RCAN, RESNET, SWINIR, COMPACT)}


@pytest.mark.parametrize('count', [1, 2, 3])
def test_mean_of_clamped_branches(count):
    network = build_network({'type': 'SREnsemble', 'branches': [RRDB] * count})
    lq = torch.rand(2, 3, 6, 5) * 3 - 1  # far enough from [0, 1] for clamping to matter
    for k, branch in enumerate(network.branches):
        torch.nn.init.constant_(branch.conv_last.bias, 0.4 * k)
    each = torch.stack([branch(lq).clamp(0, 1) for branch in network.branches])
    assert torch.equal(network(lq, all_branches=True), each)
    assert torch.allclose(network(lq), each.mean(0), atol=1e-7)
    assert network.branch_names == [f'S{k + 1}_RRDBNet' for k in range(count)]
    assert {name.split('.')[1] for name in network.state_dict()} == {str(k) for k in range(count)}


@pytest.mark.parametrize('kind', BRANCHES)
@torch.no_grad()
def test_any_registered_network_and_any_size(kind):
    network = SREnsemble([BRANCHES[kind], RRDB]).eval()
    for height, width in ((8, 8), (7, 10), (1, 1), (3, 17)):
        lq = torch.rand(1, 3, height, width)
        output = network(lq)
        assert output.shape == (1, 3, 4 * height, 4 * width)
        assert output.min() >= 0 and output.max() <= 1
    assert torch.equal(network.upscale(0, lq)[0], network(lq, all_branches=True)[0])


@pytest.mark.parametrize('scale', [1, 2])
@torch.no_grad()
def test_pixel_unshuffling_takes_odd_sizes(scale):
    network = SREnsemble([{**RRDB, 'scale': scale}])
    assert network(torch.rand(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(network(x), network.branches[0](x).clamp(0, 1))


def trunk_by_hand(branch, lq):
    """What the published code distils: RRDBNet's feature before upsampling."""
    first = branch.conv_first(lq)
    return first + branch.conv_body(branch.body(first))


def upsampled_by_hand(branch, feature):
    feature = F.leaky_relu(branch.conv_up1(F.interpolate(feature, scale_factor=2)), 0.2)
    feature = F.leaky_relu(branch.conv_up2(F.interpolate(feature, scale_factor=2)), 0.2)
    return branch.conv_last(F.leaky_relu(branch.conv_hr(feature), 0.2))


def test_trunk_features_of_rrdbnet():
    network, lq = SREnsemble([RRDB, RRDB]), torch.rand(2, 3, 6, 5)
    outputs, features = network(lq, all_branches=True, return_features=True)
    assert torch.equal(outputs, network(lq, all_branches=True))
    for branch, output, feature in zip(network.branches, outputs, features, strict=True):
        assert torch.allclose(feature, trunk_by_hand(branch, lq), atol=1e-6)
        assert torch.allclose(output, upsampled_by_hand(branch, feature).clamp(0, 1), atol=1e-6)
    F.l1_loss(features[0], features[1].detach()).backward()
    assert network.branches[0].conv_body.weight.grad.abs().sum() > 0
    assert network.branches[0].conv_up1.weight.grad is None and network.branches[1].conv_body.weight.grad is None


@pytest.mark.parametrize(
    ('options', 'consumer'),
    [(EDSR, 'upsample'), (RCAN, 'upsample'), (RESNET, 'upconv1'), (SWINIR, 'conv_before_upsample')],
)
def test_trunk_feature_is_what_the_upsampling_takes(options, consumer):
    network, lq = SREnsemble([options]).eval(), torch.rand(1, 3, 8, 8)
    taken = []
    network.branches[0].get_submodule(consumer).register_forward_pre_hook(
        lambda module, inputs: taken.append(inputs[0].clone())
    )
    _, (feature,) = network(lq, return_features=True)
    assert torch.allclose(feature, taken[0], atol=1e-6)
    feature.sum().backward()
    assert network.branches[0].conv_first.weight.grad.abs().sum() > 0


def test_asking_for_features_leaves_no_hook_behind():
    network, lq = SREnsemble([RRDB]), torch.rand(1, 3, 4, 4)
    network(lq, return_features=True)
    with pytest.raises(RuntimeError):
        network(torch.rand(1, 4, 4, 4), return_features=True)
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(deepcopy(network)(lq), network(lq))


def test_a_batch_for_each_branch():
    network = SREnsemble([RRDB, RESNET])
    batches = [torch.rand(1, 3, 4, 4), torch.rand(3, 3, 6, 5)]
    outputs, features = network(batches, all_branches=True, return_features=True)
    for k, batch in enumerate(batches):
        assert torch.equal(outputs[k], network(batch, all_branches=True)[k])
        assert len(features[k]) == len(batch)
    with pytest.raises(UserError, match='1 batches are given'):
        network(batches[:1], all_branches=True)
    with pytest.raises(UserError, match='all_branches'):
        network(batches)


def test_outputs_keep_the_input_type_under_autocast():
    network, lq = SREnsemble([RRDB, EDSR]), torch.rand(1, 3, 8, 8)
    expected = network(lq)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output, every = network(lq), network(lq, all_branches=True)
    assert output.dtype == every.dtype == torch.float32
    assert torch.allclose(output, expected, atol=0.02)


def test_options_are_not_changed_and_checkpoint_is_left_aside():
    options = [{**RRDB, 'checkpoint': 'nowhere.pth'}]
    before = deepcopy(options)
    assert isinstance(SREnsemble(options).branches[0], RRDBNet)
    assert options == before


def test_branches_start_differently():
    first, second = SREnsemble([RRDB, RRDB]).branches
    assert not torch.equal(first.conv_first.weight, second.conv_first.weight)


@pytest.mark.parametrize(
    ('branches', 'words'),
    [
        (None, ['network_g.branches is null', 'list']),
        ([], ['network_g.branches is []']),
        (RRDB, ['network_g.branches', 'list']),
        ([RRDB, 'RRDBNet'], ['network_g.branches[1]', '"type"']),
        ([{'num_feat': 8}], ['network_g.branches[0]', '"type"']),
        ([RRDB, {**RRDB, 'type': 'RRDBnet'}], ['network_g.branches[1].type is RRDBnet', 'RRDBNet']),
        ([{'type': 'Swin'}], ['branches[0].type is Swin', 'SwinIR']),
        ([{'type': 'qqqqqq'}], ['branches[0].type is qqqqqq', 'there are', 'RRDBNet']),
        ([{**RRDB, 'num_feats': 8}], ['network_g.branches[0] (RRDBNet)', 'no keyword num_feats', 'num_feat']),
        ([{'type': 'RRDBNet', 'num_in_ch': 3}], ['network_g.branches[0] (RRDBNet) lacks num_out_ch']),
        ([{**RRDB, 'num_feat': 'many'}], ['network_g.branches[0] (RRDBNet) cannot be built']),
        ([{**EDSR, 'upscale': 5}], ['network_g.branches[0] (EDSR) cannot be built', '5']),
        ([{'type': 'DeResnet'}], ['network_g.branches[0].type is DeResnet', 'degradation network']),
    ],
)
def test_bad_branches_are_named(branches, words):
    with pytest.raises(UserError) as error:
        SREnsemble(branches)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_bad_outputs_are_named():
    lq = torch.rand(1, 3, 32, 32)
    with pytest.raises(UserError, match=r'branches\[1\] does not enlarge as branches\[0\]'):
        SREnsemble([RRDB, {**RRDB, 'scale': 2}])(lq)
    not_sr = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 4, 'input_size': 128}
    with pytest.raises(UserError, match=r'branches\[0\] \(VGGStyleDiscriminator\).*must enlarge'):
        SREnsemble([not_sr])(torch.rand(1, 3, 128, 128))
    with pytest.raises(UserError, match=r'branches\[1\] is SRVGGNetCompact.*RRDBNet, EDSR'):
        SREnsemble([RRDB, COMPACT])(lq, return_features=True)


@pytest.mark.parametrize('options', [{**RRDB, 'num_block': 2}, EDSR, {**RCAN, 'num_group': 2}, RESNET],
                         ids=lambda options: options['type'])
def test_checkpointing_keeps_less_and_changes_nothing(options):
    torch.manual_seed(0)
    plain = SREnsemble([options, RRDB])
    checkpointed = SREnsemble([options, RRDB], use_checkpoint=True)
    checkpointed.load_state_dict(plain.state_dict())
    assert list(checkpointed.state_dict()) == list(plain.state_dict())
    lq, results, kept = torch.rand(2, 3, 6, 5), [], []
    for network in (plain, checkpointed, deepcopy(checkpointed)):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            outputs, features = network([lq, lq[:1]], all_branches=True, return_features=True)
        sum(y.square().mean() for y in [*outputs, *features]).backward()
        results.append([*outputs, *features, *(p.grad for p in network.parameters())])
        kept.append(sum(sizes))
        with torch.no_grad():
            assert torch.equal(network(lq), plain(lq))
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(*results, strict=True))
    assert kept[1] == kept[2] < kept[0]


def test_checkpointing_draws_the_same_random_numbers():
    """Blocks with dropout: the second pass drops what the first did, and what is drawn later does not notice."""
    results = []
    for use_checkpoint in (False, True):
        torch.manual_seed(1)
        network = SREnsemble([{**RRDB, 'num_block': 2}], use_checkpoint=use_checkpoint)
        for block in network.branches[0].body:
            block.register_forward_hook(lambda module, args, output: F.dropout(output, 0.5))
        network(torch.rand(2, 3, 6, 5)).square().mean().backward()
        results.append([*(p.grad for p in network.parameters()), torch.rand(3)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_checkpointing_needs_a_body_of_blocks():
    for options in (SWINIR, COMPACT):
        with pytest.raises(UserError, match=rf'use_checkpoint is true, but network_g.branches\[1\] .{options["type"]}'):
            SREnsemble([RRDB, options], use_checkpoint=True)
    with pytest.raises(UserError, match='use_checkpoint is yes, but must be one of false, true'):
        SREnsemble([RRDB], use_checkpoint='yes')


def test_networks_of_the_users_own():
    """A registered network with free keywords is passed whatever the options hold."""

    @ARCH_REGISTRY.register()
    class NearestForTest(torch.nn.Module):
        def __init__(self, **keywords):
            super().__init__()
            self.factor = keywords['factor']

        def forward(self, x):
            return F.interpolate(x, scale_factor=self.factor)

    try:
        lq = torch.rand(1, 3, 4, 4)
        assert torch.equal(SREnsemble([{'type': 'NearestForTest', 'factor': 2}])(lq), F.interpolate(lq, scale_factor=2))
    finally:
        ARCH_REGISTRY._obj_map.pop('NearestForTest')
