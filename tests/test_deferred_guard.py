"""The guard that decides on the device; fused Adam can skip a step on CPUs too, so that all but the copy runs here."""

import copy

import pytest
import torch
from basicsr.models.base_model import BaseModel
from resume_tools import assert_same, experiment, load, make_world, options, train
from step_tools import batch, build, step, what_moves, write_generators
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import mssr_model
from mssr_arch.deresnet_arch import PReLU
from mssr_model.guard import DeferredGuard, Guard, NonFiniteError

READS = {torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu, torch.Tensor.__bool__,
         torch.Tensor.__float__, torch.Tensor.__int__, torch.Tensor.__index__, torch.Tensor.nonzero, torch.nonzero,
         torch.equal, torch.allclose}


@pytest.fixture(scope='module')
def generators(tmp_path_factory):
    return write_generators(tmp_path_factory.mktemp('generators'))


@pytest.fixture
def deferred(monkeypatch):
    """As on a GPU."""
    suits, gpu = DeferredGuard.suits, torch.device('cuda')
    monkeypatch.setattr(DeferredGuard, 'suits', staticmethod(lambda device, optimizers: suits(gpu, optimizers)))


@pytest.fixture
def warnings(monkeypatch):
    texts = []
    monkeypatch.setattr('mssr_model.guard.get_root_logger', lambda: type('L', (), {'warning': texts.append}))
    return texts


def spoiled(number):
    data = batch(number)
    data['gt'][0, 0, 0, 0] = float('nan')
    return data


@pytest.mark.parametrize('change, kind', [({}, DeferredGuard), ({'on_nan': 'stop'}, Guard)])
def test_which_guard(deferred, generators, change, kind):
    assert type(build('stage2', generators, **change).guard) is kind


def test_cpus_and_unfused_optimizers_are_read_at_once(generators, monkeypatch):
    assert type(build('stage2', generators).guard) is Guard
    fused, plain = (torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], fused=fused) for fused in (True, False))
    gpu = torch.device('cuda')
    assert DeferredGuard.suits(gpu, [fused]) and not DeferredGuard.suits(gpu, [fused, plain])


@pytest.mark.parametrize('stage', ['stage1', 'stage2'])
def test_weights_and_momenta_are_those_of_the_other_guard(deferred, generators, warnings, stage):
    """Good and bad iterations in turn, bit for bit; both tell of the same iterations, weights of the same file."""
    models = [build(stage, generators) for _ in range(2)]
    assert type(models[0].guard) is DeferredGuard
    models[1].guard = Guard()
    said = []
    for model in models:
        torch.manual_seed(7)
        for iteration in range(1, 9):
            torch.manual_seed(iteration)  # a step that is never computed draws no noise
            step(model, iteration, spoiled(iteration) if iteration in (3, 4, 7) else batch(iteration))
        said.append(list(warnings))
        warnings.clear()
    assert_same(*map(what_moves, models))
    assert said[0] == said[1] and len(said[1]) == 3 and 'gt7-0.png' in said[1][-1]
    models[0].guard.settle()
    assert models[0].guard.in_a_row == models[1].guard.in_a_row == 0


@pytest.mark.parametrize('stage, attribute, term, still', [
    ('stage1', 'cri_color', 'l_g_color', 'net_g'), ('stage1', 'cri_gan', 'l_d', 'net_d'),
    ('stage2', 'cri_adapt', 'l_adapt_1', None)])
def test_what_is_refused_and_when_it_is_told(deferred, generators, warnings, monkeypatch, stage, attribute, term,
                                             still):
    """The step that is not finite, and at the end of the next iteration; what came before it is done."""
    model = build(stage, generators)
    step(model, 1, batch(1))
    criterion, before = getattr(model, attribute), what_moves(model)
    with monkeypatch.context() as patched:
        patched.setattr(criterion, 'forward',
                        lambda *args, _forward=criterion.forward, **kw: float('nan') * _forward(*args, **kw))
        step(model, 2, batch(2))
    after = what_moves(model)
    assert warnings == []
    if still:
        assert_same(before[0][still], after[0][still])
    else:  # learning, which comes before adaptation, moved the weights
        assert not torch.equal(before[0]['net_g']['branches.0.conv_last.weight'],
                               after[0]['net_g']['branches.0.conv_last.weight'])
    for part in after[0].values():
        assert all(value.isfinite().all() for value in part.values())
    step(model, 3, batch(3))
    assert len(warnings) == 1 and term in warnings[0] and 'Iteration 2' in warnings[0] and 'gt2-0' in warnings[0]


