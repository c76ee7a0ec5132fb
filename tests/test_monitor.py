"""What validation measures, keeps, shows and says in both stages."""

import json
import math

import numpy as np
import pytest
import torch
from basicsr.models import build_model
from monitored_runs import monitored, runs  # noqa: F401  (a fixture)
from resume_tools import load, train
from step_tools import batch, build, step, write_generators
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import mssr_arch
import mssr_model
from data_tools import write_folder
from model_options import stage1_options
from mssr_compat.checkpoint import read_weights
from mssr_compat.errors import UserError
from mssr_data.photo_pool import read_photos
from mssr_degradation import LearnedDegradation
from mssr_metric import FIGURES, Figures
from mssr_monitor.branch_monitor import loss_shares
from mssr_monitor.collapse_warnings import State, collapse_warnings, loudness
from mssr_monitor.experiment_record import (
    append_validation,
    read_best,
    read_pictures,
    read_validations,
    write_best,
    write_pictures,
)
from mssr_monitor.generator_study import GeneratorStudy
from mssr_monitor.pictures import heat, side_by_side
from mssr_monitor.validation import Validator

assert mssr_model  # registers


def tags(root, name):
    """Scalars and pictures that a run wrote for TensorBoard."""
    events = EventAccumulator(str(root / 'tb_logger' / name), size_guidance={'images': 0})
    events.Reload()
    return events.Tags(), events


# --- whole runs -------------------------------------------------------------------------------------------------------


def test_stage1_logs_every_figure_beside_psnr(runs):  # noqa: F811
    found, events = tags(runs, 'one')
    scalars = {f'metrics/pairs/{name}' for name in (*FIGURES, 'psnr', 'ssim', 'haar_distance_bicubic',
                                                    'haar_distance_real', 'noise_level_real')}
    assert scalars | {'effective_noise/1'} <= set(found['scalars'])
    shown = ('draws', 'deviation_between_draws', 'real_above_generated')
    assert {f'pictures/{title}' for title in shown} <= set(found['images'])
    assert [event.step for event in events.Scalars('metrics/pairs/haar_distance')] == [2, 4, 6]
    real = [event.value for event in events.Scalars('metrics/pairs/noise_level_real')]
    assert real[0] == real[-1] > 3  # the noise of the real photos; measured once

    entries = read_validations(runs / 'experiments' / 'one')
    assert [entry['iter'] for entry in entries] == [2, 4, 6]
    assert entries[-1]['figures']['haar_distance'] > entries[-1]['real']['haar_distance'] == 1
    for name, mean in entries[-1]['metrics'].items():
        each = [photo[name] for photo in entries[-1]['photos'].values()]
        assert len(each) == 3 and np.mean(each) == pytest.approx(mean, rel=1e-6)
    log = next((runs / 'experiments' / 'one').glob('*.log')).read_text()
    assert log.count('degradation (generated | bicubic | real)') == 3


def test_the_best_network_is_kept_with_its_figures(runs):  # noqa: F811
    for name, metric, choose in (('one', 'haar_distance', min), ('two', 'psnr', max)):
        folder = runs / 'experiments' / name
        best, entries = read_best(folder / 'models'), read_validations(folder)
        entries = [entry for entry in entries if entry['dataset'] == 'pairs']
        values = {entry['iter']: {**entry['metrics'], **entry.get('figures', {})}[metric] for entry in entries
                  if bool(entry.get('warnings')) == best['warned']}
        assert best['metric'] == metric and best['value'] == choose(values.values()) == values[best['iter']]
        assert {'psnr', 'ssim'} <= best['figures'].keys()
        content = load(folder / 'models' / 'net_g_best.pth')
        assert {'params', 'params_ema', 'network', 'scale'} <= content.keys()
    assert read_weights(runs / 'experiments' / 'one' / 'models' / 'net_g_best.pth')


