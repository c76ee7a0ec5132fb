"""The whole adaptation: two folders in, restored photos out; stopped, gone on with, and asked for what cannot be."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import adapt
import ready_python
from data_tools import write_photo
from inference_tools import picture
from mssr_adapt import adaptation, option_files
from mssr_adapt.choice import UNSEEN
from mssr_adapt.folders import write_bundled
from mssr_adapt.option_files import OptionFiles
from mssr_adapt.starts import BUNDLED, Start, read_start
from mssr_command.work import adapt as adapt_work
from mssr_degradation import LearnedDegradation
from mssr_diagnose.groups import PhotoGroups
from mssr_inference.restorer import Restorer
from mssr_options.reader import read_options
from mssr_train import job
from option_tools import of_one_small_crop

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope='module', autouse=True)
def recipes(tmp_path_factory):
    """Recipes with batches of one crop of 96 pixels, in one layout; trainings are forked, few photos looked at."""
    recipes = tmp_path_factory.mktemp('recipes')
    for name in (option_files.GENERATOR, option_files.LEARNING):
        (recipes / name).write_text(of_one_small_crop((option_files.RECIPES / name).read_text()))
    with pytest.MonkeyPatch.context() as patch:
        ready_python.fork_for(job, patch.setattr)
        patch.setattr(option_files, 'RECIPES', recipes)
        patch.setattr(adaptation, 'PHOTOS', 6)
        yield recipes


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Clean photos; real ones: small, blurred, noisy; one of each damaged; pairs."""
    root, rng = tmp_path_factory.mktemp('adapt'), np.random.default_rng(0)

    def degraded(photo):
        small = cv2.GaussianBlur(photo, (0, 0), 2.5)[::4, ::4]
        return np.clip(small + rng.normal(0, 8, small.shape), 0, 255).round().astype(np.uint8)

    for path in sorted(write_bundled(root / 'all').iterdir()):
        photo = cv2.imread(str(path))[:352, :352]
        write_photo(root / 'clean' / f'{path.stem}.png', photo[:176])
        write_photo(root / 'real' / f'{path.stem}.png', degraded(photo[176:]))
    for role in ('clean', 'real'):
        (root / role / 'damaged.png').write_bytes(b'no photo')
    write_photo(root / 'gt' / 'a.png', photo[:128, :160])
    write_photo(root / 'lq' / 'a.png', degraded(photo[:128, :160]))
    return root


def arguments(world, out, *others):
    return ['--clean', str(world / 'clean'), '--real', str(world / 'real'), '--out', str(out), *others]


def pairs(world):
    return '--pairs', str(world / 'gt'), str(world / 'lq')


@pytest.fixture(scope='module')
def adapted(world, tmp_path_factory):
    """One adaptation from the start that ships."""
    out = tmp_path_factory.mktemp('out') / 'adapted'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OptionFiles, 'recipe_lengths', staticmethod(lambda: (4, 4)))
        status = adapt.main(arguments(world, out, *pairs(world), '--peers', str(BUNDLED)))
    return out, status


def test_everything_is_written(world, adapted):
    out, status = adapted
    assert status == 1  # one photo could not be restored: it is damaged
    restored = {path.name: cv2.imread(str(path)).shape for path in (out / 'restored').iterdir()}
    real = {path.name: cv2.imread(str(path)) for path in (world / 'real').iterdir()}
    assert restored == {name: (4 * photo.shape[0], 4 * photo.shape[1], 3) for name, photo in real.items()
                        if photo is not None}
    page = (out / 'report.html').read_text()
    said = re.sub(r'base64,[\w+/=]+', '', page)  # pictures hold any letters by chance
    assert 'http' not in said.replace('http://www.w3.org', '') and page.count('class="slider"') == 6
    for words in ('Before and after', 'One knob', 'Against ground truth', 'against PSNR (dB)', 'chosen'):
        assert words in page
    assert page.count('start.safetensors: ') == 1 + 3 * 2  # dots: against ground truth, and both ends of three lines
    names = {path.stem for path in (out / 'options').iterdir()}
    assert names == {'degradation', 'on_draws'}
    for path in (out / 'options').iterdir():
        assert read_options(str(path))['train']['total_iter'] == 4
    assert not list(out.rglob('*.aside'))


