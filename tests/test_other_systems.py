"""What only Unix has is not needed: every door opens, and works, where it is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

import ready_python
from data_tools import write_folder, write_photo
from inference_tools import generator_checkpoint, picture, sr_checkpoint
from option_tools import stage_1, write

ROOT = Path(__file__).resolve().parent.parent
# As on Windows, as far as Python and torch can do without here; asyncio reads sysconf when it is imported.
HIDE = '''
import asyncio, os, runpy, signal, sys
sys.modules.update(dict.fromkeys(['resource', 'fcntl', 'pwd', 'grp', 'termios']))
for module, names in ((signal, ['SIGCHLD', 'SIGKILL', 'SIGHUP', 'SIGALRM']),
                      (os, ['O_DIRECTORY', 'sched_getaffinity', 'sysconf', 'getuid', 'mkfifo'])):
    for name in names:
        delattr(module, name)
'''


def run(script, *arguments, folder=ROOT, start=subprocess.run):
    done = start([sys.executable, '-c', HIDE + script, *map(str, arguments)], cwd=folder, text=True,
                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout
    return done.stdout


def door(name, *arguments, folder=ROOT):
    return run(f'sys.argv[0] = {str(ROOT / name)!r}\nsys.path.insert(0, {str(ROOT)!r})\n'
               f'runpy.run_path(sys.argv[0], run_name="__main__")', *arguments, folder=folder,
               start=ready_python.run)  # test_every_module_imports begins with the first import


def test_every_module_imports():
    modules = sorted('.'.join(path.relative_to(ROOT).with_suffix('').parts)
                     for path in ROOT.glob('mssr_*/**/*.py') if path.name != '__init__.py')
    assert len(modules) > 50
    run(f'sys.path.insert(0, {str(ROOT)!r})\nimport importlib\n'
        f'for name in {modules}:\n    importlib.import_module(name)')


@pytest.mark.parametrize('name', ['inference.py', 'degrade.py'])
def test_photos_in_and_out(tmp_path, name):
    write_photo(tmp_path / 'photos' / 'a.png', picture(32, 40))
    checkpoint = {'inference.py': sr_checkpoint, 'degrade.py': generator_checkpoint}[name](tmp_path)
    door(name, '-c', checkpoint, '-i', tmp_path / 'photos', '-o', tmp_path / 'out', '--device', 'cpu')
    assert list((tmp_path / 'out').rglob('*.png'))


def test_a_training_is_checked(tmp_path):
    write_folder(tmp_path / 'clean', 3, 70, 80)
    write_folder(tmp_path / 'real', 5, 20, 24)
    write_photo(tmp_path / 'gt' / '0.png', picture(48, 64))
    write_photo(tmp_path / 'lq' / '0.png', picture(12, 16))
    write(tmp_path, stage_1())
    said = door('train.py', '-opt', 'opt.yml', '--check', folder=tmp_path)
    assert 'losses, iteration 1' in said
    assert 'peak memory' not in said
