"""Perceptual and adversarial terms of stage 2: what they add; resumed, divided and refused as all others."""

from copy import deepcopy
from functools import partial

import pytest
import torch
from basicsr.models import build_model
from resume_tools import Kill, assert_same_end, experiment, kill_at, load, log_lines, make_world, options, train
from step_tools import train_steps, write_generators

import mssr_model
from backbone_tools import write_backbone
from golden_tools import image
from model_options import ADAM, TINY_RRDB, stage2_options
from mssr_compat.errors import UserError
from mssr_options.check import check_options
from option_tools import put, stage_2

L1 = {'type': 'L1Loss', 'loss_weight': 1.0}
GAN = {'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1}, 'optim_d': ADAM}
UNET = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
WAVELET = {'type': 'WaveletDiscriminator', 'net': 'patch_s1', 'num_feat': 4}
BATCH = {'gt': image(1, (2, 3, 32, 32)), 'lq': image(2, (2, 3, 8, 8))}
run = partial(train_steps, data=BATCH)
MODELS = ('MultiDegradationSRModel', 'LearnedDegradationSRModel')


@pytest.fixture
def lpips(tmp_path, monkeypatch):
    """Options of LPIPS on a backbone of random weights."""
    write_backbone(tmp_path)
    monkeypatch.setenv('MSSR_WEIGHTS', str(tmp_path))
    return {'perceptual_opt': {'type': 'LPIPSLoss', 'net': 'alex', 'loss_weight': 0.5}}


def build(folder, kind='MultiDegradationSRModel', network_d=None, num_branch=2, **train_options):
    torch.manual_seed(7)
    opt = stage2_options(num_branch, write_generators(folder), **train_options)
    if kind == 'LearnedDegradationSRModel':
        opt |= {'model_type': kind, 'network_g': deepcopy(TINY_RRDB)}
    if network_d:
        opt['network_d'] = dict(network_d)
    model = build_model(opt)
    for branch in getattr(model.net_g, 'branches', ()):
        branch.conv_last.bias.data.fill_(0.5)  # away from the clamp, whose gradient is zero
    return model


def state(net):
    return deepcopy(net.state_dict())


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


@pytest.mark.parametrize('network_d', [UNET, WAVELET])
@pytest.mark.parametrize('kind', MODELS)
def test_both_terms_are_learned_from_and_told(tmp_path, lpips, kind, network_d):
    model = build(tmp_path, kind, network_d, **GAN, **lpips)
    before = state(model.net_d), state(model.net_g)
    log = run(model, 2)[-1]
    numbers = ('_1', '_2') if kind == 'MultiDegradationSRModel' else ('',)
    for term in ('l_percep', 'l_gan'):
        assert all(log[f'{term}{number}'] > 0 for number in numbers)
    assert {'l_d_real', 'l_d_fake', 'out_d_real', 'out_d_fake', 'grad_norm_g', 'grad_norm_d'} <= set(log)
    assert not same(before[0], state(model.net_d)) and not same(before[1], state(model.net_g))
    assert all(p.requires_grad for p in model.net_d.parameters())


def test_lpips_of_vgg_and_a_pair_of_terms(tmp_path, monkeypatch):
    """LPIPS on VGG16, and what BasicSR's PerceptualLoss gives: perceptual and style loss, of which one may be off."""
    write_backbone(tmp_path, 'vgg')
    monkeypatch.setenv('MSSR_WEIGHTS', str(tmp_path))
    model = build(tmp_path, perceptual_opt={'type': 'LPIPSLoss', 'net': 'vgg', 'loss_weight': 0.5}, collab_opt=None)
    assert run(model, 1)[0]['l_percep_2'] > 0
    for kind in MODELS:
        model = build(tmp_path, kind)
        model.cri_perceptual = lambda S, y: ((S - y).abs().mean(), (S - y).square().mean())
        log = run(model, 1)[0]
        assert {name.rstrip('_12') for name in log} >= {'l_percep', 'l_style'}
        model.cri_perceptual = lambda S, y: (None, (S - y).square().mean())
        assert 'l_percep' not in {name.rstrip('_12') for name in run(model, 1)[0]}


def test_for_one_branch_alone(tmp_path, lpips):
    """The other branch, without collaboration, learns bit for bit what it learns without these terms."""
    alone = {'collab_opt': None, 'adapt_opt': None}
    plain, model = build(tmp_path, **alone), build(tmp_path, network_d=UNET, perceptual_branches=[2], **GAN, **lpips,
                                                   **alone)
    model.net_g.load_state_dict(plain.net_g.state_dict())
    log, _ = run(model, 2)[-1], run(plain, 2)
    assert 'l_gan_2' in log and 'l_percep_2' in log and not {'l_gan_1', 'l_percep_1'} & set(log)
    assert same(state(plain.net_g.branches[0]), state(model.net_g.branches[0]))
    assert not same(state(plain.net_g.branches[1]), state(model.net_g.branches[1]))


def test_d_is_stepped_first_and_sees_what_it_is_told(tmp_path):
    """Branch k's outputs for its own generators; S is judged by the new D."""
    model = build(tmp_path, network_d=UNET, collab_opt=None, **GAN)
    order, fakes = [], []
    loss_of_d, judge = model.loss_of_d, model.judge
    model.loss_of_d = lambda restored, y: order.append('D') or fakes.extend(restored) or loss_of_d(restored, y)
    model.judge = lambda S: order.append('S') or judge(S)
    run(model, 1)
    assert order == ['D', 'S', 'S'] and len(fakes) == 2
    for fake, outputs in zip(fakes, model.restored, strict=True):
        assert torch.equal(fake.detach(), outputs[0])


@pytest.mark.parametrize('kind', MODELS)
def test_s_is_stepped_as_often_as_asked(tmp_path, kind):
    model = build(tmp_path, kind, UNET, net_d_init_iters=2, net_d_iters=2, **GAN)
    before, term = state(model.net_g), 'l_gan_1' if 'Multi' in kind else 'l_gan'
    logs = run(model, 2)
    assert same(before, state(model.net_g))
    logs += run(model, 6)
    assert [term in log for log in logs] == [False, False, False, False, False, True, False, True]
    assert all('l_d_real' in log for log in logs)


@pytest.mark.parametrize('kind', MODELS)
def test_in_parts_the_gradients_are_those_of_the_whole_batch(tmp_path, monkeypatch, lpips, kind):
    gradients = []
    for accumulate in (1, 2):
        model = build(tmp_path, kind, WAVELET, accumulate=accumulate, lq_noise=[0, 0], **GAN, **lpips)
        kept = []

        def passes(losses, norms, *_, kept=kept):
            kept.append([p.grad.clone() for p, _ in norms])
            return False

        model.steps.guard.passes = passes
        run(model, 1)
        gradients.append(kept)
    for whole, parts in zip(*gradients, strict=True):
        limit = 1e-5 * max(g.abs().max() for g in whole)
        assert limit > 0
        for a, b in zip(whole, parts, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=limit)


def test_a_step_of_d_that_is_not_finite_is_refused_and_so_is_that_of_s(tmp_path):
    model = build(tmp_path, network_d=UNET, ema_decay=0.9, **GAN)
    run(model, 1)
    before = [state(net) for net in (model.net_g, model.net_g_ema)]
    weights_d = [p.clone() for p in model.net_d.parameters()]
    loss_of_d = model.loss_of_d

    def spoiled(restored, y):
        loss, losses = loss_of_d(restored, y)
        return loss * float('nan'), {**losses, 'l_d_real': loss * float('nan')}

    model.loss_of_d = spoiled
    run(model, 1)
    assert model.steps.guard.refused
    assert all(same(*pair) for pair in zip(before, (state(net) for net in (model.net_g, model.net_g_ema)), strict=True))
    assert all(torch.equal(*pair) for pair in zip(weights_d, model.net_d.parameters(), strict=True))


@pytest.mark.parametrize('kind', MODELS)
def test_resumed_exactly(monkeypatch, tmp_path, lpips, kind):
    """D, its optimizer and its spectral norms, too."""
    (tmp_path / 'world').mkdir()
    world = make_world(tmp_path / 'world')
    opt = options(world, 'stage2', model_type=kind, train__ema_decay=0.9, network_d=UNET)
    if kind == 'LearnedDegradationSRModel':
        opt['network_g'] = TINY_RRDB
        keep = ('optim_g', 'total_iter', 'ema_decay', 'pixel_opt', 'scheduler')
        opt['train'] = {key: opt['train'][key] for key in keep}
    opt['train'] |= {**GAN, **lpips, 'net_d_init_iters': 1}
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, getattr(mssr_model, kind), 8)
        train(patched, tmp_path / 'b', opt)
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    one, other = experiment(tmp_path / 'a'), experiment(tmp_path / 'b')
    assert_same_end(one, other, 12)
    assert log_lines(one) == log_lines(other)
    assert sorted(load(one / 'training_states' / '12.state')['files']) == ['net_d_12.pth', 'net_g_12.pth']
    assert (one / 'models' / 'net_d_latest.pth').is_file()


