"""What `performance:` switches on computes the same."""

import copy

import pytest
import torch
from basicsr.models import build_model

import mssr_loss  # noqa: F401
import mssr_model  # noqa: F401
from model_options import stage1_options
from mssr_compat.allocator import keep_freed_memory
from mssr_model.stepping import Steps


@pytest.mark.parametrize('keep', [True, False])
def test_keep_memory_reaches_the_allocator(monkeypatch, keep):
    calls = []
    monkeypatch.setattr('mssr_model.acceleration.keep_freed_memory', lambda: calls.append(1))
    options = stage1_options()
    options['performance'] = {'keep_memory': keep}
    build_model(options)
    assert bool(calls) == keep


def test_an_allocator_that_is_not_glibcs_is_left_alone(monkeypatch):
    monkeypatch.setattr('platform.libc_ver', lambda: ('', ''))
    monkeypatch.setattr('ctypes.CDLL', lambda *args: pytest.fail('touched'))
    assert not keep_freed_memory()


def test_a_machine_that_cannot_compile_is_told_why_and_trains(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError('\nNo working C++ compiler found\nand more')

    warnings = []
    monkeypatch.setattr(torch, 'compile', broken)
    logger = type('L', (), {'warning': warnings.append, 'info': lambda *args: None})
    monkeypatch.setattr('mssr_model.acceleration.get_root_logger', lambda: logger)
    options = stage1_options()
    options['performance'] = {'compile': True}
    model = build_model(options)
    assert len(warnings) == 1 and 'performance.compile' in warnings[0] and 'No working C++ compiler' in warnings[0]
    model.feed_data({'gt': torch.rand(1, 3, 32, 32), 'lq': torch.rand(1, 3, 8, 8)})
    model.optimize_parameters(1)
    assert all(torch.isfinite(value) for value in model.steps.losses.values())


@pytest.mark.parametrize('wanted', [False, True, 'reduce-overhead'])
def test_cuda_graphs_hear_of_each_step_where_there_are_any(monkeypatch, wanted):
    """Telling them imports the compiler, for which a training that compiles nothing would wait."""
    told = []
    monkeypatch.setattr(torch.compiler, 'cudagraph_mark_step_begin', lambda: told.append(1))
    steps = Steps({'performance': {'compile': wanted}, 'train': {}}, torch.amp.GradScaler('cuda', enabled=False))
    for number in (1, 2):
        with steps.iteration(number):
            assert len(told) == (number if wanted else 0)


@pytest.mark.parametrize('formats', [(False, True), (True, False)])
def test_momenta_follow_their_weights_into_another_memory_format(formats):
    """A run may go on with another ``channels_last``; fused Adam must not mix up the weights."""
    def step(model, shift):
        for n, p in enumerate(model.net_g.parameters()):
            places = torch.arange(p.numel(), dtype=torch.float32).view_as(p)
            p.grad = torch.empty_like(p).copy_((places + n + shift).sin())
        model.optimizer_g.step()

    weights = []
    for channels_last in ((formats[0], formats[0]), formats):
        torch.manual_seed(0)
        models = []
        for setting in channels_last:
            options = stage1_options()
            options['performance'] = {'channels_last': setting}
            models.append(build_model(options))
        before, after = models
        step(before, 0)
        after.net_g.load_state_dict(before.net_g.state_dict())
        after.optimizer_g.load_state_dict(copy.deepcopy(before.optimizer_g.state_dict()))
        step(after, 1)
        weights.append(after.net_g.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-5, atol=1e-7, msg=name)