def test_stage2_compares_its_branches(runs):  # noqa: F811
    found, events = tags(runs, 'two')
    assert {f'metrics/pairs{branch}/psnr' for branch in ('', '/S_1', '/S_2')} <= set(found['scalars'])
    assert {'metrics/pairs/branch_disagreement', 'loss_share/sup', 'loss_share/collab'} <= set(found['scalars'])
    assert 'pictures/pairs/before_after' in found['images']
    assert sum(events.Scalars(f'loss_share/{term}')[-1].value for term in ('sup', 'collab', 'adapt')) \
        == pytest.approx(1, abs=1e-5)
    entries = read_validations(runs / 'experiments' / 'two')
    assert {entry['dataset'] for entry in entries} == {'pairs', 'pairs/S_1', 'pairs/S_2'}
    assert entries[-1]['photos'].keys() == {'v8', 'v9', 'v10'}
    pictures = read_pictures(runs / 'experiments' / 'two', 'branches')
    assert pictures['branches_0'].shape == (2, 3, 144, 144) and pictures['gt_2'].dtype == np.uint8


@pytest.fixture
def warnings(monkeypatch):
    """What the log of a training warns of its branches."""
    texts = []
    monkeypatch.setattr('mssr_monitor.branch_monitor.get_root_logger', lambda: type('L', (), {'warning': texts.append}))
    return texts


def test_a_branch_that_cannot_learn_any_more_is_told_of_once(tmp_path, warnings):
    model = build('stage2', write_generators(tmp_path))
    black = {**batch(0), 'gt': torch.zeros(4, 3, 32, 32), 'lq': torch.zeros(4, 3, 8, 8)}

    def log_of(iteration, data):
        step(model, iteration, data)
        model.get_current_log()

    log_of(1, batch(1))
    with torch.no_grad():
        model.net_g.branches[1].conv_last.bias.fill_(-1e3)
    log_of(2, black)
    log_of(3, batch(3))
    assert len(warnings) == 1 and 'Branch S_2 is lost' in warnings[0] and 'optim_g.lr (now 0.0001)' in warnings[0]
    stuck = model.net_g.branches[1].conv_last.bias.detach().clone()
    for iteration in range(4, 7):
        log_of(iteration, batch(iteration))
    assert len(warnings) == 1
    assert all(model.optimizer_g.state[p]['exp_avg'].abs().max() < 1e-3 for p in model.net_g.branches[1].parameters())
    assert (model.net_g.branches[1].conv_last.bias - stuck).abs().max() < 1e-2


def test_one_batch_without_middle_tones_loses_no_branch(tmp_path, warnings):
    model = build('stage2', write_generators(tmp_path))
    for restored in ([[torch.zeros(1, 3, 8, 8)]], [[torch.full((1, 3, 8, 8), 0.5)]], [[torch.ones(1, 3, 8, 8)]]):
        model.restored = restored
        model.get_current_log()
    assert not warnings
    model.get_current_log()
    assert len(warnings) == 1 and 'Branch S_1' in warnings[0]


def test_monitoring_changes_no_weight(runs, monkeypatch):  # noqa: F811
    """Nothing that is drawn for figures and pictures comes from training's random numbers."""
    for stage, name in (('stage1', 'one'), ('stage2', 'two')):
        blind = monitored(runs, stage, f'{name}_blind', val__monitor=False)
        for section in blind.get('degradations', ()):
            section['checkpoint'] = str(runs / 'experiments' / 'one' / 'models' / 'net_g_best.pth')
        assert train(monkeypatch, runs, blind) == 0
        one, other = (load(runs / 'experiments' / folder / 'models' / 'net_g_latest.pth')['params']
                      for folder in (name, f'{name}_blind'))
        assert all(torch.equal(one[key], other[key]) for key in one)
        assert not (runs / 'experiments' / f'{name}_blind' / 'validation.jsonl').exists()


def test_hr_photos_alone_are_enough_to_validate(runs, monkeypatch):  # noqa: F811
    opt = monitored(runs, 'stage1', 'alone', val__metrics=None, val__select='spectrum_distance')
    opt['datasets']['val'] = {'name': 'hr', 'type': 'SingleImageDataset', 'dataroot_lq': str(runs / 'val_gt'),
                              'io_backend': {'type': 'disk'}}
    assert train(monkeypatch, runs, opt) == 0
    (entry,) = read_validations(runs / 'experiments' / 'alone')[-1:]
    assert entry['metrics'] == {} and entry['figures']['spectrum_distance'] > 0
    assert read_best(runs / 'experiments' / 'alone' / 'models')['metric'] == 'spectrum_distance'


