"""The models' switches: what each changes, and what it must not change."""

from functools import partial

import pytest
import torch
from basicsr.models import build_model
from step_tools import train_steps

import mssr_arch
import mssr_loss  # noqa: F401
import mssr_model  # noqa: F401
from golden_tools import image
from model_options import ADAM, TINY_DERESNET, TINY_RRDB, stage1_options, stage2_options
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.errors import UserError
from mssr_model.lr_schedule import LinearDecayLR

BATCH = {'gt': image(1, (2, 3, 32, 32)), 'lq': image(2, (2, 3, 8, 8))}
run = partial(train_steps, data=BATCH)


def generators(folder, count):
    """Checkpoints of ``count`` different tiny generators whose noise counts, as ``degradations:`` lists them."""
    options = []
    for k in range(count):
        torch.manual_seed(100 + k)
        net = mssr_arch.DeResnet(**{key: value for key, value in TINY_DERESNET.items() if key != 'type'})
        for w in net.noise_parameters():
            w.data.normal_()
        torch.save({'params': net.state_dict()}, folder / f'{k}.pth')
        options.append({**TINY_DERESNET, 'checkpoint': str(folder / f'{k}.pth')})
    return options


def stage2(folder, num_branch=2, num_generator=2, **train):
    torch.manual_seed(7)
    model = build_model(stage2_options(num_branch, generators(folder, num_generator), **train))
    for branch in model.net_g.branches:
        branch.conv_last.bias.data.fill_(0.5)  # away from the clamp, whose gradient is zero
    return model


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.net_g.parameters()])


@pytest.mark.parametrize('num_branch, num_generator', [(1, 1), (2, 2), (3, 3), (1, 2), (1, 3), (3, 1), (2, 3)])
def test_any_number_of_branches_and_generators(tmp_path, num_branch, num_generator):
    model = stage2(tmp_path, num_branch, num_generator)
    before = weights(model)
    log = run(model)[-1]
    terms = {'sup', 'collab', 'adapt'} if num_branch > 1 else {'sup', 'adapt'}
    assert set(log) - {'grad_norm_g'} == {f'l_{term}_{k}' for term in terms for k in range(1, num_branch + 1)}
    assert not torch.equal(weights(model), before)
    learned = sorted(m for sources in model.sources for m in sources)
    assert set(learned) == set(range(num_generator))  # no generator is left out


