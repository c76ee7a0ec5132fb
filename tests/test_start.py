"""A pretrained start is not destroyed: its rate is found by trying, and training ends where it is lost."""

import re
from copy import deepcopy

import pytest
import torch
from basicsr.models import build_model
from resume_tools import (
    L1,
    TINY_RRDB,
    Kill,
    assert_same,
    assert_same_end,
    experiment,
    load,
    log_lines,
    make_world,
    options,
    train,
)

import mssr_model
from mssr_compat.random_state import get_random_state
from mssr_model.start import Start

MODELS = ('MultiDegradationSRModel', 'LearnedDegradationSRModel')
GAN = {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.01}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """With a start that fits what the tests train on: a network that was trained on it for a while."""
    root = make_world(tmp_path_factory.mktemp('world'))
    with pytest.MonkeyPatch.context() as monkeypatch:
        opt = options(root, 'stage2', 'start', total=60, logger__save_checkpoint_freq=100, val__val_freq=100)
        opt['network_g'] = TINY_RRDB
        opt['model_type'] = 'LearnedDegradationSRModel'
        opt['train'] = {'optim_g': {'type': 'Adam', 'lr': 5e-3}, 'total_iter': 60, 'pixel_opt': L1,
                        'scheduler': {'type': 'MultiStepLR', 'milestones': [100]}}
        assert train(monkeypatch, root, opt) == 0
    return root


@pytest.fixture
def few_steps(monkeypatch):
    """At each rate that is tried: what is looked at does not depend on how many."""
    monkeypatch.setattr('mssr_model.start.STEPS', 5)


def started(world, kind, name='run', total=6, **train_options):
    """Options of a training from that start."""
    file = str(experiment(world, 'start') / 'models' / 'net_g_latest.pth')
    opt = options(world, 'stage2', name, total=total, logger__save_checkpoint_freq=2, val__val_freq=3,
                  model_type=kind, path__pretrain_network_g=file)
    if kind == 'LearnedDegradationSRModel':
        opt['network_g'] = TINY_RRDB
        keep = ('optim_g', 'total_iter', 'ema_decay', 'pixel_opt', 'scheduler')
        opt['train'] = {key: opt['train'][key] for key in keep}
    opt['train'] |= {'optim_g': {'type': 'Adam', 'lr': 1e-3}, **train_options}
    return opt


def kill_at(monkeypatch, cls, iteration):
    """Kill the training before iteration ``iteration``; those in which rates are tried are not counted."""
    update = cls.update_learning_rate

    def update_learning_rate(self, current_iter, **keywords):
        if current_iter == iteration:
            raise Kill
        update(self, current_iter, **keywords)

    monkeypatch.setattr(cls, 'update_learning_rate', update_learning_rate)


def log_of(root, name='run'):
    return '\n'.join(file.read_text() for file in sorted(experiment(root, name).glob('*.log')))


@pytest.mark.usefixtures('few_steps')
@pytest.mark.parametrize('kind', MODELS)
def test_the_rate_that_was_found_trains_as_if_it_had_been_set(monkeypatch, tmp_path, world, kind):
    """Trying leaves weights, momenta, averages, random state and batches as they are."""
    assert train(monkeypatch, tmp_path / 'a', started(world, kind, find_rate=True, stay_near=0.01)) == 0
    (rate,) = re.findall(r'train.find_rate: the rate of optim_g is (\S+) \(highest: 0.001\)', log_of(tmp_path / 'a'))
    set_by_hand = started(world, kind, optim_g={'type': 'Adam', 'lr': 1e-3 / 2**round(-torch.log2(
        torch.tensor(float(rate) / 1e-3)).item())})
    assert train(monkeypatch, tmp_path / 'b', set_by_hand) == 0
    one, other = experiment(tmp_path / 'a'), experiment(tmp_path / 'b')
    for name in ('net_g_2', 'net_g_6', 'net_g_latest'):
        assert_same(load(one / 'models' / f'{name}.pth'), load(other / 'models' / f'{name}.pth'))
    states = [load(folder / 'training_states' / '6.state') for folder in (one, other)]
    assert float(f'{states[0].pop("start")["rate"]:.3g}') == float(rate)
    assert_same(*states)
    assert log_lines(one) == log_lines(other)


