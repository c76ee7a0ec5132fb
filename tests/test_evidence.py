"""The evidence benchmark: plan, split, statistics, the known camera, and a whole small run as a user starts it."""

import json
import math
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from basicsr.models import build_model
from hypothesis import given, settings
from hypothesis import strategies as st

import ready_python

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import benchmarks.evidence.__main__ as evidence
import benchmarks.evidence.run as evidence_run
from backbone_tools import write_backbone
from benchmarks.evidence.generators import BANDS, transfer
from benchmarks.evidence.known_degradation import DEFAULTS, KnownDegradation
from benchmarks.evidence.pictures import busiest, choose
from benchmarks.evidence.plan import ROWS, Part, Planner, set_iterations
from benchmarks.evidence.run import Runner
from benchmarks.evidence.statistics import gap_share, interval, over_seeds, paired
from benchmarks.evidence.world import HR_TRAIN, LR_TRAIN, make_known_world, read_rgb, read_world, split_photos
from data_tools import write_photo
from inference_tools import picture
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.errors import UserError
from mssr_metric import perceptual_metrics
from mssr_options.check import check_options
from mssr_options.reader import read_options
from mssr_train import job

CLEAN = 13  # photos: 8 for validation, 2 for LR, 3 for HR
SUPERVISED = {'pixel_opt'}


@pytest.fixture(scope='module', autouse=True)
def _fork_trainings():
    with pytest.MonkeyPatch.context() as patch:
        ready_python.fork_for(job, patch.setattr)
        yield


@pytest.fixture(scope='module')
def recipes(tmp_path_factory):
    """The recipes that ship, in a folder of their own."""
    folder = tmp_path_factory.mktemp('recipes')
    for file in (ROOT / 'options' / 'recipes').glob('*.yml'):
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope='module')
def clean(tmp_path_factory):
    """Small clean photos."""
    folder = tmp_path_factory.mktemp('clean')
    for k in range(CLEAN):
        write_photo(folder / f'photo{k}.png', picture(130 + k, 141, seed=k))
    return folder


@pytest.fixture(scope='module')
def world(clean, tmp_path_factory):
    return make_known_world(clean, tmp_path_factory.mktemp('world') / 'small')


@pytest.fixture(scope='module')
def run(clean, recipes, tmp_path_factory):
    """A whole run as a user starts it; its folder and the command."""
    out = tmp_path_factory.mktemp('run')
    command = ['--known', str(clean), '--size', 'smoke', '--recipes', str(recipes), '--out', str(out),
               '--rows', 'interpolation', 'bicubic', 'probabilistic', 'oracle']
    assert evidence.main(command) == 0
    return out, command


# --- a whole run --------------------------------------------------------------------------------------------------


def test_a_run_measures_what_the_tests_wrote(run):
    out, _ = run
    results = json.loads((out / 'results.json').read_text())
    assert list(results['figures']) == ['interpolation', 'bicubic', 'probabilistic', 'oracle']
    assert not results['unfinished'] and len(results['images']) == 8
    for row in ('bicubic', 'probabilistic', 'oracle'):
        (log,) = (out / 'results' / f'test_sr_{row}_s0').glob('*.log')
        for metric, values in results['figures'][row]['0'].items():
            if metric != 'lpips':
                logged = float(re.search(rf'# {metric}: (\S+)', log.read_text())[1])
                assert np.mean(values) == pytest.approx(logged, abs=1e-4)
    assert results['summary']['differences']['oracle - bicubic']['psnr_mssr']['images'] == 8


def test_a_run_scores_the_generator_against_the_truth(run):
    found = json.loads((run[0] / 'results.json').read_text())['generators']['deresnet']['0']['truth']
    truth, bicubic = found['truth'], found['bicubic']
    # Other draws of the truth are nearer to it than bicubic LR is, in all that can be compared.
    for figure in ('mean_difference', 'spectrum_distance'):
        assert truth[figure] < bicubic[figure] / 2
    assert abs(truth['detail'] - 1) < (bicubic['detail'] - 1) / 2
    assert bicubic['diversity'] == 0 < truth['diversity'] and bicubic['noise_level'] < truth['noise_level']


