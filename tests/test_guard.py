"""Losses and gradients that are not finite, and batches that come in parts."""

import copy

import pytest
import torch
from basicsr.models.base_model import BaseModel
from resume_tools import assert_same, experiment, load, make_world, options, train
from step_tools import batch, build, step, what_moves, write_generators

import mssr_model
from mssr_model.guard import Guard, NonFiniteError


@pytest.fixture(scope='module')
def generators(tmp_path_factory):
    return write_generators(tmp_path_factory.mktemp('generators'))


# --- parts ----------------------------------------------------------------------------------------------------------


def gradients(model, iteration, data):
    """Those of each step of an iteration, all at the same weights."""
    found = []

    def passes(losses, gradients, *_):
        found.append([p.grad.clone() for p, _ in gradients])
        return False

    model.steps.guard.passes = passes
    step(model, iteration, data)
    return found


@pytest.mark.parametrize('stage', ['stage1', 'stage2'])
@pytest.mark.parametrize('parts, n', [(2, 4), (4, 4), (2, 3), (8, 3)])
def test_parts_of_a_batch_are_the_batch(generators, stage, parts, n):
    """Gradients agree within 1e-5 of the network's largest, in fp32, noise included; parts of unequal size too.

    Squared losses, because the slope of an absolute value turns round where rounding crosses zero.
    """
    squared = dict.fromkeys(('pixel_opt', 'collab_opt', 'adapt_opt'), {'type': 'MSELoss'}) if stage == 'stage2' else {}
    whole, split = build(stage, generators, **squared), build(stage, generators, accumulate=parts, **squared)
    found = []
    for model in (whole, split):
        torch.manual_seed(5)
        found.append(gradients(model, 3, batch(3, n)))
    assert len(found[0]) == len(found[1]) == 2  # D and G, or learning and adaptation
    for one, other in zip(*found, strict=True):
        limit = 1e-5 * max(gradient.abs().max().item() for gradient in one)
        assert limit > 0
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(b, a, rtol=0, atol=limit)
    assert whole.get_current_log() == pytest.approx(split.get_current_log(), rel=1e-5)


# --- the guard ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('stage, attribute, term', [
    ('stage1', 'cri_color', 'l_g_color'), ('stage1', 'cri_gan', 'l_d'), ('stage2', 'cri_pix', 'l_sup_1'),
    ('stage2', 'cri_collab', 'l_collab_1'), ('stage2', 'cri_adapt', 'l_adapt_1')])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_step_that_is_not_finite_is_skipped(caplog, monkeypatch, generators, stage, attribute, term, value):
    """What comes before it in the iteration is done; nothing after it, the averaged weights included."""
    model = build(stage, generators, ema_decay=0.9)
    step(model, 1, batch(1))
    step(model, 2, batch(2))
    criterion = getattr(model, attribute)
    monkeypatch.setattr(criterion, 'forward', lambda *args, _forward=criterion.forward, **kw: value * _forward(
        *args, **kw))
    warnings = []
    monkeypatch.setattr('mssr_model.guard.get_root_logger', lambda: type('L', (), {'warning': warnings.append}))
    before = what_moves(model)
    step(model, 3, batch(3))
    after = what_moves(model)
    if attribute == 'cri_color':  # D's turn comes first
        assert not all(torch.equal(a, b) for a, b in zip(
            before[0]['net_d'].values(), after[0]['net_d'].values(), strict=True))
        for part in (before, after):
            del part[0]['net_d'], part[1][1]
    if attribute == 'cri_adapt':
        del before[0]['net_g'], after[0]['net_g'], before[1], after[1]
        assert_same(before[0], after[0])  # the averaged weights wait for a whole iteration
    else:
        assert_same(before, after)
    assert len(warnings) == 1
    for word in ('Iteration 3', term, 'gt3-0.png', 'lq3-3.png', 'skipped'):
        assert word in warnings[0]


def test_a_gradient_alone(monkeypatch, generators):
    """sqrt has an infinite slope at 0, where its value is finite; the weight is named."""
    model = build('stage2', generators, on_nan='stop')
    monkeypatch.setattr(model.cri_pix, 'forward', lambda a, b: ((a - a.detach()) ** 2).sum().sqrt())
    before = what_moves(model)
    with pytest.raises(NonFiniteError, match=r'Iteration 1: the gradient of net_g\.branches\.0\.\S+ is not finite'):
        step(model, 1, batch(1))
    assert_same(before, what_moves(model))


def test_ten_in_a_row_stop_and_a_good_one_between_starts_the_count_anew(generators):
    model = build('stage2', generators)
    bad = batch(1)
    bad['gt'][0, 0, 0, 0] = float('nan')
    for iteration in range(1, 10):
        step(model, iteration, bad)
    step(model, 10, batch(2))
    for iteration in range(11, 20):
        step(model, iteration, bad)
    with pytest.raises(NonFiniteError, match='10th time in a row'):
        step(model, 20, bad)