def test_the_files_can_be_used(adapted):
    out, _ = adapted
    restorer = Restorer.load(out / 'restorer.safetensors')
    record = json.loads((out / 'work' / 'adaptation.json').read_text())
    least = min(row[-1] for row in record['tried'])
    (chosen,) = (row for row in record['tried'] if (row[0], row[1]) == (record['share'], restorer.setting))
    assert chosen[-1] <= least + UNSEEN
    start = Restorer.load(BUNDLED)
    assert any(not torch.equal(restorer.fidelity[name], start.fidelity[name]) for name in start.fidelity)
    degrade = LearnedDegradation.load(out / 'degradation.safetensors')
    drawn = degrade(torch.rand(2, 3, 64, 48), generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (2, 3, 16, 12) and degrade.strength == [0, 0.7]


def test_called_again_it_has_nothing_to_do(world, adapted, capsys):
    out, _ = adapted
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*') if path.is_file()
              and path.name != 'adaptation.json'}
    assert adapt.main(arguments(world, out, *pairs(world), '--peers', str(BUNDLED))) == 1
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert 'restored photos' in capsys.readouterr().out
    assert adapt.main(arguments(world, out, *pairs(world))) == 1  # the report alone, without the other upscaler
    assert {path for path in before if before[path] != path.stat().st_mtime_ns} == {out / 'report.html'}
    assert 'start.safetensors: ' not in (out / 'report.html').read_text()


def test_another_adaptation_does_not_go_there(world, adapted, capsys):
    out, _ = adapted
    assert adapt.main(['--clean', str(world / 'clean'), '--real', str(world / 'lq'), '--out', str(out)]) == 2
    assert 'holds an adaptation of other photos' in capsys.readouterr().err


def test_a_start_of_one_kind_learns_twice(monkeypatch, world, tmp_path):
    """Of perception alone: on draws, and on bicubic LR of the same crops at the rate that was found."""
    monkeypatch.setattr(OptionFiles, 'recipe_lengths', staticmethod(lambda: (4, 4)))
    start = read_start([BUNDLED], 4, [])
    monkeypatch.setattr(adaptation, 'read_start', lambda *_: Start(start.options, 4, None, start.perception, [BUNDLED]))
    assert adapt.main(arguments(world, tmp_path / 'out', '--perception', '0.9')) == 1
    options = {path.stem: read_options(str(path)) for path in (tmp_path / 'out' / 'options').iterdir()}
    assert set(options) == {'degradation', 'on_draws', 'on_bicubic'}
    draws, bicubic = options['on_draws'], options['on_bicubic']
    assert bicubic['degradations'] == [{'type': 'BicubicDegradation', 'scale': 4}]
    assert not bicubic['train']['find_rate'] and 'gt_sharpen' not in bicubic['train']
    log = (tmp_path / 'out' / 'work' / 'logs' / 'on_draws.log').read_text()
    assert f'the rate of optim_g is {bicubic["train"]["optim_g"]["lr"]:.3g} ' in log
    assert draws['datasets'] == bicubic['datasets'] and draws['datasets']['train']['batch_size_per_gpu'] == 1
    assert draws['manual_seed'] == bicubic['manual_seed']
    assert Restorer.load(tmp_path / 'out' / 'restorer.safetensors').setting == 0.9


def test_stopped_it_goes_on(world, recipes, tmp_path):
    """Ctrl-C in the middle of a training: it is saved, and the same command does the rest."""
    code = (f"import sys; sys.path.append({str(ROOT / 'tests')!r}); from ready_python import fork_for; "
            "from mssr_train import job; fork_for(job); from mssr_adapt import option_files; from pathlib import Path; "
            f"option_files.RECIPES = Path({str(recipes)!r}); "
            "option_files.OptionFiles.recipe_lengths = staticmethod(lambda: (4, 4000)); "
            "import adapt; sys.exit(adapt.main())")
    command = [sys.executable, '-c', code, *arguments(world, tmp_path / 'out')]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    process = ready_python.popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / 'out' / 'work' / 'logs' / 'on_draws.log'
    deadline = time.monotonic() + 280
    while not (log.is_file() and re.search(r'iter: +\d+, lr', log.read_text())) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and 'the same command goes on' in errors and 'Traceback' not in errors
    states = list((tmp_path / 'out' / 'work' / 'experiments' / 'on_draws' / 'training_states').iterdir())
    assert states
    record = json.loads((tmp_path / 'out' / 'work' / 'adaptation.json').read_text())
    assert record['done'] == ['prepare', 'plan', 'degradation'] and record['seconds'] > 0


