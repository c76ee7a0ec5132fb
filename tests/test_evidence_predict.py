"""Which figure predicts, and what pays with several cameras: ranks, figures, plans and tables."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.evidence import cameras, predict, without_pairs
from benchmarks.evidence.cameras import CamerasPlanner, by_group, find_groups, mean_of_weights
from benchmarks.evidence.cameras_report import to_markdown as cameras_tables
from benchmarks.evidence.candidates import CANDIDATES, CandidatePlanner
from benchmarks.evidence.predict_report import correlation, lost, spearman
from benchmarks.evidence.predict_report import to_markdown as predict_tables
from benchmarks.evidence.without_pairs import FIGURES, classified, divergence
from benchmarks.evidence.world import SCALE, read_world
from data_tools import write_photo
from inference_tools import picture
from mssr_adapt.starts import BUNDLED, read_start
from mssr_compat.errors import UserError
from mssr_data.photo_pool import read_photos
from mssr_degradation import LearnedDegradation
from mssr_options.check import check_options
from mssr_options.pretrained import resolve_pretrained
from mssr_options.reader import effective_yaml, read_options

LEARNED = [name for name, candidate in CANDIDATES.items() if candidate.generator]


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Two sources, all photos small."""
    root = tmp_path_factory.mktemp('world') / 'two'
    for k in range(6):
        write_photo(root / 'train-clean-images' / f'clean{k}.png', picture(160, 160, seed=k))
        source = 'grainy' if k % 2 else 'fine'
        write_photo(root / 'train-noisy-images' / f'{source}_{k}.png', picture(64, 64, seed=10 + k))
    for k, source in enumerate(('fine', 'grainy')):
        write_photo(root / 'valid-gt-clean' / f'{source}_{k}.png', picture(128, 128, seed=20 + k))
        write_photo(root / 'valid-input-noisy' / f'{source}_{k}.png', picture(32, 32, seed=20 + k))
    (root / 'sources.json').write_text(json.dumps({'fine': {}, 'grainy': {}}))
    return read_world(root)


@pytest.fixture(scope='module')
def start(world):
    return read_start([BUNDLED], SCALE, read_photos({'dataroot_gt': world.role('train-clean-images')}, 'gt', 2, 128))


# --- ranks --------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(arrays(float, (2, 7), elements=st.floats(-3, 3)))
def test_correlations_of_ranks_are_spearmans(values):
    expected = 0.0 if min(np.ptp(values, axis=1)) == 0 else spearmanr(*values).statistic
    assert spearman(values) == pytest.approx(expected, abs=1e-9)
    assert spearman(np.stack([values, values], 1)) == pytest.approx([expected] * 2, abs=1e-9)


def found(figure, psnr):
    return {'figures': dict.fromkeys(FIGURES, figure), 'noise': None,
            'outcomes': {'set': {'psnr': [psnr, psnr], 'lpips': [1 - psnr / 50] * 2, 'knob_psnr': [psnr],
                                 'knob_lpips': [1 - psnr / 50]}}}


def results(quality):
    """Of figures 0, 1, 2, ...; one world."""
    candidates = {name: found(float(k), 20 + quality(k)) for k, name in enumerate(CANDIDATES)}
    return {'command': 'c', 'machine': 'm', 'torch': 't', 'start': ['s'], 'worlds': {
        'one': {'candidates': candidates, 'pairs': {'set': 2}, 'start': {'set': {'psnr': [20.0], 'lpips': [0.5]}}}}}


@pytest.mark.parametrize('quality, wanted, loses', [(lambda k: -k, 1, 0), (lambda k: k, -1, len(CANDIDATES) - 1)])
def test_a_figure_that_ranks_as_sr_does_predicts(quality, wanted, loses):
    for metric in ('psnr', 'lpips'):
        for learned in (False, True):
            assert correlation(results(quality), 'niqe', metric, learned) == pytest.approx((wanted,) * 3)
    assert float(lost(results(quality), 'niqe')[0]) == pytest.approx(loses)