def test_photos_that_are_too_small_are_said_once_and_stop_nothing(runs, monkeypatch, tmp_path):  # noqa: F811
    write_folder(tmp_path / 'tiny', 3, 12, 16)
    opt = monitored(runs, 'stage1', 'tiny')
    opt['datasets']['train']['dataroot_lq'] = str(tmp_path / 'tiny')
    assert train(monkeypatch, runs, opt) == 0
    log = next((runs / 'experiments' / 'tiny').glob('*.log')).read_text()
    assert log.count('No figures of the degradation') == 1 and 'tiny' in log
    assert all('figures' not in entry for entry in read_validations(runs / 'experiments' / 'tiny'))


def test_an_unknown_figure_cannot_select():
    options = stage1_options()
    options['val'] = {'select': 'haar', 'metrics': {'psnr': {}}}
    with pytest.raises(UserError, match='val.select is haar.*psnr, haar_distance'):
        build_model(options)


# --- the study --------------------------------------------------------------------------------------------------------


def study_of(runs):  # noqa: F811
    return GeneratorStudy({'dataroot_gt': str(runs / 'gt'), 'dataroot_lq': str(runs / 'lq')}, 4)


def test_a_study_is_repeatable_and_sees_each_injection(runs):  # noqa: F811
    study, net = study_of(runs), mssr_arch.DeResnet(num_feat=8, num_block=3)
    silent, pictures = study.run(LearnedDegradation(net, 4))
    assert silent.generated['diversity'] == silent.generated['effective_noise'] == 0
    assert not pictures['deviation'].any() and pictures['effect'].tolist() == [0, 0, 0]

    net.noises[1].w.data.fill_(20.0)
    before = torch.get_rng_state()
    one, pictures = study.run(LearnedDegradation(net, 4))
    other, again = study.run(LearnedDegradation(net, 4))
    assert torch.equal(torch.get_rng_state(), before) and net.training
    assert one == other and all(torch.equal(pictures[key], again[key]) for key in pictures)
    assert one.generated['diversity'] > 0.5 and one.generated['effective_noise'] == pytest.approx(2 / 3)
    effect = pictures['effect'].tolist()
    assert effect[0] == effect[2] == 0 < effect[1]
    assert pictures['injections'].shape == (3, 36, 36) and pictures['draws'].shape == (4, 3, 36, 36)


def test_a_deterministic_generator_of_lr_size_is_studied(runs):  # noqa: F811
    figures, pictures = study_of(runs).run(LearnedDegradation(mssr_arch.DSGAN(num_feat=4, num_block=1), 4))
    assert figures.generated['diversity'] == 0 and len(pictures['effect']) == len(pictures['injections']) == 0


def test_photos_are_the_same_ones_each_time(runs, tmp_path):  # noqa: F811
    options = {'dataroot_gt': str(runs / 'gt')}
    some = read_photos(options, 'gt', 3, 64, multiple=4)
    assert [photo.shape for photo in some] == [(3, 64, 64)] * 3
    assert all(map(torch.equal, some, read_photos(options, 'gt', 3, 64, multiple=4)))
    with pytest.raises(UserError, match='dataroot_lq is missing'):
        read_photos(options, 'lq', 3, 64)
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / 'a.png').write_bytes(b'no image')
    with pytest.raises(UserError, match='no photo of 1 pixels'):
        read_photos({'dataroot_gt': str(tmp_path / 'bad')}, 'gt', 3, 64)


# --- warnings ---------------------------------------------------------------------------------------------------------

HEALTHY = {'haar_distance': 1.3, 'spectrum_distance': 0.5, 'noise_level': 4.0, 'noise_distance': 0.5,
           'color_shift': 1.0, 'color_drift': 5.0, 'diversity': 3.0, 'effective_noise': 0.1,
           'bicubic_distance': 6.0}
BICUBIC = {'haar_distance': 4.0, 'spectrum_distance': 3.0, 'noise_level': 1.0, 'noise_distance': 3.0}
REAL = {'haar_distance': 1.0, 'noise_level': 4.5}