def test_branches_learn_alone_without_collaboration(tmp_path):
    """Without the two joint terms, a branch is bit-identical to one trained on its generator alone."""
    pair = stage2(tmp_path, 2, 2, collab_opt=None, adapt_opt=None)
    single = stage2(tmp_path, 1, 1, collab_opt=None, adapt_opt=None)
    lqs = pair.draw(BATCH['gt'])
    pair.draw, single.draw = lambda y: lqs, lambda y: lqs[:1]
    single.net_g.branches[0].load_state_dict(pair.net_g.branches[0].state_dict())
    run(pair), run(single)
    for a, b in zip(pair.net_g.branches[0].parameters(), single.net_g.branches[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_collaboration_changes_the_weights_only_after_its_start(tmp_path):
    with_term, without = stage2(tmp_path), stage2(tmp_path, collab_opt=None)
    run(with_term, 2), run(without, 2)  # iterations 0 and 1; collab_start_iter is 1
    assert torch.equal(weights(with_term), weights(without))
    run(with_term, 4), run(without, 4)
    assert not torch.equal(weights(with_term), weights(without))


def test_the_gated_adaptation_still_takes_its_adam_step(tmp_path):
    """Published: both steps from the first iteration; momentum moves the weights although the gradient is zero."""
    with_term, without = stage2(tmp_path), stage2(tmp_path, adapt_opt=None)
    run(with_term, 1), run(without, 1)
    assert not torch.equal(weights(with_term), weights(without))


def test_the_adaptation_ramp(tmp_path):
    """Iteration 3, the first that the gate lets through: all weights are the same, only the ramp differs."""
    ramps = [{'total_iter': 10}, {'total_iter': 30}, {'adapt_ramp': 'constant'}]
    tenth, thirtieth, constant = (run(stage2(tmp_path, collab_start_iter=2, **ramp))[3]['l_adapt_1'] for ramp in ramps)
    assert tenth == pytest.approx(3 / 10 * constant)
    assert thirtieth == pytest.approx(3 / 30 * constant)


def test_generated_lr_is_fresh(tmp_path):
    model = stage2(tmp_path)
    model.feed_data(BATCH)
    a, b = model.draw(model.gt), model.draw(model.gt)
    assert not torch.equal(a[0], b[0])  # the same photo, another draw


def test_generated_lr_in_eight_bits(tmp_path):
    model = stage2(tmp_path, lq_round=True)
    model.feed_data(BATCH)
    for lq in model.draw(model.gt):
        levels = lq * 255
        assert torch.allclose(levels, levels.round(), atol=1e-4) and lq.min() >= 0 and lq.max() <= 1


def test_generated_lr_of_less_strength(tmp_path):
    """Between bicubic LR and what the generator draws, another share for each photo, its noise as asked."""
    batch = {'gt': image(5, (6, 3, 32, 32)), 'lq': image(6, (6, 3, 8, 8))}
    bicubic = bicubic_downsample(batch['gt'], 4)

    def drawn(strength, noise=None):
        model = stage2(tmp_path, 1, 1, collab_opt=None, lq_strength=strength, lq_noise=noise)
        model.feed_data(batch)
        torch.manual_seed(3)
        return model.draw(model.gt)[0]

    whole = drawn(None)
    assert torch.equal(drawn([0, 0]), bicubic)
    assert 0 < (drawn([0, 0], [1, 1]) - bicubic).std() < (whole - bicubic).std()
    assert torch.allclose(drawn([1, 1]), whole, atol=1e-6)
    ours, theirs = drawn([0.25, 0.75]) - bicubic, whole - bicubic
    share = (ours * theirs).sum((1, 2, 3)) / theirs.square().sum((1, 2, 3))
    assert torch.allclose(ours, share[:, None, None, None] * theirs, atol=1e-6)
    assert share.min() >= 0.25 and share.max() <= 0.75 and len({round(x, 4) for x in share.tolist()}) == 6


def test_generators_stay_frozen(tmp_path):
    model = stage2(tmp_path)
    before = [p.clone() for G in model.degradations for p in G.parameters()]
    run(model)
    after = [p for G in model.degradations for p in G.parameters()]
    assert all(torch.equal(a, b) and not b.requires_grad for a, b in zip(before, after, strict=True))


def test_averaged_weights_follow_both_stages(tmp_path):
    for model in (stage2(tmp_path, ema_decay=0.5), build_model(stage1_options(ema_decay=0.5))):
        start = [p.clone() for p in model.net_g_ema.parameters()]
        run(model, 1)
        for old, ema, new in zip(start, model.net_g_ema.parameters(), model.net_g.parameters(), strict=True):
            assert torch.allclose(ema, (old + new) / 2, atol=1e-6)


def test_one_sr_file_starts_every_branch(tmp_path):
    torch.manual_seed(3)
    single = build_model(stage2_options(1, generators(tmp_path, 1))).net_g.branches[0].state_dict()
    torch.save({'params': single}, tmp_path / 'sr.pth')
    options = stage2_options(2, generators(tmp_path, 2))
    options['path']['pretrain_network_g'] = str(tmp_path / 'sr.pth')
    for branch in build_model(options).net_g.branches:
        assert all(torch.equal(value, single[name]) for name, value in branch.state_dict().items())


def test_a_branch_has_a_start_of_its_own_and_testing_takes_it_too(tmp_path):
    torch.manual_seed(4)
    state = build_model(stage2_options(1, generators(tmp_path, 1))).net_g.branches[0].state_dict()
    torch.save({'params': state}, tmp_path / 'g1.ckpt')  # the published stage-2 file
    options = stage2_options(2, generators(tmp_path, 2))
    options['network_g']['branches'][1] = {**TINY_RRDB, 'checkpoint': str(tmp_path / 'g1.ckpt')}
    torch.manual_seed(5)
    for is_train in (True, False):
        first, second = build_model({**options, 'is_train': is_train}).net_g.branches
        assert all(torch.equal(value, state[name]) for name, value in second.state_dict().items())
        assert not all(torch.equal(value, state[name]) for name, value in first.state_dict().items())


def test_saved_files_name_no_place_of_this_machine(tmp_path):
    options = stage2_options(2, generators(tmp_path, 2))
    torch.save({'params': build_model(options).net_g.branches[0].state_dict()}, tmp_path / 'sr.pth')
    options['network_g']['branches'][1] = {**TINY_RRDB, 'checkpoint': str(tmp_path / 'sr.pth')}
    options['path'] |= {'models': str(tmp_path / 'models'), 'training_states': str(tmp_path / 'states')}
    (tmp_path / 'models').mkdir(), (tmp_path / 'states').mkdir()
    build_model(options).save(0, 1)
    for file in ('models/net_g_1.pth', 'states/1.state'):
        assert str(tmp_path).encode() not in (tmp_path / file).read_bytes()
    assert torch.load(tmp_path / 'models' / 'net_g_1.pth')['network']['branches'] == [TINY_RRDB] * 2


def test_a_published_stage1_file_is_a_degradation(tmp_path):
    net = mssr_arch.DegradationHAN(num_feat=16, num_group=1, num_block=1)
    wrapped = {f'model.{name}': value for name, value in net.state_dict().items()}
    torch.save({'epoch': 3, 'model_g_state_dict': wrapped}, tmp_path / 'han.tar')
    han = {'type': 'DegradationHAN', 'num_feat': 16, 'num_group': 1, 'num_block': 1}
    model = build_model(stage2_options(1, [{**han, 'checkpoint': str(tmp_path / 'han.tar')}]))
    state = model.degradations[0].net.state_dict()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())


@pytest.mark.parametrize('absent', [{}, {'checkpoint': None}])
def test_a_degradation_without_weights_needs_no_checkpoint(tmp_path, absent):
    model = build_model(stage2_options(2, [{'type': 'BicubicDegradation', 'scale': 4, **absent}], lq_round=False))
    model.feed_data(BATCH)
    (lq,) = model.draw(model.gt)
    assert torch.equal(lq, bicubic_downsample(BATCH['gt'], 4))
    assert run(model, 1)[0]['l_sup_1'] > 0
    with pytest.raises(UserError, match=r'degradations\[1\].checkpoint is missing'):
        build_model(stage2_options(2, [*generators(tmp_path, 1), {**TINY_DERESNET, **absent}]))


def test_stage2_degrades_with_the_averaged_weights_that_were_validated(tmp_path):
    (entry,) = generators(tmp_path, 1)
    plain = torch.load(entry['checkpoint'])['params']
    averaged = {name: value + 1 for name, value in plain.items()}
    models = tmp_path / 'experiments' / 'g1' / 'models'
    models.mkdir(parents=True)
    torch.save({'params': plain, 'params_ema': averaged}, models / 'net_g_best.pth')
    model = build_model(stage2_options(1, [{**entry, 'checkpoint': str(models.parent / 'best')}]))
    state = model.degradations[0].net.state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in state.items())


