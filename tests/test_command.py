"""``mssr``: one command, installed from the wheel, in folders that know no clone; and what all commands share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_packaging import build, copy_source

import ready_python
from data_tools import write_folder, write_photo
from inference_tools import picture, sr_checkpoint
from mssr_command import upscale
from mssr_command.__main__ import main as mssr
from mssr_inference.upscaler import Upscaler
from mssr_options.shipped import SHIPPED, find_option_file

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ('diagnose', 'prepare', 'adapt', 'train', 'test', 'upscale', 'degrade', 'report', 'export', 'convert',
            'page')


@pytest.fixture
def photos(tmp_path):
    for name, size in (('a', (9, 12)), ('b', (8, 8)), ('sub/c', (12, 7)), ('sub/d', (6, 6)), ('e', (5, 9))):
        write_photo(tmp_path / 'photos' / f'{name}.png', picture(*size))
    return tmp_path / 'photos'


def results(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob('*.*'))}


# --- the wheel ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """``mssr`` of an environment that has the wheel, and what it needs from here."""
    folder = tmp_path_factory.mktemp('installed')
    build('wheel', copy_source(folder)).close()
    environment = folder / 'environment'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', environment], check=True)
    python = environment / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    subprocess.run([sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-deps', '--no-index',
                    next(folder.glob('*.whl'))], check=True)
    (packages,) = environment.rglob('site-packages')
    others = Path(torch.__file__).parent.parent
    hooks = others / 'distutils-precedence.pth'  # setuptools' distutils, for BasicSR from Python 3.12 on
    (packages / 'others.pth').write_text(f'{others}\n{hooks.read_text() if hooks.is_file() else ""}')
    return python.parent / 'mssr'


def call(command, *arguments, folder):
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run([command, *map(str, arguments)], cwd=folder, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout
    assert str(ROOT) not in done.stdout
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_outside_any_clone(installed, tmp_path, photos):
    said = call(installed, '--help', folder=tmp_path)
    assert all(f'mssr {command} ' in said for command in COMMANDS)
    write_folder(tmp_path / 'clean', 3, 170, 170)
    write_folder(tmp_path / 'real', 3, 48, 48)
    said = call(installed, 'prepare', '--gt', 'clean', '--lq', 'real', '--out', 'datasets/photos', folder=tmp_path)
    assert 'dataroot_gt: datasets/photos/train-clean-images' in said
    said = call(installed, 'train', '-opt', 'recipes/degradation_deresnet.yml', '--check', '--force_yml', 'num_gpu=0',
                'network_g:num_feat=4', 'network_g:num_block=1', folder=tmp_path)
    assert 'taking the one that ships, ' in said and 'losses, iteration 1' in said
    assert f'Results: {tmp_path / "experiments" / "recipe_degradation_deresnet"}' in said
    call(installed, 'upscale', '-c', sr_checkpoint(tmp_path), '-i', 'photos', '-o', 'results', folder=tmp_path)
    assert len(results(tmp_path / 'results')) == 5


# --- what all share -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('command', COMMANDS)
def test_help_is_a_page(capsys, monkeypatch, command):
    monkeypatch.setattr(sys, 'argv', ['/somewhere/bin/mssr', command, '--help'])
    with pytest.raises(SystemExit) as status:
        mssr()
    assert not status.value.code
    said = capsys.readouterr().out
    assert said.startswith(f'usage: mssr {command} ')
    assert f'\n    mssr {command} ' in said, 'an example'
    assert 'Exit code: ' in said and '2 after a mistake' in ' '.join(said.split())


def test_help_needs_no_pytorch():
    script = f'''
import sys
from mssr_command.__main__ import main
for command in {COMMANDS}:
    sys.argv = ['mssr', command, '--help']
    try:
        main()
    except SystemExit as end:
        assert not end.code
    slow = {{'torch', 'numpy', 'cv2', 'PIL', 'basicsr', 'pydantic'}} & set(sys.modules)
    assert not slow, (command, slow)
'''
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('usage: ') == len(COMMANDS)


def test_help_of_a_script_shows_the_script(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['inference.py', '--help'])
    with pytest.raises(SystemExit):
        upscale.main()
    said = capsys.readouterr().out
    assert said.startswith('usage: python inference.py ') and '\n    python inference.py -c ' in said


@pytest.mark.parametrize(('arguments', 'said'), [([], 'mssr upscale '), (['upscal'], "no command 'upscal'")])
def test_no_command_is_a_mistake(capsys, monkeypatch, arguments, said):
    monkeypatch.setattr(sys, 'argv', ['mssr', *arguments])
    assert mssr() == 2
    assert said in ''.join(capsys.readouterr())


def test_an_own_option_file_goes_before_the_one_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('recipes/mssr.yml', 'options/recipes/mssr.yml'):
        found, note = find_option_file(name)
        assert Path(found) == SHIPPED / 'recipes' / 'mssr.yml' and found in note
    assert find_option_file('recipes/other.yml') == ('recipes/other.yml', '')
    (tmp_path / 'recipes').mkdir()
    (tmp_path / 'recipes' / 'mssr.yml').touch()
    assert find_option_file('recipes/mssr.yml') == ('recipes/mssr.yml', '')


# --- upscaling by several processes, and again ----------------------------------------------------------------------


def test_a_torn_run_goes_on(tmp_path, photos, monkeypatch, capsys):
    arguments = ['-c', str(sr_checkpoint(tmp_path)), '-i', str(photos), '--device', 'cpu', '-o']
    assert upscale.main([*arguments, str(tmp_path / 'whole')]) == 0
    upscaled, calls = Upscaler.upscaled, []

    def stop_at_the_third(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return upscaled(*args)

    monkeypatch.setattr(Upscaler, 'upscaled', stop_at_the_third)
    assert upscale.main([*arguments, str(tmp_path / 'torn'), '--skip-existing']) == 130
    assert 'with --skip-existing goes on' in capsys.readouterr().err
    assert len(results(tmp_path / 'torn')) == 2
    assert upscale.main([*arguments, str(tmp_path / 'torn'), '--skip-existing']) == 0
    assert len(calls) == 3 + 3
    assert results(tmp_path / 'torn') == results(tmp_path / 'whole')


def by_two(command, *arguments):
    line = [*ready_python.TORCHRUN, '--standalone', '--nproc_per_node=2', '-m', 'mssr_command', command,
            *map(str, arguments), '--device', 'cpu']
    return ready_python.run(line, env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
                            capture_output=True, text=True, timeout=120)


def test_processes_share_the_photos_with_the_same_result(tmp_path, photos):
    checkpoint = sr_checkpoint(tmp_path)
    assert upscale.main(['-c', str(checkpoint), '-i', str(photos), '-o', str(tmp_path / 'one'), '--device', 'cpu']) == 0
    (photos / 'bad.png').write_bytes(b'no picture')
    done = by_two('upscale', '-c', checkpoint, '-i', photos, '-o', tmp_path / 'two', '--skip-existing')
    assert done.stderr.count('1 of 6 photos could not be upscaled') == 1
    assert results(tmp_path / 'one') == results(tmp_path / 'two')


def test_processes_make_one_mistake_together(tmp_path, photos):
    done = by_two('upscale', '-c', tmp_path / 'none.pth', '-i', photos, '-o', tmp_path / 'out')
    assert done.returncode != 0
    assert done.stderr.count('error: ') == 1
    assert 'Traceback (most' not in done.stderr.split('error: ')[0]
