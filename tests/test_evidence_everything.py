"""One command for one seed of all evidence: what it calls, and how it ends."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import adapt
from benchmarks.evidence import everything
from benchmarks.evidence.world import LR_TRAIN, LR_VALID, ROLES
from data_tools import write_photo
from inference_tools import picture
from mssr_compat.errors import UserError


@pytest.fixture
def worlds(tmp_path):
    for name in ('camera', 'synthetic'):
        for role in ROLES:
            side = 8 if role in (LR_TRAIN, LR_VALID) else 32
            write_photo(tmp_path / name / role / 'a.png', picture(side, side))
    return [str(tmp_path / name) for name in ('camera', 'synthetic')]


def made(worlds, *others):
    return everything.steps(everything.parse([*worlds, *others]))


def main_of(command):
    if command[0] != '-m':
        return adapt.main, command[1:]
    module = f'{command[1]}.__main__' if command[1].count('.') == 1 else command[1]
    module = importlib.import_module(module)
    return getattr(module, 'main', None) or module.parse, command[2:]


def test_each_command_knows_what_it_is_given(worlds, capsys):
    for command, _ in made(worlds, '--start', 'a.pth', 'b.pth', '--checkpoint', 'Real-ESRGAN=c.pth'):
        main, arguments = main_of(command)
        with pytest.raises(SystemExit, match='0'):
            main(['--help'])
        known = capsys.readouterr().out
        for option in (argument for argument in arguments if argument.startswith('--')):
            assert f' {option}' in known, command


def test_all_parts_are_there_in_order(worlds):
    steps = made(worlds, '--out', 'o', '--seed', '2', '--size', 'smoke')
    names = [step.command[1] if step.command[0] == '-m' else step.command[0] for step in steps]
    evidence = [name.removeprefix('benchmarks.evidence').lstrip('.') for name in names]
    assert evidence == ['', '', '', 'mixed', 'predict', 'cameras', 'adapt.py', 'peers', 'adapt.py', 'peers']
    reports = [str(step.report) for step in steps]
    assert len(set(reports)) == len(reports) and all(report.startswith('o/') for report in reports)
    seeded = [step.command for step in steps if '--seed' in step.command or '--seeds' in step.command]
    assert len(seeded) == 7 and all('2' in command for command in seeded)
    assert sum('smoke' in command for command in seeded) == 5
    predict, cameras = steps[4], steps[5]
    assert predict.report.parent == cameras.report.parent  # one takes the other's parts
    assert f'ours={Path("o/adapted_camera_2/restorer.safetensors")}' in steps[7].command


@pytest.mark.parametrize('status, code, words', [
    (0, 0, None), (2, 2, 'ended with 2; the same command goes on'), (130, 130, 'goes on')])
def test_the_first_that_fails_ends_it(worlds, monkeypatch, capsys, status, code, words):
    called = []

    def run(command):
        called.append(command)
        return SimpleNamespace(returncode=status if len(called) == 4 else 0)

    monkeypatch.setattr(everything.subprocess, 'run', run)
    monkeypatch.setattr(everything, 'prepare_lpips', lambda: None)
    assert everything.main([*worlds, '--out', 'o']) == code
    shown = capsys.readouterr()
    assert len(called) == (4 if status else 10) and '[4 of 10] $ python -m benchmarks.evidence.mixed' in shown.out
    assert ('Look at' in shown.out) == (status == 0) and (words is None or words in shown.err)


def test_weights_are_missed_at_once(worlds, monkeypatch, capsys):
    def missing():
        raise UserError('AlexNet is missing.')

    monkeypatch.setattr(everything, 'prepare_lpips', missing)
    monkeypatch.setattr(everything.subprocess, 'run', lambda command: pytest.fail('it began'))
    assert everything.main(worlds) == 2
    assert 'AlexNet is missing.' in capsys.readouterr().err


@pytest.mark.parametrize('arguments, words', [(['--jobs', '0'], '--jobs'), (['--seed', '-1'], '--seed')])
def test_mistakes_are_a_sentence(worlds, capsys, arguments, words):
    assert everything.main([*worlds, *arguments]) == 2
    assert words in capsys.readouterr().err
    assert everything.main([worlds[0], worlds[0]]) == 2
    assert "Two worlds are called 'camera'" in capsys.readouterr().err
    assert everything.main(['nowhere', worlds[1]]) == 2
