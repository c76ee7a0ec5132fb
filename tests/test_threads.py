"""CPU threads that are chosen by measurement: what is chosen, who is asked first, and what a resumed run does."""

import copy

import pytest
import torch
from basicsr.models import build_model
from resume_tools import Kill, experiment, kill_at, load, log_lines, make_world, options, train

import mssr_arch
import mssr_loss  # noqa: F401  (each import registers its classes)
import mssr_model
from model_options import stage1_options
from mssr_model import threads
from mssr_model.threads import may_choose, measure_threads


@pytest.fixture(autouse=True)
def _threads_as_before():
    number = torch.get_num_threads()
    yield
    torch.set_num_threads(number)


@pytest.fixture
def many(monkeypatch):
    """Four threads that nobody has asked for."""
    for name in threads.SET_BY_USERS:
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(4)


@pytest.mark.parametrize('seconds, tried, fastest', [
    ({4: 1.0, 2: 2.0, 1: 0.5}, [4, 2], 4),  # fewer are not looked at where fewer were slower
    ({4: 3.0, 2: 2.0, 1: 2.5}, [4, 2, 1], 2),
    ({4: 3.0, 2: 2.0, 1: 1.0}, [4, 2, 1], 1)])
@pytest.mark.usefixtures('many')
def test_fewer_are_tried_as_long_as_they_are_faster(monkeypatch, seconds, tried, fastest):
    monkeypatch.setattr(threads, 'time_step', lambda net, x: seconds[torch.get_num_threads()])
    found = measure_threads(mssr_arch.DeResnet(num_feat=4, num_block=1), (1, 3, 16, 16), lambda net: None)
    assert list(found) == tried and min(found, key=found.get) == fastest
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures('many')
def test_trying_changes_nothing():
    net = mssr_arch.DeResnet(num_feat=4, num_block=1)
    before, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    assert all(0 < taken < 60 for taken in measure_threads(net, (1, 3, 16, 16), lambda net: None).values())
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]) and value.stride() == before[name].stride()
    assert all(p.grad is None for p in net.parameters())


def test_who_sets_a_number_has_chosen(monkeypatch, many):
    assert may_choose()
    monkeypatch.setenv('MKL_NUM_THREADS', '4')
    assert not may_choose()
    monkeypatch.delenv('MKL_NUM_THREADS')
    torch.set_num_threads(1)
    assert not may_choose()


@pytest.mark.parametrize('wanted, number', [('auto', 2), (3, 3), (None, 4)])
@pytest.mark.usefixtures('many')
def test_the_option_is_followed(monkeypatch, wanted, number):
    tried = []
    monkeypatch.setattr('mssr_model.acceleration.measure_threads', lambda net, shape, wrap: tried.append(
        (type(net).__name__, shape)) or {4: 2.0, 2: 1.0})
    opt = {**stage1_options(), 'performance': {'channels_last': False, 'threads': wanted},
           'datasets': {'train': {'gt_size': 32, 'batch_size_per_gpu': 2}}}
    model = build_model(opt)
    assert torch.get_num_threads() == number
    assert tried == ([('DeResnet', (2, 3, 32, 32))] if wanted == 'auto' else [])  # once, and not by D
    assert model.acceleration.threads == (2 if wanted == 'auto' else None)


@pytest.mark.usefixtures('many')
def test_a_resumed_run_takes_the_same(monkeypatch, tmp_path):
    world = make_world(tmp_path / 'world')
    opt = options(world, 'stage1', 'run', total=4, logger__save_checkpoint_freq=2, performance__threads='auto')
    monkeypatch.setattr('mssr_model.acceleration.measure_threads', lambda *_: {4: 2.0, 2: 1.0})
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, mssr_model.DegradationGANModel, 4)
        train(patched, world, opt)
    assert load(experiment(world) / 'training_states' / '2.state')['threads'] == 2
    monkeypatch.setattr('mssr_model.acceleration.measure_threads', lambda *_: pytest.fail('tried again'))
    torch.set_num_threads(4)
    assert train(monkeypatch, world, opt, '--auto_resume') == 0
    assert torch.get_num_threads() == 2
    assert load(experiment(world) / 'training_states' / '4.state')['threads'] == 2
    assert log_lines(experiment(world))