def test_a_run_compares_filters_with_the_pairs(run):
    out, _ = run
    found = json.loads((out / 'results.json').read_text())['generators']['deresnet']['0']['pairs']
    real = found['real']
    assert real['transfer'][0] > 0.9 > real['transfer'][-1]  # the known camera blurs
    assert found['generated']['transfer'][0] == pytest.approx(1, abs=0.1)  # hardly trained, it adds to bicubic LR
    assert real['residual'][-1] > 10 * real['residual'][0]  # and its noise is white, unlike photos
    assert '| against the validation pairs | gain | rest |' in (out / 'results.md').read_text()


def test_transfer_is_the_filter_and_the_rest_is_noise():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(128, 30, (3, 96, 120)))
    spectrum = torch.fft.fft2(x)
    rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (96, 120))
    gaussian = torch.exp(-8 * (rows[:, None] ** 2 + columns**2))
    blurred = torch.fft.ifft2(spectrum * gaussian).real
    noise = torch.from_numpy(rng.normal(0, 15, x.shape))
    gain, rest = transfer([blurred + noise], [x])
    middles = [(k + 0.5) / (2 * BANDS) for k in range(BANDS)]
    assert gain == pytest.approx([math.exp(-8 * middle**2) for middle in middles], abs=0.06)
    assert rest == pytest.approx([0.25] * BANDS, abs=0.06)
    gain, rest = transfer([x, x], [x, x])
    assert gain == pytest.approx([1] * BANDS) and rest == pytest.approx([0] * BANDS, abs=1e-9)


def test_a_run_writes_tables_a_plot_and_pictures(run):
    out, _ = run
    text = (out / 'results.md').read_text()
    assert '`probabilistic`' in text and '## What holds' in text and 'against the truth' in text
    for link in re.findall(r'!\[.*?\]\((.*?)\)', text):
        assert (out / link).is_file()
    drawn = ET.parse(out / 'plot.svg').getroot()
    labels = {element.text for element in drawn.iter('{http://www.w3.org/2000/svg}text')}
    assert {ROWS['bicubic'].title, ROWS['oracle'].title} <= labels and ROWS['full'].title not in labels
    assert cv2.imread(str(out / 'pictures_median.png')).shape[1] > 5 * 320  # interpolation, three rows, truth


def test_the_same_command_trains_nothing_again(run, monkeypatch):
    out, command = run
    before = (out / 'results.json').read_text()
    monkeypatch.setattr(evidence_run, 'Job', None)
    for extra in ([], ['--report-only']):
        (out / 'results.md').unlink()
        assert evidence.main([*command, *extra]) == 0
        assert (out / 'results.md').is_file()
    after = json.loads((out / 'results.json').read_text())
    assert after['figures'] == json.loads(before)['figures']
    assert after['command'] == json.loads(before)['command']  # not the one that merely reported


def test_lpips_is_measured_where_weights_are_at_hand(run, tmp_path, monkeypatch):
    out, command = run
    write_backbone(tmp_path)
    monkeypatch.setenv('MSSR_WEIGHTS', str(tmp_path))
    perceptual_metrics._network.cache_clear()
    assert evidence.main([*command, '--report-only']) == 0
    results = json.loads((out / 'results.json').read_text())
    means = {row: results['summary']['rows'][row]['lpips']['mean'] for row in ('bicubic', 'interpolation')}
    difference = results['summary']['differences']['bicubic - interpolation']['lpips']
    assert means['bicubic'] > 0
    assert difference['mean'] == pytest.approx(means['interpolation'] - means['bicubic'])  # less is better
    assert 'LPIPS' in (out / 'results.md').read_text()
    perceptual_metrics._network.cache_clear()


def test_rows_of_several_commands_stand_in_one_table(run):
    out, command = run
    assert evidence.main([*command[:command.index('--rows')], '--rows', 'bicubic', '--report-only']) == 0
    results = json.loads((out / 'results.json').read_text())
    assert list(results['figures']) == ['interpolation', 'bicubic', 'probabilistic', 'oracle']


def test_a_part_goes_on_where_it_was(run):
    """Without its last state a training takes up the one before, and ends in the same weights."""
    out, command = run
    experiment, record = out / 'experiments' / 'g_deresnet_s0', out / 'parts' / 'g_deresnet_s0.json'
    weights = torch.load(experiment / 'models' / 'net_g_latest.pth', weights_only=True)['params']
    record.write_text(json.dumps({**json.loads(record.read_text()), 'finished': False}))
    for path in (*experiment.glob('models/*_latest.pth'), *experiment.glob('models/*_4.pth'),
                 experiment / 'training_states' / '4.state'):
        path.unlink()
    assert evidence.main(command) == 0
    assert 'training_states/3.state' in (out / 'logs' / 'g_deresnet_s0.log').read_text()
    again = torch.load(experiment / 'models' / 'net_g_latest.pth', weights_only=True)['params']
    assert all(torch.equal(value, again[name]) for name, value in weights.items())