def test_a_gradient_alone_is_named(deferred, generators, warnings, monkeypatch):
    model = build('stage2', generators)
    before = what_moves(model)[0]
    with monkeypatch.context() as patched:
        patched.setattr(model.cri_pix, 'forward', lambda a, b: ((a - a.detach()) ** 2).sum().sqrt())
        step(model, 1, batch(1))
    assert_same(before, what_moves(model)[0])
    model.guard.settle()
    assert 'the gradient of net_g.branches.0.' in warnings[0]


def test_ten_in_a_row_stop_after_the_next(deferred, generators, warnings):
    """With that next iteration complete, if it is good; a good one between starts the count anew."""
    model = build('stage2', generators)
    for iteration in range(1, 20):
        step(model, iteration, spoiled(1) if iteration != 9 else batch(2))
    before = what_moves(model)
    with pytest.raises(NonFiniteError, match=r'Iteration 19: .*10th time in a row'):
        step(model, 20, batch(3))
    assert model.finished_iter == 20
    after = what_moves(model)[0]['net_g']  # the good iteration was complete
    assert not all(torch.equal(value, after[name]) for name, value in before[0]['net_g'].items())


def test_settling_counts_what_is_not_read_yet(deferred, generators, warnings):
    """As saving does: the count goes into the state; a stop that is due comes at the next end of an iteration."""
    model = build('stage2', generators)
    for iteration in range(1, 11):
        step(model, iteration, spoiled(1))
    assert model.guard.in_a_row == 9
    model.guard.settle()
    assert model.guard.in_a_row == 10
    with pytest.raises(NonFiniteError, match='10th'):
        step(model, 11, batch(1))


class NoRead(TorchFunctionMode):
    """Fails where the program asks the device for a value."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        to_host = function is torch.Tensor.to and 'cpu' in args and not (kwargs or {}).get('non_blocking')
        if function in READS or to_host:
            raise AssertionError(f'{function} waits for the device')
        return function(*args, **(kwargs or {}))


class NoReadBelow(TorchDispatchMode):
    """The same below Python's functions, in the backward pass and in optimizers too."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero,
                                       torch.ops.aten.is_nonzero, torch.ops.aten.equal, torch.ops.aten.masked_select):
            raise AssertionError(f'{function} waits for the device')
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize('stage, change', [
    ('stage1', {}), ('stage1', {'relativistic': True, 'content_antithetic': True, 'ema_decay': 0.9}), ('stage2', {}),
    ('stage2', {'lq_round': True, 'ema_decay': 0.9, 'accumulate': 2})])
def test_the_step_waits_for_nothing(deferred, generators, monkeypatch, stage, change):
    """No value is read in an iteration except the flags of the one before, whose copy was asked for then."""
    monkeypatch.setattr(PReLU, 'forward', torch.nn.PReLU.forward)  # as on a GPU; on a CPU reading costs nothing
    model = build(stage, generators, **change)
    for iteration in range(1, 4):
        model.update_learning_rate(iteration)
        model.feed_data(batch(iteration))
        with monkeypatch.context() as patched, NoRead(), NoReadBelow():
            patched.setattr(model.guard, 'read', lambda iterations: None)
            model.optimize_parameters(iteration)
        model.guard.end()
    model.guard = Guard()
    with pytest.raises(AssertionError, match='waits for the device'), NoRead():
        model.optimize_parameters(4)  # the modes see what they are to see


def test_averaged_weights_are_basicsr_s(generators):
    model = build('stage2', generators, ema_decay=0.9)
    step(model, 1, batch(1))
    other = copy.deepcopy(model.net_g_ema)
    model.model_ema(0.7)
    model.net_g_ema, ours = other, model.net_g_ema
    BaseModel.model_ema(model, 0.7)
    assert_same(ours.state_dict(), model.net_g_ema.state_dict())


def test_through_the_trainer(deferred, monkeypatch, capfd, tmp_path):
    """Ten in a row: one sentence, status 2, and a checkpoint of the complete iteration after them, to go on from."""
    world = make_world(tmp_path / 'world')
    opt = options(world, 'stage2', total=16)
    draw = mssr_model.MultiDegradationSRModel.draw
    with monkeypatch.context() as patched:
        patched.setattr(mssr_model.MultiDegradationSRModel, 'draw', lambda self, y, t: draw(
            self, y * (float('nan') if 2 <= t < 12 else 1), t))
        assert train(patched, tmp_path, opt) == 2
    error = capfd.readouterr().err
    assert 'Iteration 12: l_sup_1' in error and '10th time in a row' in error and 'Iteration 13 is saved' in error
    assert 'Traceback' not in error
    state = load(experiment(tmp_path) / 'training_states' / '13.state')
    assert state['iter'] == 13 and state['in_a_row'] == 0
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    assert (experiment(tmp_path) / 'models' / 'net_g_latest.pth').is_file()