@pytest.mark.parametrize('spoil, words', [
    ('missing', "--real: '.*nowhere' does not exist"), ('few', 'at least 6 are needed'), ('scale', '--scale is 2'),
    ('start', 'no such file'), ('perception', 'from 0 to 1'), ('three', 'one file or two'), ('minutes', '--minutes'),
])
def test_mistakes_are_one_sentence(world, tmp_path, capsys, spoil, words):
    (tmp_path / 'few').mkdir()
    write_photo(tmp_path / 'few' / 'one.png', picture(64, 64))
    given = {
        'missing': ['--real', str(tmp_path / 'nowhere')], 'few': ['--real', str(tmp_path / 'few')],
        'scale': ['--scale', '2'],
        'start': ['--start', str(tmp_path / 'none.pth')], 'perception': ['--perception', '2'],
        'three': ['--start', 'a', 'b', 'c'], 'minutes': ['--minutes', '-3'],
    }[spoil]
    try:
        status = adapt.main(arguments(world, tmp_path / 'out', *given))
    except SystemExit as error:
        status = error.code
    error = capsys.readouterr().err
    assert status == 2 and 'Traceback' not in error
    assert re.search(words, error)


# --- groups ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Fifteen photos in a folder and a folder in it, of groups of seven, six and two; what is run."""
    real, run = tmp_path / 'many', []
    for k in range(15):
        write_photo(real / ('deep' if k == 3 else '') / f'{k:02}.png', picture(64, 64, seed=k))
    (real / 'torn.png').write_bytes(b'no photo')

    def grouped(photos):
        labels = np.array([0 if k < 7 else 1 if k < 13 else 2 for k in (int(Path(one.name).stem) for one in photos)])
        return PhotoGroups(np.zeros((3, 3)), np.ones((3, 3)), np.ones(3) / 3, (7, 6, 2)), labels

    class Stand:
        def __init__(self, request, say):
            self.request, self.record = request, {'failures': ['one'] * (request.out.name == 'group_2')}

        def run(self):
            run.append(self.request)

    monkeypatch.setattr(adapt_work, 'group_photos', grouped)
    monkeypatch.setattr(adapt_work, 'Adaptation', Stand)
    return real, run


def test_each_group_gets_an_adaptation(groups, tmp_path, capsys, monkeypatch):
    real, run = groups
    out = tmp_path / 'out'
    command = ['--real', str(real), '--out', str(out), '--by-group', '--minutes', '30']
    assert adapt.main(command) == 1  # a photo of the second could not be restored
    assert [(one.out, one.real, one.minutes) for one in run] == [
        (out / f'group_{k}', out / 'photos' / f'group_{k}', 15) for k in (1, 2)]
    held = [sorted(str(path.relative_to(one.real)) for path in one.real.rglob('*.png')) for one in run]
    first = [*(f'{k:02}.png' for k in (0, 1, 2, 4, 5, 6, 13, 14)), 'deep/03.png', 'torn.png']
    assert held == [first, [f'{k:02}.png' for k in range(7, 13)]]
    assert all(path.read_bytes() == (real / path.relative_to(run[0].real)).read_bytes()
               for path in run[0].real.rglob('*.png'))
    assert '2 groups, of 10, 6' in capsys.readouterr().out and len(PhotoGroups.load(out / 'groups.json')) == 3

    monkeypatch.setattr(adapt_work, 'measure_folder', lambda source: pytest.fail('measured again'))
    assert adapt.main(command) == 1 and run[2:] == run[:2]


def test_photos_of_one_group_are_adapted_as_ever(groups, tmp_path, monkeypatch):
    real, run = groups
    monkeypatch.setattr(adapt_work, 'group_photos', lambda photos: (
        PhotoGroups(np.zeros((1, 3)), np.ones((1, 3)), np.ones(1), (15,)), np.zeros(len(photos), int)))
    assert adapt.main(['--real', str(real), '--out', str(tmp_path / 'out'), '--by-group', '--minutes', '30']) == 0
    assert [(one.real, one.out, one.minutes) for one in run] == [(real, tmp_path / 'out', 30)]


def test_groups_are_told_of_where_nobody_asked(groups, tmp_path, capsys):
    real, run = groups
    assert adapt.main(['--real', str(real), '--out', str(tmp_path / 'out')]) == 0
    assert 'seem to be of 3 groups' in capsys.readouterr().out and run[0].real == real
    small = tmp_path / 'small'
    write_photo(small / 'a.png', picture(64, 64))
    assert adapt.main(['--real', str(small), '--out', str(tmp_path / 'other')]) == 0
    assert 'groups' not in capsys.readouterr().out


def test_one_table_cannot_measure_several_restorers(tmp_path, capsys):
    with pytest.raises(SystemExit):
        adapt.main(['--real', 'r', '--out', str(tmp_path), '--by-group', '--pairs', 'a', 'b'])
    assert '--by-group makes several' in capsys.readouterr().err