@pytest.mark.usefixtures('few_steps')
@pytest.mark.parametrize('gan', [False, True])
@pytest.mark.parametrize('kind', MODELS)
def test_a_run_that_found_its_rate_resumes_exactly(monkeypatch, tmp_path, world, kind, gan):
    opt = started(world, kind, find_rate=True, stay_near=0.5)
    if gan:
        opt['train'] |= {'gan_opt': GAN, 'optim_d': {'type': 'Adam', 'lr': 1e-4}, 'net_d_init_iters': 2}
        opt['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, getattr(mssr_model, kind), 4)
        train(patched, tmp_path / 'b', opt)
    found = []
    with monkeypatch.context() as patched:
        patched.setattr('mssr_model.start.find_rate', lambda *args: found.append(args))
        assert train(patched, tmp_path / 'b', opt, '--auto_resume') == 0
    assert not found
    assert_same_end(experiment(tmp_path / 'a'), experiment(tmp_path / 'b'), 6)
    assert log_lines(experiment(tmp_path / 'a')) == log_lines(experiment(tmp_path / 'b'))
    assert 'was changed, but the state counts' not in log_of(tmp_path / 'b')


@pytest.mark.usefixtures('few_steps')
def test_trying_touches_nothing(monkeypatch, tmp_path, world):
    """Not even where a rate of those that are tried is destructive, or not finite."""
    seen = []
    begin = Start.begin

    def watched(self, loader, iteration):
        def everything():
            model = self.model
            nets = [net.state_dict() for net in (model.net_g, model.net_g_ema, model.net_d)]
            return deepcopy([get_random_state(), nets,
                    [optimizer.state_dict()['state'] for optimizer in model.optimizers],
                    [p.grad for p in model.net_g.parameters()], sorted(vars(model)), model.steps.losses])

        before = everything()
        begin(self, loader, iteration)
        seen.append((before, everything()))

    monkeypatch.setattr(Start, 'begin', watched)
    opt = started(world, 'MultiDegradationSRModel', total=1, find_rate=True, stay_near=0.5, gan_opt=GAN,
                  optim_g={'type': 'Adam', 'lr': 1e18}, optim_d={'type': 'Adam', 'lr': 1e-4})
    opt['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    assert train(monkeypatch, tmp_path, opt) == 2
    assert not seen  # it raised

    opt['train']['optim_g'] = {'type': 'Adam', 'lr': 0.02}
    assert train(monkeypatch, tmp_path, opt) == 0
    assert_same(*seen[0])


def test_where_no_rate_will_do_it_is_said(monkeypatch, capfd, tmp_path, world):
    opt = started(world, 'LearnedDegradationSRModel', find_rate=True, stay_near=1e-9)
    assert train(monkeypatch, tmp_path, opt) == 2
    message = capfd.readouterr().err.splitlines()[-1]
    assert message.startswith('error: train.find_rate: no rate from train.optim_g.lr, 0.001, down to 7.81e-06 lowers')
    assert message.count(': 0.') >= 8 and 'train.stay_near' in message


def test_higher_rates_are_told(monkeypatch, tmp_path, world):
    opt = started(world, 'LearnedDegradationSRModel', find_rate=True, optim_g={'type': 'Adam', 'lr': 0.02})
    assert train(monkeypatch, tmp_path, opt) == 0
    (line,) = [line for line in log_of(tmp_path).splitlines() if 'train.find_rate: the rate' in line]
    assert '(highest: 0.02)' in line and '; higher ones, loss and movement: 0.02: ' in line
    state = load(experiment(tmp_path) / 'training_states' / '2.state')
    assert state['start']['rate'] == state['schedulers'][0]['base_lrs'][0] < 0.02
    assert state['optimizers'][0]['param_groups'][0]['initial_lr'] == state['start']['rate']


@pytest.mark.parametrize('data', ['unpaired', 'clean'])
def test_photos_are_the_real_ones_where_there_are_any(world, data):
    opt = started(world, 'LearnedDegradationSRModel') | {
        'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'auto_resume': False}
    if data == 'clean':
        opt['datasets']['train'].pop('dataroot_lq')
    photos = build_model(opt).start.read_photos()
    assert {photo.shape for photo in photos} == {(3, 8, 8)}
    assert len(photos) == (7 if data == 'unpaired' else 5)


# --- staying near -------------------------------------------------------------------------------------------------


def leaving(world, kind, **changes):
    """It is 0.02 from its start between iterations 2 and 4."""
    opt = started(world, kind, total=12, optim_g={'type': 'Adam', 'lr': 0.02}, ema_decay=0, **changes)
    opt['train']['scheduler'] = {'type': 'MultiStepLR', 'milestones': [20]}
    return opt


@pytest.mark.parametrize('kind', MODELS)
def test_a_training_that_leaves_its_start_ends_with_the_best_so_far(monkeypatch, tmp_path, world, kind):
    measured = []
    distance = mssr_model.start.distance
    monkeypatch.setattr('mssr_model.start.distance', lambda *args: measured.append(distance(*args)) or measured[-1])
    assert train(monkeypatch, tmp_path / 'free', leaving(world, kind, stay_near=1.0)) == 0
    assert 'Training ends after' not in log_of(tmp_path / 'free') and len(measured) == 6
    bound = sorted(measured)[-1] * 0.999
    last = measured.index(max(measured)) * 2  # the one before the first that is beyond
    opt = leaving(world, kind, stay_near=bound)
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    folder = experiment(tmp_path / 'a')
    assert f'Training ends after iteration {last + 2}, with the best network so far, that of iteration {last}' in \
        log_of(tmp_path / 'a')
    assert f'more than train.stay_near, {bound:g}' in log_of(tmp_path / 'a')
    start = experiment(tmp_path / 'free') / 'models' / f'net_g_{last}.pth'
    if last:
        for name in ('net_g_best', 'net_g_latest'):
            assert_same(load(folder / 'models' / f'{name}.pth')['params'], load(start)['params'])
    assert not list((folder / 'models').glob(f'net_g_{last + 4}.pth'))

    assert train(monkeypatch, tmp_path / 'a', opt, '--auto_resume') == 0  # it ends again, where it was
    assert log_of(tmp_path / 'a').count(f'Training ends after iteration {last + 2}') == 2
    opt['train']['stay_near'] = 1.0
    assert train(monkeypatch, tmp_path / 'a', opt, '--auto_resume') == 0  # a higher bound goes on
    assert_same_end(experiment(tmp_path / 'free'), folder, 12)


def test_killed_before_it_looked_it_ends_at_the_same_iteration(monkeypatch, tmp_path, world):
    opt = leaving(world, 'LearnedDegradationSRModel', stay_near=1e-4)
    look = Start.left
    with monkeypatch.context() as patched, pytest.raises(Kill):
        def left(self, iteration):
            if iteration == 2:
                raise Kill
            return look(self, iteration)

        patched.setattr(Start, 'left', left)
        train(patched, tmp_path, opt)
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    assert 'Training ends after iteration 2, with the best network so far, that of iteration 0' in log_of(tmp_path)
    start = load(experiment(world, 'start') / 'models' / 'net_g_latest.pth')['params']
    assert_same(load(experiment(tmp_path) / 'models' / 'net_g_latest.pth')['params'], start)


def test_a_figure_of_validation_may_end_it(monkeypatch, tmp_path, world):
    opt = leaving(world, 'MultiDegradationSRModel', stay_near=1.0)
    opt['val'] |= {'val_freq': 1, 'select': 'psnr', 'select_bound': 0.0}
    assert train(monkeypatch, tmp_path, opt) == 0
    log = log_of(tmp_path)
    assert re.search(r'Training ends after iteration \d+, with the best network so far, the best by val.select, as '
                     r'net_g_latest.pth: psnr is \S+, worse than the \S+ of the start by more than val.select_bound, 0',
                     log)
    best = load(experiment(tmp_path) / 'models' / 'net_g_best.pth')
    assert_same(load(experiment(tmp_path) / 'models' / 'net_g_latest.pth')['params'], best['params'])