def test_what_learned_nothing_can_be_left_out():
    made = results(lambda k: 0)
    for k, name in enumerate(CANDIDATES):  # among those that learned, less is better; of the others, more, and best
        made['worlds']['one']['candidates'][name] = found(float(k), 20 - k) if name in LEARNED else found(99.0 + k, 40)
    assert correlation(made, 'niqe', 'psnr', True)[0] == pytest.approx(1)
    assert correlation(made, 'niqe', 'psnr', False)[0] < 0.5


def test_a_figure_that_cannot_be_measured_is_left_out():
    made = results(lambda k: -k)
    next(iter(made['worlds']['one']['candidates'].values()))['figures']['niqe'] = None
    assert correlation(made, 'niqe', 'psnr', False)[0] == pytest.approx(1)
    text = predict_tables(made)
    assert '| –' in text and all(f'`{name}`' in text for name in [*FIGURES, *CANDIDATES])


# --- figures ------------------------------------------------------------------------------------------------------


def noisy(photos, level):
    random = torch.Generator().manual_seed(0)
    return [(photo + level / 255 * torch.randn(photo.shape, generator=random)).clamp(0, 1) for photo in photos]


@pytest.fixture(scope='module')
def photos():
    return [torch.from_numpy(np.ascontiguousarray(picture(72, 72, seed=k).transpose(2, 0, 1))).float() / 255
            for k in range(6)]


def test_divergence_grows_with_what_is_wrong(photos):
    values = [divergence(photos, noisy(photos, level)) for level in (0, 4, 12)]
    assert values[0] == pytest.approx(0, abs=1e-6) and values[0] < values[1] < values[2]


def test_a_classifier_tells_noise_and_not_equals(photos, monkeypatch):
    monkeypatch.setattr(without_pairs, 'STEPS', 16)
    monkeypatch.setattr(without_pairs, 'BATCH', 4)
    monkeypatch.setattr(without_pairs, 'POOL', 48)
    state = torch.get_rng_state()
    assert classified(noisy(photos, 20), photos) > 0.9
    assert 0.3 < classified(photos, photos) < 0.7
    assert torch.equal(torch.get_rng_state(), state)


# --- plans --------------------------------------------------------------------------------------------------------


def sound(parts, folder):
    for part in parts:
        file = folder / 'opt.yml'
        file.write_text(effective_yaml(part.opt))
        opt = read_options(str(file))
        resolve_pretrained(opt)
        check_options(opt, str(file), True)
        assert 'valid-' not in json.dumps(part.opt)


def test_every_candidate_is_a_sound_training_that_differs_in_what_it_draws(world, start, tmp_path):
    planner = CandidatePlanner(world, tmp_path, start, 'smoke')
    parts = {part.name: part for part in planner.all_parts(list(CANDIDATES), 3)}
    sound(parts.values(), tmp_path)
    assert len(parts) == 3 + len(CANDIDATES)
    usual = parts['sr_deresnet_s3'].opt
    for name, candidate in CANDIDATES.items():
        opt = parts[f'sr_{name}_s3'].opt
        assert parts[f'sr_{name}_s3'].needs == ([f'g_{candidate.generator}_s3'] if candidate.generator else [])
        for key in ('network_g', 'datasets', 'manual_seed'):
            assert opt[key] == usual[key]
        same = [{key: value for key, value in one['train'].items() if not key.startswith('lq_')}
                for one in (opt, usual)]
        assert same[0] == same[1]
    early, late = (parts[f'sr_{name}_s3'].opt['degradations'][0]['checkpoint'] for name in ('han_early', 'han'))
    assert early != late and late.endswith('net_g_latest.pth')
    assert early.endswith(f"net_g_{parts['g_han_s3'].opt['logger']['keep_every']}.pth")