@pytest.mark.parametrize('name, figures, state, advice', [
    (None, {}, {}, ''),
    ('diverged', {'haar_distance': math.nan}, {}, 'train.optim_g.lr'),
    ('no_adversary', {}, {'adversarial': 0.0}, 'train.gan_opt.loss_weight'),
    ('loud_adversary', {}, {'adversarial': 5.0, 'loudness': 80.0}, '0.005'),
    (None, {}, {'loudness': 10.0}, ''),
    ('same_draws', {'diversity': 0.0}, {}, 'train.optim_g.noise_lr'),
    ('same_draws', {'diversity': 0.0}, {'num_noise': 0}, 'network_g.noise_std'),
    ('bicubic', {'bicubic_distance': 0.4, 'haar_distance': 3.9}, {}, 'train.gan_opt.loss_weight'),
    ('no_better', {'haar_distance': 5.0}, {}, 'train.gan_opt.loss_weight'),
    ('spectrum', {'spectrum_distance': 6.6}, {}, 'give train.spectrum_opt a SpectrumLoss, or change train.gan_opt'),
    (None, {'spectrum_distance': 4.0}, {}, ''),
    ('saturated', {}, {'real_score': 0.99, 'fake_score': 0.01}, 'train.optim_d.lr'),
    ('blind', {'haar_distance': 3.5}, {'real_score': 0.5, 'fake_score': 0.505}, 'train.optim_d.lr'),
    ('color', {'color_drift': 30.0}, {}, 'Colours are off: they are 30 levels'),
    ('color', {'color_drift': 30.0}, {'drift_before': 29.0}, 'or lower train.gan_opt.loss_weight'),
    ('color', {'color_drift': 15.0}, {'drift_before': 30.0}, 'Train longer'),
    ('noisy', {'noise_level': 12.0}, {}, 'train.gan_opt.loss_weight'),
])
def test_each_collapse_is_said_in_words(name, figures, state, advice):
    state = State(**{'num_noise': 2, 'adversarial': 0.005, 'real_score': 0.6, 'fake_score': 0.4, **state})
    found = collapse_warnings(Figures({**HEALTHY, **figures}, BICUBIC, REAL), state)
    assert list(found) == ([name] if name else [])
    assert not name or advice in found[name]


@pytest.mark.parametrize('adversarial', [0.0, 100.0])
def test_advice_goes_to_the_cause(adversarial):
    figures = {**HEALTHY, 'haar_distance': 7.5, 'spectrum_distance': 10.0, 'color_drift': 130.0}
    state = State(2, adversarial, 0.6, 0.4, drift_before=131.0, loudness=208.0)
    first, *others = collapse_warnings(Figures(figures, BICUBIC, REAL), state).items()
    assert first[0] == ('loud_adversary' if adversarial else 'no_adversary')
    assert [name for name, _ in others] == ['no_better', 'spectrum', 'color']
    for name, advice in others:  # nothing that contradicts the first
        assert 'train.gan_opt' not in advice
        assert 'the adversarial weight first' in advice or (name, adversarial) == ('color', 0.0)


def test_all_that_holds_the_scene_counts_against_the_adversary():
    assert loudness({'l_g_gan': 1.0, 'l_g_color': 0.1, 'l_g_spectrum': 0.3, 'l_g_percep': 0.1}) == pytest.approx(2)
    assert math.isnan(loudness({'l_g_gan': 1.0, 'l_g_color': 0.0}))


def test_bicubic_is_no_collapse_where_real_photos_are_bicubic():
    figures = Figures({**HEALTHY, 'bicubic_distance': 0.2}, {**BICUBIC, 'haar_distance': 1.1}, REAL)
    assert not collapse_warnings(figures, State(2, 0.005, 0.5, 0.5))


# --- record and selection ---------------------------------------------------------------------------------------------