def test_other_settings_do_not_mix_with_what_is_there(run, capsys):
    out, command = run
    assert evidence.main([*command, '--size', 'cpu']) == 2
    assert f"--out {out} holds the part 'g_deresnet_s0' made by other options" in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'words'), [
    ([], 'either WORLD or --known'),
    (['WORLD', '--known', 'WORLD'], 'either WORLD or --known'),
    (['nowhere'], "there is no folder '.*nowhere'"),
    (['EMPTY'], 'WORLD/train-clean-images'),
    (['WORLD', '--seeds', '1', '1'], 'names a seed twice'),
    (['WORLD', '--renew', '--report-only'], 'give one of them'),
    (['WORLD', '--jobs', '0'], '--jobs must be 1 or more'),
    (['WORLD', '--recipes', 'EMPTY'], 'degradation_deresnet.yml'),
    (['--known', 'EMPTY'], '--known'),
    (['PLAIN', '--rows', 'oracle'], 'a world whose degradation is known'),
    (['WORLD', '--rows', 'full', '--report-only'], 'no row is finished yet'),
])
def test_mistakes_are_one_sentence(world, recipes, tmp_path, capsys, arguments, words):
    places = {'WORLD': world.root, 'EMPTY': tmp_path / 'empty', 'PLAIN': tmp_path / 'p'}
    (tmp_path / 'empty').mkdir()
    shutil.copytree(world.root, tmp_path / 'p', ignore=shutil.ignore_patterns('known_degradation.pth'))
    arguments = [str(places.get(argument, argument)) for argument in arguments]
    defaults = ['--out', str(tmp_path / 'out')]
    defaults += [] if '--recipes' in arguments else ['--recipes', str(recipes)]
    assert evidence.main([*arguments, *defaults]) == 2
    error = capsys.readouterr().err
    assert re.search(words, error) and error.startswith('error: ') and 'Traceback' not in error


# --- processes ----------------------------------------------------------------------------------------------------


