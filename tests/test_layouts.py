"""Memory layouts that are chosen by measurement: what is chosen, what it leaves alone, and what a resumed run does."""

import copy

import pytest
import torch
from basicsr.models import build_model
from resume_tools import Kill, assert_same_end, experiment, kill_at, load, make_world, options, train
from step_tools import write_generators

import mssr_arch
import mssr_loss  # noqa: F401  (each import registers its classes)
import mssr_model
from model_options import TINY_RRDB, stage1_options, stage2_options
from mssr_model.layouts import LAYOUTS, as_laid_out, measure_layouts

MODELS = {'stage1': 'DegradationGANModel', 'stage2': 'MultiDegradationSRModel'}
TRAIN_SET = {'gt_size': 32, 'batch_size_per_gpu': 2}


def is_channels_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


def prefer(monkeypatch, *faster):
    """Let steps of networks of these types seem faster in channels_last, those of others contiguous; those tried."""
    tried = []

    def time_step(net, x):
        tried.append((type(net).__name__, tuple(x.shape), is_channels_last(x)))
        return 1.0 if is_channels_last(x) == (type(net).__name__ in faster) else 2.0

    monkeypatch.setattr('mssr_model.layouts.time_step', time_step)
    return tried


@pytest.mark.parametrize('make', [lambda: mssr_arch.DeResnet(num_feat=8, num_block=1),
                                  lambda: mssr_arch.SREnsemble([TINY_RRDB] * 2)])
@pytest.mark.parametrize('frozen', [False, True])
def test_trying_changes_nothing(make, frozen):
    torch.manual_seed(0)
    net = make().requires_grad_(not frozen)
    before, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    seconds = measure_layouts(net, (2, 3, 16, 20), lambda net: None)
    assert set(seconds) == set(LAYOUTS) and all(0 < taken < 60 for taken in seconds.values())
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]) and value.stride() == before[name].stride()
    assert all(p.grad is None for p in net.parameters())


def test_each_network_takes_its_own(monkeypatch, tmp_path):
    """The SR ensemble and the generators of one training differ, and compute what they compute otherwise."""
    tried = prefer(monkeypatch, 'SREnsemble')
    generators = write_generators(tmp_path)
    models = []
    for layout in ('auto', False):
        torch.manual_seed(1)
        opt = stage2_options(degradations=generators, collab_start_iter=0)
        opt |= {'performance': {'channels_last': layout}, 'datasets': {'train': TRAIN_SET}}
        models.append(build_model(opt))
    auto, plain = models
    assert auto.acceleration.layouts == [['SREnsemble', True], ['DeResnet', False], ['DeResnet', False]]
    assert {name: shape for name, shape, _ in tried} == {'SREnsemble': (4, 3, 8, 8), 'DeResnet': (2, 3, 32, 32)}
    assert any(is_channels_last(p) for p in auto.net_g.parameters())
    assert not any(is_channels_last(p) for one in auto.degradations for p in one.net.parameters())
    seen = []
    for one in auto.degradations:
        first = next(module for module in one.net.modules() if isinstance(module, torch.nn.Conv2d))
        first.register_forward_pre_hook(lambda _, inputs: seen.append(is_channels_last(inputs[0])))
    batch = {'gt': torch.rand(2, 3, 32, 32), 'lq': torch.rand(2, 3, 8, 8)}
    for model in models:
        torch.manual_seed(2)
        model.feed_data(batch)
        model.optimize_parameters(1)
    assert seen and not any(seen)  # though the batch is laid out for the ensemble
    for name, loss in plain.steps.losses.items():
        torch.testing.assert_close(auto.steps.losses[name], loss, rtol=1e-4, atol=1e-6)


def test_the_log_says_what_was_chosen_and_a_failure_stops_nothing(monkeypatch):
    lines = []
    logger = type('L', (), {'warning': lines.append, 'info': lines.append})
    monkeypatch.setattr('mssr_model.acceleration.get_root_logger', lambda: logger)
    prefer(monkeypatch, 'DeResnet')
    opt = stage1_options() | {'performance': {}, 'datasets': {'train': TRAIN_SET}}  # auto is the default
    assert build_model(opt).acceleration.layouts == [['DeResnet', True]]  # the discriminator stays as it is
    assert lines == ['performance.channels_last: DeResnet is channels_last; a step of 2x3x32x32 takes: contiguous 2 s, '
                     'channels_last 1 s.']

    def fail(*args):
        raise RuntimeError('out of memory')

    monkeypatch.setattr('mssr_model.layouts.time_step', fail)
    assert build_model(opt).acceleration.layouts == [['DeResnet', False]]
    assert 'could not be tried: out of memory' in lines[1]


@pytest.mark.parametrize('stage', ['stage1', 'stage2'])
def test_a_resumed_run_keeps_what_was_chosen(monkeypatch, tmp_path, stage):
    """Though the machine prefers another layout by then; the end is the same, bit by bit."""
    opt = options(make_world(tmp_path / 'world'), stage, total=6)
    opt['performance'] = {'channels_last': 'auto'}
    prefer(monkeypatch, 'DeResnet', 'SREnsemble')
    assert train(monkeypatch, tmp_path / 'whole', opt) == 0
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, getattr(mssr_model, MODELS[stage]), 5)
        train(patched, tmp_path / 'parts', opt)
    tried = prefer(monkeypatch)
    assert train(monkeypatch, tmp_path / 'parts', opt, '--auto_resume') == 0
    assert not tried
    one, other = (experiment(tmp_path / name) for name in ('whole', 'parts'))
    assert_same_end(one, other, 6)
    layouts = load(other / 'training_states' / '6.state')['layouts']
    assert layouts and all(chosen for _, chosen in layouts)


def test_layouts_of_lists_and_of_what_is_no_image():
    images = [torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4, 5)]
    assert all(map(is_channels_last, as_laid_out(images, True)))
    nothing, plane = as_laid_out((None, images[0][0]), True)
    assert nothing is None and plane is not None and torch.equal(plane, images[0][0])
    assert not any(map(is_channels_last, as_laid_out(as_laid_out(images, True), False)))
