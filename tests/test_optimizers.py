"""Optimizers beside Adam: what is saved and shown of them, and that they go on exactly."""

import re

import pytest
import torch
from resume_tools import (
    STAGES,
    Kill,
    assert_same,
    assert_same_end,
    experiment,
    kill_at,
    load,
    log_lines,
    make_world,
    options,
    train,
)
from step_tools import batch, build, step, write_generators

import mssr_model
from mssr_compat.errors import UserError
from mssr_model.optimizers import averaged
from mssr_options.check import check_options
from option_tools import basicsr_sr, put, stage_1, stage_2

KINDS = {'AdamW': {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0.1},
         'AdamWScheduleFree': {'type': 'AdamWScheduleFree', 'lr': 1e-3, 'betas': [0.9, 0.99]}}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp('world'))


def of(world, stage, kind, **changes):
    opt = options(world, stage, train__ema_decay=0, train__optim_g=dict(KINDS[kind]), **changes)
    if stage == 'stage1':
        opt['train'] |= {'optim_d': dict(KINDS[kind])}
        opt['train']['optim_g']['noise_lr'] = 1e-2
    return opt


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('stage', STAGES)
def test_resumed_exactly_and_saved_without_a_trace(monkeypatch, tmp_path, world, stage, kind):
    """Killed in between, or saved and validated at other iterations: the end is the same."""
    opt = of(world, stage, kind)
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    cls = {'stage1': mssr_model.DegradationGANModel, 'stage2': mssr_model.MultiDegradationSRModel}[stage]
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, cls, 8)
        train(patched, tmp_path / 'b', opt)
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    one, other = experiment(tmp_path / 'a'), experiment(tmp_path / 'b')
    assert_same_end(one, other, 12)
    assert log_lines(one) == log_lines(other)
    assert 'was changed, but the state counts' not in '\n'.join(log.read_text() for log in other.glob('*.log'))

    opt = of(world, stage, kind, logger__save_checkpoint_freq=12, val__val_freq=5)
    assert train(monkeypatch, tmp_path / 'c', opt) == 0
    for name in ('net_g_12.pth', 'net_g_latest.pth'):
        assert_same(load(one / 'models' / name), load(experiment(tmp_path / 'c') / 'models' / name))


def test_what_is_saved_and_shown_are_the_averaged_weights(tmp_path):
    model = build('stage2', write_generators(tmp_path), optim_g=dict(KINDS['AdamWScheduleFree']), adapt_opt=None)
    model.opt['path'] |= {'models': str(tmp_path), 'training_states': str(tmp_path)}
    for iteration in range(1, 5):
        step(model, iteration, batch(iteration))
    trained = {name: p.clone() for name, p in model.net_g.named_parameters()}
    model.save(0, 4)
    model.save_best()
    saved = load(tmp_path / 'net_g_4.pth')['params']
    moved = 0
    for name, p in model.net_g.named_parameters():
        assert torch.equal(p, trained[name])
        z = model.optimizer_g.state[p].get('z', p)
        assert torch.equal(saved[name], p.lerp(z, weight=1 - 1 / 0.9))
        moved += not torch.equal(saved[name], p)
    assert moved > 10
    assert_same(load(tmp_path / 'net_g_best.pth')['params'], saved)
    with averaged(model.optimizers):
        assert_same({name: p.detach() for name, p in model.net_g.named_parameters()},
                    {name: saved[name] for name in trained})
        with averaged(model.optimizers):
            pass
        assert all(torch.equal(p, saved[name]) for name, p in model.net_g.named_parameters())
    assert model.optimizer_g.param_groups[0]['train_mode']


def test_a_start_is_kept_with_it_too(monkeypatch, tmp_path, world):
    """The rate is found for it, and the network that is left at the end is the best of the averaged ones."""
    opt = of(world, 'stage2', 'AdamWScheduleFree', train__find_rate=True, train__stay_near=0.5)
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    models = experiment(tmp_path / 'a') / 'models'
    assert_same(load(models / 'net_g_best.pth')['params'], load(models / 'net_g_12.pth')['params'])
    with monkeypatch.context() as patched:
        patched.setattr('mssr_model.start.Start.what_is_wrong', lambda self: 'x' if self.best_iter == 6 else None)
        assert train(patched, tmp_path / 'b', opt) == 0
    other = experiment(tmp_path / 'b')
    assert_same(load(other / 'models' / 'net_g_latest.pth')['params'], load(models / 'net_g_6.pth')['params'])
    log = '\n'.join(file.read_text() for file in other.glob('*.log'))
    assert re.search('Training ends after iteration 9, .*that of iteration 6', log)


def test_a_state_of_another_optimizer_is_refused(monkeypatch, capfd, tmp_path, world):
    opt = of(world, 'stage2', 'AdamW', total=3)
    assert train(monkeypatch, tmp_path, opt) == 0
    opt = of(world, 'stage2', 'AdamWScheduleFree', total=6)
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 2
    assert 'AdamWScheduleFree and another optimizer cannot go on from each other' in capfd.readouterr().err


def test_what_does_not_fit_is_said():
    for make in (stage_1, stage_2):
        for kind, optimizer in KINDS.items():
            opt = make()
            put(opt, 'train.optim_g', dict(optimizer))
            check_options(opt)
            put(opt, 'train.ema_decay', 0.9)
            if kind == 'AdamWScheduleFree':
                with pytest.raises(UserError, match='train.ema_decay: must be 0 with AdamWScheduleFree'):
                    check_options(opt)
    put(opt, 'train.optim_g.betas', [0, 0.9])
    with pytest.raises(UserError, match='betas'):
        check_options(opt)
    opt = basicsr_sr()
    put(opt, 'train.optim_g.type', 'AdamW')
    with pytest.raises(UserError, match="'AdamW' is no optimizer that this model can use"):
        check_options(opt)