def part(name, needs=(), digest='x'):
    return Part(name, {'name': name, 'train': {'total_iter': 5}}, None, list(needs), digest)


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Processes that run a few lines of Python instead of a training; ``OUT/order`` tells what began and ended."""
    def use(lines):
        program = tmp_path / 'entry.py'
        program.write_text('import sys, time, pathlib\nroot, name = pathlib.Path(sys.argv[1]), '
                           'pathlib.Path(sys.argv[3]).stem\n'
                           'def note(what):\n with open(root / "order", "a") as file: file.write(what + name + "\\n")\n'
                           + lines)
        monkeypatch.setattr(evidence_run, 'COMMAND', (sys.executable, str(program)))
        return tmp_path

    return use


def test_parts_wait_for_what_they_need(stand_in):
    out = stand_in('note("+")\ntime.sleep(0.2)\nnote("-")\n')
    said = []
    parts = [part('sr', ['a', 'b']), part('a'), part('b'), part('alone')]
    Runner(out, 2, 1).run(parts, said.append)
    order = (out / 'order').read_text().split()
    assert order.index('+sr') > max(order.index('-a'), order.index('-b'))
    running = np.cumsum([1 if item[0] == '+' else -1 for item in order])
    assert running.max() == 2 and len(said) == 4
    Runner(out, 2, 1).run(parts, said.append)
    assert len((out / 'order').read_text().split()) == 8  # nothing ran again


def test_a_failure_ends_the_run_and_says_why(stand_in):
    out = stand_in('if name == "bad":\n print("error: no such thing")\n sys.exit(2)\ntime.sleep(60)\n')
    with pytest.raises(UserError, match='bad failed; .*bad.log ends in: error: no such thing'):
        Runner(out, 2, 1).run([part('bad'), part('other'), part('later', ['bad'])], print)
    assert not Runner(out, 2, 1).record(part('other'))['finished']
    assert not (out / 'parts' / 'later.json').exists()


def test_an_interrupted_run_lets_its_processes_save(stand_in):
    out = stand_in('import signal\n'
                   'def stop(*_):\n note("saved-")\n sys.exit(143)\n'
                   'signal.signal(signal.SIGTERM, stop)\nnote("+")\nif name == "quick": sys.exit(0)\ntime.sleep(60)\n')

    def interrupt(_):
        while '+slow' not in (out / 'order').read_text():
            pass
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(out, 2, 1).run([part('slow'), part('quick')], interrupt)
    assert 'saved-slow' in (out / 'order').read_text()
    record = Runner(out, 2, 1).record(part('slow'))
    assert record['seconds'] > 0 and not record['finished']
    assert Runner(out, 2, 1).record(part('quick'))['finished']


def test_parts_of_other_options_are_refused_or_renewed(stand_in):
    out = stand_in('note("+")\n')
    Runner(out, 1, 1).run([part('a'), part('b')], print)
    states = out / 'experiments' / 'a' / 'training_states'
    states.mkdir(parents=True)
    (states / '3.state').touch()
    changed = [part('a', digest='y'), part('b')]
    assert [Runner(out, 1, 1).is_finished(one) for one in changed] == [False, True]
    with pytest.raises(UserError, match="holds the part 'a' made by other options.*--renew"):
        Runner(out, 1, 1).run(changed, print)
    Runner(out, 1, 1, renew=True).run(changed, print)
    assert (out / 'order').read_text().split() == ['+a', '+b', '+a'] and not states.exists()
    assert all(Runner(out, 1, 1).is_finished(one) for one in changed)


# --- the plan -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def parts(world, recipes, tmp_path_factory):
    planner = Planner(world, tmp_path_factory.mktemp('plan'), 'cpu', recipes)
    return {part.name: part for part in planner.parts(list(ROWS), [3])}


def test_rows_differ_in_what_they_should_alone(parts):
    full = parts['sr_full_s3'].opt
    for row in ROWS:
        if not ROWS[row].generators:
            continue
        opt = parts[f'sr_{row}_s3'].opt
        for key in ('manual_seed', 'datasets', 'scale', 'model_type'):
            assert opt[key] == full[key]
        losses = {key for key in opt['train'] if key.endswith('_opt')}
        assert losses == SUPERVISED | ({'collab_opt'} if 'collab_opt' in ROWS[row].terms else set()) | (
            {'adapt_opt'} if 'adapt_opt' in ROWS[row].terms else set())
        told_apart = {'collab_opt', 'adapt_opt', 'lq_jpeg', 'lq_strength', 'lq_noise'}  # lq_*: by what LR comes from
        assert {key: value for key, value in opt['train'].items() if key not in told_apart} == {
            key: value for key, value in full['train'].items() if key not in told_apart}
        branches = opt['network_g']['branches']
        assert len(branches) == (3 if row == 'three' else 2) and all(b == branches[0] for b in branches)
    assert parts['g_deterministic_s3'].opt['network_g'] == {**parts['g_deresnet_s3'].opt['network_g'], 'noise_std': 0}
    assert parts['sr_mixed_s3'].needs == ['g_deresnet_s3', 'g_han_s3']
    assert parts['g_third_s3'].opt['manual_seed'] != parts['g_deresnet_s3'].opt['manual_seed']
    assert len({part.digest for part in parts.values()}) == len(parts)


def test_what_is_drawn_beside_noise_has_no_part_in_the_deterministic_row(world, recipes, tmp_path):
    """JPEG's quality and the strength of a degradation: fixed there, and absent where there is no generator; the share
    of noise is absent in both."""
    folder = shutil.copytree(recipes, tmp_path / 'recipes')
    for file in folder.glob('*.yml'):
        text = re.sub('^  lq_(jpeg|strength|noise): .*\n', '', file.read_text(), flags=re.M)
        strength = '  lq_strength: [0.2, 1]\n  lq_noise: [0.5, 1]\n' if file.name == 'mssr.yml' else ''
        file.write_text(re.sub('^train:\n', f'train:\n  lq_jpeg: auto\n{strength}', text, flags=re.M))
    parts = {part.name: part for part in Planner(world, tmp_path, 'cpu', folder).parts(list(ROWS), [0])}
    for name, part in parts.items():
        expected = {'sr_bicubic_s0': (None, None, None), 'sr_oracle_s0': (None, None, None),
                    'g_deterministic_s0': ('median', None, None), 'sr_deterministic_s0': ('median', [0.6, 0.6], None)}
        usual = ('auto', [0.2, 1], [0.5, 1]) if name.startswith('sr_') else ('auto', None, None)
        found = tuple(part.opt['train'].get(f'lq_{key}') for key in ('jpeg', 'strength', 'noise'))
        assert found == expected.get(name, usual), name
    for file in folder.glob('*.yml'):
        file.write_text(re.sub('^  lq_(jpeg|strength|noise): .*\n', '', file.read_text(), flags=re.M))
    for part in Planner(world, tmp_path, 'cpu', folder).parts(list(ROWS), [0]):
        assert not {'lq_jpeg', 'lq_strength', 'lq_noise'} & set(part.opt['train'])


def test_wide_networks_learn_at_a_rate_that_they_bear(world, recipes, tmp_path):
    for size in ('cpu', 'gpu'):
        planner = Planner(world, tmp_path, size, recipes)
        rates = {part.name: part.opt['train']['optim_g']['lr'] for part in planner.parts(list(ROWS), [0])}
        assert rates['sr_full_s0'] == (planner.recipes['sr']['train']['optim_g']['lr'] if size == 'cpu' else 2e-4)
        assert rates['g_han_s0'] == planner.recipes['han']['train']['optim_g']['lr']


def test_rows_begin_with_the_same_weights(parts):
    """Whatever a row learns from is built after its networks, so that it does not move the random numbers before."""
    import mssr_model  # noqa: F401  (registers the model)

    states = []
    for row in ('bicubic', 'oracle'):
        opt = parts[f'sr_{row}_s3'].opt
        torch.manual_seed(opt['manual_seed'])
        states.append(build_model({**opt, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'num_gpu': 0,
                                   'path': {}, 'val': {}}).net_g.state_dict())
    assert states[0] and all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize('size', ['cpu', 'gpu', 'smoke'])
def test_every_option_file_of_a_plan_is_sound(world, recipes, tmp_path, size):
    from mssr_options.reader import effective_yaml

    for part in Planner(world, tmp_path, size, recipes).parts(list(ROWS), [0]):
        for opt in (part.opt, part.test):
            if opt is not None:
                file = tmp_path / 'opt.yml'
                file.write_text(effective_yaml(opt))
                check_options(read_options(str(file)), str(file), opt is part.opt)


def test_validation_photos_are_not_trained_on(parts, world):
    for part in parts.values():
        text = json.dumps(part.opt)
        assert 'valid-' not in text and world.role(HR_TRAIN) in text and world.role(LR_TRAIN) in text


@given(total=st.integers(10, 100_000), new=st.integers(1, 200_000))
def test_a_schedule_keeps_its_proportions(total, new):
    train = {'total_iter': total, 'collab_start_iter': total // 2, 'warmup_iter': -1,
             'scheduler': {'type': 'LinearDecayLR', 'decay_start': total // 2, 'total_iter': total}}
    set_iterations(train, new)
    assert train['total_iter'] == train['scheduler']['total_iter'] == new and train['warmup_iter'] == -1
    assert train['collab_start_iter'] == train['scheduler']['decay_start'] < new
    assert abs(train['collab_start_iter'] - new * (total // 2) / total) <= 1


# --- the world ----------------------------------------------------------------------------------------------------


@given(st.sets(st.text('abcdefgh0123', min_size=1, max_size=6), min_size=12, max_size=150))
def test_no_photo_plays_two_roles(names):
    split = split_photos([f'{name}.png' for name in names])
    assert sorted(sum(split.values(), [])) == sorted(f'{name}.png' for name in names)
    assert len(split['valid']) == max(8, round(len(names) / 10))
    assert 0 <= len(split['hr']) - len(split['lr']) * 5 / 4 + 1.2 <= 2.4


def test_twelve_photos_are_needed():
    with pytest.raises(UserError, match='11 photos are too few'):
        split_photos([f'{k}.png' for k in range(11)])


def test_a_known_world_is_the_same_each_time(world, clean, tmp_path):
    again = make_known_world(clean, tmp_path / 'again')
    assert again.counts == {'train-clean-images': 3, 'train-noisy-images': 2, 'valid-gt-clean': 8,
                            'valid-input-noisy': 8}
    files = sorted(path.relative_to(world.root) for path in world.root.rglob('*.png'))
    assert len(files) == 21
    assert all((world.root / file).read_bytes() == (again.root / file).read_bytes() for file in files)
    hr, lr = next(iter(world.pairs.values()))
    expected = bicubic_downsample(torch.from_numpy(read_rgb(hr)).permute(2, 0, 1)[None] / 255, 4)[0]
    real = torch.from_numpy(read_rgb(lr)).permute(2, 0, 1) / 255
    assert 0.01 < (real - expected).std() < 0.2 and abs((real - expected).mean()) < 0.01
    with pytest.raises(UserError, match='other photos or settings'):
        make_known_world(clean, tmp_path / 'again', seed=1)


def test_validation_photos_must_be_pairs(world, tmp_path):
    root = shutil.copytree(world.root, tmp_path / 'w')
    first = next(iter(world.pairs.values()))[1].name
    write_photo(root / 'valid-input-noisy' / first, picture(20, 20))
    with pytest.raises(UserError, match='but HR must be 4 times LR'):
        read_world(root)
    (root / 'valid-input-noisy' / first).unlink()
    with pytest.raises(UserError, match='has no partner of the same name'):
        read_world(root)


def test_16_bit_photos_are_rounded_as_in_training(tmp_path):
    levels = np.array([0, 128, 129, 10 * 257 + 128, 10 * 257 + 129, 65535], np.uint16)
    cv2.imwrite(str(tmp_path / 'deep.png'), np.repeat(levels[None, :, None], 3, 2))
    assert read_rgb(tmp_path / 'deep.png')[0, :, 0].tolist() == [0, 0, 1, 10, 11, 255]


# --- the known camera ---------------------------------------------------------------------------------------------


def quiet_camera(**settings):
    """A camera without noise, with given settings."""
    camera = KnownDegradation()
    for name, value in {'full_well': 1e9, 'read_noise': 0, 'jpeg_quality': 100, 'blur': 0.1, 'anisotropy': 1,
                        **settings}.items():
        getattr(camera, name)[:] = value
    return camera


@settings(max_examples=10, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), scale=st.sampled_from([1, 2, 4]))
def test_photos_of_any_size_become_8_bit(height, width, scale):
    torch.manual_seed(0)
    x = KnownDegradation(scale)(torch.rand(2, 3, height, width))
    assert x.shape == (2, 3, math.ceil(height / scale), math.ceil(width / scale))
    assert torch.allclose(x * 255, (x * 255).round(), atol=1e-4) and x.min() >= 0 and x.max() <= 1


def test_draws_differ_and_a_seed_repeats_them():
    camera, y = KnownDegradation(), torch.rand(1, 3, 32, 32).expand(2, -1, -1, -1)
    torch.manual_seed(1)
    one, other = camera(y), camera(y)
    torch.manual_seed(1)
    assert torch.equal(camera(y), one)
    assert not torch.equal(one, other) and not torch.equal(one[0], one[1])


@pytest.mark.parametrize(('full_well', 'read_noise'), [(100, 0), (1e9, 0.02), (100, 0.02)])
def test_the_noise_is_what_was_asked_for(full_well, read_noise):
    torch.manual_seed(0)
    x = quiet_camera(full_well=full_well, read_noise=read_noise)(torch.full((1, 3, 512, 512), 0.5))
    expected = math.sqrt(0.5 / full_well + read_noise**2)
    assert x[0, 1].mean() == pytest.approx(0.5, abs=0.005)
    # JPEG, which keeps one colour for 2 x 2 pixels, spares the luma
    luma = torch.einsum('chw,c->hw', x[0], torch.tensor([0.299, 0.587, 0.114]))
    assert luma.std() == pytest.approx(expected * math.sqrt(0.299**2 + 0.587**2 + 0.114**2), rel=0.05)


def test_without_noise_and_blur_it_averages_areas():
    y = torch.nn.functional.interpolate(torch.rand(1, 1, 8, 8), scale_factor=32, mode='bilinear').expand(-1, 3, -1, -1)
    area = torch.nn.functional.avg_pool2d(y, 4)
    assert (quiet_camera()(y) - area).abs().max() < 2.5 / 255
    blurred = quiet_camera(blur=8.0)(y)
    assert (blurred - area).abs().mean() > 3 * (quiet_camera()(y) - area).abs().mean()


def test_a_checkpoint_brings_the_settings(world):
    camera = quiet_camera()
    camera.load_state_dict(torch.load(world.camera, weights_only=True)['params'])
    assert {name: tuple(getattr(camera, name).tolist()) for name in DEFAULTS} == DEFAULTS


# --- statistics ---------------------------------------------------------------------------------------------------


def test_students_interval():
    found = interval(np.array([1.0, 2.0, 3.0, 4.0]))
    half = 3.182446305284263 * math.sqrt(5 / 3) / 2  # t of 3 degrees of freedom, from tables
    assert (found.mean, found.images) == (2.5, 4)
    assert (found.low, found.high) == pytest.approx((2.5 - half, 2.5 + half))
    assert interval(np.array([1.0])).low == -math.inf


def test_seeds_are_averaged_before_images_are_compared():
    one = {'0': [1.0, 2.0, 4.0], '1': [3.0, 4.0, 6.0]}
    found = paired(one, {'': [1.0, 2.0, 3.0]})
    assert (found.mean, found.images, found.by_seed) == (pytest.approx(4 / 3), 3, pytest.approx((1 / 3, 7 / 3)))
    assert over_seeds(one) == pytest.approx((10 / 3, math.sqrt(2)))
    assert math.isnan(over_seeds({'0': [1.0, 2.0]})[1])
    assert paired(one, {'1': [2.0, 3.0, 5.0]}).by_seed == (1.0,)  # the seed in common
    assert paired(one, {'2': [2.0, 3.0, 5.0]}) is None


def test_a_claim_holds_by_its_interval_and_every_seed():
    base = {seed: [20.0, 21.0, 22.0] for seed in '01'}
    for gains, verdict in (((0.5, 0.6), 'holds'), ((-0.5, -0.6), 'does not hold'), ((1.0, -0.1), 'not resolved')):
        row = {seed: [value + gain + d for value, d in zip(base[seed], (0, 0.01, -0.01), strict=True)]
               for seed, gain in zip('01', gains, strict=True)}
        assert paired(row, base).verdict == verdict
        assert paired(row, base, lower_is_better=True).verdict == {
            'holds': 'does not hold', 'does not hold': 'holds'}.get(verdict, verdict)
    assert paired({'0': [1.0, 5.0, -4.0]}, {'0': [0.0, 0.0, 0.0]}).verdict == 'not resolved'


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12), st.floats(-3, 3))
def test_an_interval_moves_with_its_values(values, shift):
    one, moved = interval(np.array(values)), interval(np.array(values) + shift)
    assert one.low <= one.mean <= one.high
    assert (moved.low, moved.mean, moved.high) == pytest.approx(
        (one.low + shift, one.mean + shift, one.high + shift), abs=1e-9)


def test_the_share_of_the_gap():
    floor = {'0': [20.0, 22.0, 24.0, 26.0]}
    oracle = {'0': [21.0, 23.1, 25.0, 26.9]}
    half = {'0': [20.5, 22.5, 24.5, 26.5]}
    found = gap_share(half, floor, oracle)
    assert found['share'] == pytest.approx(0.5) and found['low'] < 0.5 < found['high']
    assert gap_share(oracle, floor, oracle) == {'share': 1.0, 'low': 1.0, 'high': 1.0}
    assert gap_share(half, oracle, floor) is None
    other = {'1': [0.0] * 4}
    assert gap_share(half, {**floor, **other}, {**oracle, **other}) == found  # the seed in common
    assert gap_share(other, floor, oracle) is None


# --- pictures -----------------------------------------------------------------------------------------------------


def test_pictures_are_chosen_by_the_rule():
    figures = {'interpolation': {'': {'psnr_mssr': [20.0, 20.0, 20.0, 20.0]}},
               'full': {'0': {'psnr_mssr': [21.0, 19.0, 23.0, 22.0]}}}
    assert choose(figures, ['a', 'b', 'c', 'd'], 'full') == {'median': 'a', 'worst': 'b'}


def test_the_busiest_square_is_found():
    photo = np.full((200, 260, 3), 128, np.uint8)
    photo[100:180, 150:230] = picture(80, 80)
    top, left = busiest(photo, 96)
    assert 80 <= top + 0 <= 104 and 134 <= left <= 158
    assert busiest(photo[:60, :50], 96) == (0, 0)  # smaller than the square