@pytest.mark.parametrize(('changes', 'words'), [
    ({'train.gan_opt': GAN['gan_opt']}, 'needs network_d, the discriminator'),
    ({'network_d': UNET}, 'network_d: needs train.gan_opt, the adversarial loss'),
    ({'network_d': UNET, 'train.gan_opt': GAN['gan_opt']}, "needs train.optim_d, the discriminator's optimizer"),
    ({'train.perceptual_branches': [3]}, 'there is no branch 3: network_g.branches lists 2'),
    ({'train.perceptual_opt': {'type': 'LPIPSLoss'}, 'datasets.train.gt_size': 28}, 'LPIPSLoss needs HR crops of 31'),
    ({'val.select_bound': 1.0}, 'needs train.stay_near'),
])
def test_what_does_not_go_together_is_said(changes, words):
    opt = stage_2()
    check_options(opt)
    for path, value in changes.items():
        put(opt, path, deepcopy(value))
    with pytest.raises(UserError, match=words):
        check_options(opt)


def test_all_together_is_right():
    opt = stage_2()
    put(opt, 'network_d', dict(UNET))
    opt['train'] |= {**deepcopy(GAN), 'perceptual_opt': {'type': 'LPIPSLoss', 'net': 'vgg'}, 'perceptual_branches': [2],
                     'find_rate': True, 'stay_near': 0.02, 'net_d_init_iters': 100}
    opt['val'] |= {'select': 'psnr', 'select_bound': 0.3}
    check_options(opt)