def test_guard_of_nothing_passes():
    assert Guard().passes({}, [], {}, 1, [])


# --- norms of gradients ---------------------------------------------------------------------------------------------


def whole_norm(optimizer):
    weights = [p for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
    return float(torch.cat([p.grad.double().flatten() for p in weights]).norm())


@pytest.mark.parametrize('stage', ['stage1', 'stage2'])
@pytest.mark.parametrize('parts', [1, 2])
def test_the_log_tells_the_norm_of_all_gradients(generators, stage, parts):
    model = build(stage, generators, accumulate=parts)
    found = {}
    for name, optimizer in zip('gd', model.optimizers, strict=False):
        optimizer.register_step_pre_hook(
            lambda optimizer, *_, name=name: found.setdefault(name, []).append(whole_norm(optimizer)))
    step(model, 1, batch(1))
    step(model, 2, batch(2))
    log = model.get_current_log()
    last = {name: max(norms[len(norms) // 2:]) for name, norms in found.items()}  # stage 2 steps twice an iteration
    assert last == {name: pytest.approx(log[f'grad_norm_{name}'], rel=1e-4) for name in found}
    assert not any(name.startswith('grad_clipped') for name in log)


@pytest.mark.parametrize('stage', ['stage1', 'stage2'])
def test_gradients_are_limited(generators, stage):
    """As torch's clip_grad_norm_, and the log says so; a limit that is never reached changes no bit."""
    plain, wide, narrow = build(stage, generators), build(stage, generators, grad_clip=1e6), build(
        stage, generators, grad_clip=1e-4)
    norms = []
    for optimizer in narrow.optimizers:
        optimizer.register_step_pre_hook(lambda optimizer, *_: norms.append(whole_norm(optimizer)))
    for model in (plain, wide, narrow):
        torch.manual_seed(3)
        step(model, 3, batch(1))
    assert_same(what_moves(plain), what_moves(wide))
    assert wide.get_current_log()['grad_clipped_g'] == 0 and narrow.get_current_log()['grad_clipped_g'] == 1
    assert norms == [pytest.approx(1e-4, rel=1e-2)] * 2
    assert narrow.get_current_log()['grad_norm_g'] == pytest.approx(plain.get_current_log()['grad_norm_g'], rel=1e-5)


def test_averaged_weights_are_basicsr_s(generators):
    model = build('stage2', generators, ema_decay=0.9)
    step(model, 1, batch(1))
    other = copy.deepcopy(model.net_g_ema)
    model.model_ema(0.7)
    model.net_g_ema, ours = other, model.net_g_ema
    BaseModel.model_ema(model, 0.7)
    assert_same(ours.state_dict(), model.net_g_ema.state_dict())


def test_stop_keeps_the_state_before(monkeypatch, capfd, tmp_path):
    """Through the trainer: one sentence, status 2, and a checkpoint of the iteration before from which to go on."""
    world = make_world(tmp_path / 'world')
    opt = options(world, 'stage2', train__on_nan='stop')
    draw = mssr_model.MultiDegradationSRModel.draw
    with monkeypatch.context() as patched:
        patched.setattr(mssr_model.MultiDegradationSRModel, 'draw', lambda self, y: draw(
            self, y * (float('nan') if self.steps.current_iter == 7 else 1)))
        assert train(patched, tmp_path / 'a', opt) == 2
    error = capfd.readouterr().err
    assert 'Iteration 7: l_sup_1' in error and str(world) in error and 'Iteration 6 is saved' in error
    assert 'Traceback' not in error
    assert train(monkeypatch, tmp_path / 'b', opt) == 0
    a, b = (experiment(tmp_path / name) for name in 'ab')
    assert_same(load(a / 'models' / 'net_g_6.pth'), load(b / 'models' / 'net_g_6.pth'))


def test_ten_in_a_row_through_the_trainer(monkeypatch, capfd, tmp_path):
    """One sentence, status 2, and a checkpoint of the last complete iteration, to go on from."""
    world = make_world(tmp_path / 'world')
    opt = options(world, 'stage2', total=16)
    draw = mssr_model.MultiDegradationSRModel.draw
    with monkeypatch.context() as patched:
        patched.setattr(mssr_model.MultiDegradationSRModel, 'draw', lambda self, y: draw(
            self, y * (float('nan') if 3 <= self.steps.current_iter < 13 else 1)))
        assert train(patched, tmp_path, opt) == 2
    error = capfd.readouterr().err
    assert 'Iteration 12: l_sup_1' in error and '10th time in a row' in error and 'Iteration 11 is saved' in error
    assert 'Traceback' not in error
    state = load(experiment(tmp_path) / 'training_states' / '11.state')
    assert state['iter'] == 11 and state['in_a_row'] == 10
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    assert (experiment(tmp_path) / 'models' / 'net_g_latest.pth').is_file()