def test_the_record_survives_torn_lines_and_repeated_iterations(tmp_path):
    assert read_validations(tmp_path) == []
    for iteration, value in ((2, 1.0), (4, math.nan), (2, 3.0)):
        append_validation(tmp_path, {'iter': iteration, 'dataset': 'a', 'metrics': {'psnr': np.float64(value)}})
    with open(tmp_path / 'validation.jsonl', 'a') as file:
        file.write('{"iter": 6, "dataset"')
    assert [(entry['iter'], entry['metrics']['psnr']) for entry in read_validations(tmp_path)] == [(2, 3.0), (4, None)]
    assert read_pictures(tmp_path, 'branches') is None
    (tmp_path / 'pictures_branches.npz').write_bytes(b'PK torn')
    assert read_pictures(tmp_path, 'branches') is None
    write_pictures(tmp_path, 'branches', {'a': np.arange(3)})
    assert read_pictures(tmp_path, 'branches')['a'].tolist() == [0, 1, 2]


class Keeper:
    """As much of a model, and of its monitor, as selection needs."""

    figures = {'haar_distance': 'lower'}

    def __init__(self, models):
        opt = {'path': {'models': str(models)}, 'val': {'select': 'haar_distance'},
               'datasets': {'val': {'name': 'a'}, 'val_2': {'name': 'b'}}}
        self.keep_best, self.saved = Validator(self, self, opt).keep_best, 0

    def save_best(self):
        self.saved += 1


def validation(iteration, value, warned=False, dataset='a'):
    return {'iter': iteration, 'dataset': dataset, 'metrics': {}, 'figures': {'haar_distance': value},
            'warnings': {'color': '...'} if warned else {}}


def test_only_better_networks_replace_the_best(tmp_path):
    keeper = Keeper(tmp_path)
    kept = []
    for entry in (validation(1, 3.0, warned=True), validation(2, 4.0), validation(3, 2.0, warned=True),
                  validation(4, math.nan), validation(5, 4.5), validation(5, 1.0, dataset='b'), validation(6, 3.5)):
        keeper.keep_best(entry)
        kept.append(read_best(tmp_path)['iter'])
    assert kept == [1, 2, 2, 2, 2, 2, 6] and keeper.saved == 3

    resumed = Keeper(tmp_path)  # knows what was best before
    resumed.keep_best(validation(7, 3.9))
    assert resumed.saved == 0 and read_best(tmp_path)['value'] == 3.5
    resumed.keep_best(validation(6, 3.7))  # an iteration that is run again replaces its own record
    assert read_best(tmp_path)['value'] == 3.7


def test_a_damaged_record_of_the_best_is_no_obstacle(tmp_path):
    (tmp_path / 'net_g_best.json').write_text('{"metric": ')
    assert read_best(tmp_path) is None
    Keeper(tmp_path).keep_best(validation(1, 3.0))
    assert json.loads((tmp_path / 'net_g_best.json').read_text())['value'] == 3.0
    write_best(tmp_path, {'metric': 'a', 'value': math.inf, 'better': 'lower', 'iter': 1})
    assert read_best(tmp_path) is None


# --- small parts ------------------------------------------------------------------------------------------------------


def test_shares_of_the_loss():
    shares = loss_shares({'l_sup_1': 3.0, 'l_sup_2': 1.0, 'l_collab_1': 0.5, 'l_adapt_2': 0.5, 'psnr': 9})
    assert shares == {'sup': 0.8, 'collab': 0.1, 'adapt': 0.1}
    assert loss_shares({'l_sup_1': 1.0, 'l_consistency_1': 1.0, 'l_distance_1': 2.0}) == {
        'sup': 0.25, 'consistency': 0.25, 'distance': 0.5}
    assert loss_shares({}) == {} and loss_shares({'l_sup_1': 0.0}) == {}


def test_heat_rises_in_brightness():
    ramp = heat(torch.linspace(0, 1, 50)[None]).mean(0)[0]
    assert (ramp.diff() > 0).all()
    assert torch.isfinite(heat(torch.zeros(2, 2))).all()


def test_pictures_of_different_sizes_stand_side_by_side():
    whole = side_by_side([torch.zeros(3, 4, 5), torch.zeros(3, 6, 2)])
    assert whole.shape == (3, 6, 9) and whole[:, 5, 0].tolist() == [1, 1, 1]
    assert side_by_side([torch.zeros(3, 4, 5), torch.zeros(3, 6, 2)], across=False).shape == (3, 12, 5)