def test_what_sr_learned_from_is_built_again(world, start, tmp_path):
    planner = CandidatePlanner(world, tmp_path, start, 'smoke')
    part, = planner.all_parts(['noisy'], 0)
    degradation = planner.degradation(part)
    assert isinstance(degradation, LearnedDegradation) and degradation.noise is None and degradation.eight_bit
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert 12 < 255 * float((degradation(flat) - 0.5).std()) < 24


def test_rows_of_cameras_learn_for_equally_long(world, start, tmp_path, monkeypatch):
    groups = [tmp_path / 'a.txt', tmp_path / 'b.txt']
    planner = CamerasPlanner(world, tmp_path, start, 'smoke', groups=groups, lengths=(12, 4, 4))
    rows = planner.parts_of(0)
    everything = [*planner.generators, *(part for parts in rows.values() for part in parts)]
    ways = {way: planner.adaptation(way, rows['three'], 0, [planner.start_file] * 3) for way in cameras.ADAPTATIONS}
    for file in groups:
        file.write_text('fine_0.png\n')
    sound([*everything, *ways.values()], tmp_path)
    assert {sum(part.iterations for part in parts) for parts in rows.values()} == {12}
    assert [part.opt['datasets']['train']['meta_info_lq'] for part in rows['groups']] == [str(file) for file in groups]
    assert all(set(part.needs) <= {one.name for one in everything} for part in [*everything, *ways.values()])
    terms = {way: {key for key in part.opt['train'] if key.endswith('_opt')} - {'pixel_opt'}
             for way, part in ways.items()}
    assert terms == {'none': set(), 'pseudo label': {'adapt_opt'}, 'distances': {'distance_opt'},
                     'consistency': {'consistency_opt'}}


def test_pairs_are_told_by_their_source(world, tmp_path):
    sets = predict.read_sets(world)
    assert {name: list(pairs) for name, pairs in sets.items()} == {'fine': ['fine_0'], 'grainy': ['grainy_1']}
    groups, files, told = find_groups(world.role('train-noisy-images'), tmp_path, cameras.read_sources(world.root))
    assert sum(one['photos'] for one in told) == 6 == sum(len(file.read_text().split()) for file in files)
    assert {source: sum(one['sources'][source] for one in told) for source in sets} == {'fine': 3, 'grainy': 3}
    assert len(groups) == len(files)


def test_a_photo_goes_to_the_branch_of_its_group_or_to_the_mean():
    nets = [lambda x: x + 1, lambda x: x + 3]
    x = torch.zeros(1)
    assert [by_group(nets, lambda x, k=k: k)(x).item() for k in (0, 1, None)] == [1, 3, 2]
    states = [{'w': torch.tensor([1.0]), 'n': torch.tensor(2)}, {'w': torch.tensor([2.0]), 'n': torch.tensor(2)}]
    assert mean_of_weights(states)['w'] == 1.5 and mean_of_weights(states)['n'] == 2


def test_tables_of_cameras_compare_what_is_there():
    def row(psnr):
        return {'0': {'fine': {'psnr': [psnr, psnr + 1], 'lpips': [0.5, 0.4]}, 'grainy': {'psnr': [20.0],
                                                                                        'lpips': [0.3]}}}

    text = cameras_tables({
        'command': 'c', 'machine': 'm', 'torch': 't', 'start': ['s'], 'lengths': (12, 4, 4),
        'groups': [{'photos': 6, 'sources': {'fine': 3, 'grainy': 3}}],
        'figures': {'one deresnet': row(20), 'three, mean': row(21)}})
    assert 'Three generators beat one' in text and 'Consistency' not in text and '+0.667' in text


def test_mistakes_are_one_sentence():
    with pytest.raises(UserError, match='--jobs must be 1'):
        predict.parse(['world', '--jobs', '0'])
    with pytest.raises(UserError, match='--seeds 0 or more, each once'):
        cameras.parse(['world', '--seeds', '1', '1'])
