"""The demo from its data to its table and picture, for a few iterations, in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = ('.*', 'experiments', 'results', 'datasets', 'tb_logger', 'build', '*.egg-info', '__pycache__', 'tests')


def demo(root, *args):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.run([sys.executable, 'scripts/run_demo.py', *args], cwd=root, env=environment, text=True,
                          capture_output=True)


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    """The repository, with trainings of two iterations."""
    root = shutil.copytree(ROOT, tmp_path_factory.mktemp('demo') / 'mssr', ignore=shutil.ignore_patterns(*WRITTEN))
    for name in ('degradation_deresnet', 'degradation_han', 'train_mssr'):
        path = root / 'options' / 'demo' / f'{name}.yml'
        text, changed = re.subn(r'\btotal_iter: \d+', 'total_iter: 2', path.read_text())
        assert changed == 2  # the training's and its scheduler's
        path.write_text(re.sub(r'\b(decay_start|collab_start_iter): \d+', r'\1: 1', text))
    return root


def test_data_trainings_table_and_picture(copy):
    done = demo(copy)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for title in ('Stage 1', 'Stage 2', 'Test'):
        assert f'== {title}' in done.stdout
    table = [line.split() for line in done.stdout.splitlines() if line.startswith('  ') and line.strip()]
    rows = {name: figures for name, *figures in table}
    for method in ('bicubic', 'S_1', 'S_2', 'ensemble'):
        assert method in rows
    psnr, ssim = map(float, rows['ensemble'])
    assert 10 < psnr < 40 and 0 < ssim < 1
    assert {'DeResnet', 'HAN', 'real'} <= set(rows)  # the learned degradations
    with Image.open(copy / 'demo' / 'mssr_demo.png') as picture:
        assert picture.size == (5 * 294 - 6, 2 * 320 - 6)
    assert (copy / 'experiments' / 'demo_mssr' / 'models' / 'net_g_latest.pth').exists()


def test_help_and_misspelt_words_train_nothing(copy):
    helped, misspelt = demo(copy, '--help'), demo(copy, '--iterations', '2')
    assert helped.returncode == 0 and 'make demo' in helped.stdout and '== Data' not in helped.stdout
    assert misspelt.returncode != 0 and '--iterations' in misspelt.stderr and '== Data' not in misspelt.stdout