def test_a_checkpoint_of_another_network_is_named(tmp_path):
    torch.save({'params': torch.nn.Conv2d(3, 8, 3).state_dict()}, tmp_path / 'other.pth')
    with pytest.raises(UserError, match=r'degradations\[0\].checkpoint.*other.pth'):
        build_model(stage2_options(1, [{**TINY_DERESNET, 'checkpoint': str(tmp_path / 'other.pth')}]))


def test_features_need_a_known_trunk(tmp_path):
    options = stage2_options(2, generators(tmp_path, 2), feature_opt={'type': 'L1Loss', 'loss_weight': 0.1})
    options['network_g']['branches'] = [{'type': 'SRVGGNetCompact', 'num_feat': 8, 'num_conv': 1}] * 2
    model = build_model(options)
    model.feed_data(BATCH)
    with pytest.raises(UserError, match='SRVGGNetCompact'):
        model.optimize_parameters(1)


@pytest.mark.parametrize('branch', [
    {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1},
    {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 16, 'num_group': 1, 'num_block': 1},
    {'type': 'SwinIR', 'upscale': 4, 'img_size': 8, 'window_size': 4, 'embed_dim': 12, 'depths': [1], 'num_heads': [2],
     'upsampler': 'pixelshuffledirect'},
    {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1},
])
def test_other_sr_networks_learn(tmp_path, branch):
    options = stage2_options(2, generators(tmp_path, 2))
    options['network_g']['branches'] = [branch, TINY_RRDB]
    model = build_model(options)
    before = weights(model)
    run(model, 2)
    assert torch.isfinite(weights(model)).all() and not torch.equal(weights(model), before)
    model.feed_data({'lq': image(5, (1, 3, 9, 7))})  # no ground truth, and an odd size
    model.test()
    assert model.output.shape == (1, 3, 36, 28) and not hasattr(model, 'gt')


def test_noise_weights_have_a_rate_of_their_own():
    model = build_model(stage1_options(optim_g={**ADAM, 'lr': 0.0, 'noise_lr': 1e-3}))
    before = {name: p.clone() for name, p in model.net_g.named_parameters()}
    run(model, 1)
    for name, p in model.net_g.named_parameters():
        assert torch.equal(p, before[name]) != name.startswith('noises.'), name


def test_steps_of_d_and_g_happen_as_often_as_asked():
    model = build_model(stage1_options(disc_freq=2, gen_freq=3))
    logs = run(model, 4)  # iterations 0 to 3
    assert ['l_d' in log for log in logs] == [True, False, True, False]
    assert ['l_g_gan' in log for log in logs] == [True, False, False, True]


def test_content_may_be_judged_on_the_mean_of_a_pair_of_draws():
    y_down = bicubic_downsample(BATCH['gt'], 4)
    for wanted in (False, True):
        model = build_model(stage1_options(content_antithetic=wanted))
        for w in model.net_g.noise_parameters():
            torch.nn.init.constant_(w, 5.0)
        z = model.degradation.draw_noise(BATCH['gt'])
        model.degradation.draw_noise = lambda *_, z=z: z
        with torch.no_grad():
            one, other = (model.degradation.degrade(BATCH['gt'], [sign * n for n in z]) for sign in (1, -1))
        expected = model.cri_color((one + other) / 2 if wanted else one, y_down).item()
        assert run(model, 1)[0]['l_g_color'] == pytest.approx(expected, rel=1e-5)
        assert model.cri_color(one, y_down).item() != pytest.approx(model.cri_color((one + other) / 2, y_down).item())


def test_generated_lr_is_compared_with_the_real_crops_as_files_hold_it():
    model = build_model(stage1_options(spectrum_opt={'type': 'SpectrumLoss', 'loss_weight': 3.0, 'bands': 3}))
    model.degradation.as_file = lambda x: x / 2
    z = model.degradation.draw_noise(BATCH['gt'])
    model.degradation.draw_noise = lambda *_, z=z: z
    with torch.no_grad():
        expected = model.cri_spectrum(model.degradation.degrade(BATCH['gt'], z) / 2, BATCH['lq']).item()
    assert run(model, 1)[0]['l_g_spectrum'] == pytest.approx(expected, rel=1e-5)
    assert 'l_g_spectrum' not in run(build_model(stage1_options()), 1)[0]


def test_the_deterministic_ablation_has_no_noise_to_learn():
    options = stage1_options()
    options['network_g'] = {**TINY_DERESNET, 'noise_std': 0}
    model = build_model(options)
    run(model, 1)
    assert len(model.optimizer_g.param_groups) == 1
    y = BATCH['gt']
    assert torch.equal(model.net_g(y), model.net_g(y))


@pytest.mark.parametrize('net', [{'type': 'DSGAN', 'num_feat': 8, 'num_block': 1}, {**TINY_DERESNET, 'scale': 1}])
def test_a_generator_that_does_not_downsample_reads_the_bicubic_lr(net):
    options = stage1_options()
    options['network_g'] = net
    model = build_model(options)
    run(model, 1)
    model.feed_data(BATCH)
    model.test()
    assert model.output.shape == (2, 3, 8, 8)


@pytest.mark.parametrize('interval', [1, 5])
def test_linear_decay(interval):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = LinearDecayLR(optimizer, decay_start=10, total_iter=20, interval=interval)
    rates = []
    for _ in range(25):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    expected = [2.0 * min(1.0, max(0.0, (20 - i // interval * interval) / 10)) for i in range(25)]
    assert rates == pytest.approx(expected)
    with pytest.raises(ValueError, match='decay_start 20'):
        LinearDecayLR(optimizer, decay_start=20, total_iter=20)
