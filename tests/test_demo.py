"""The demo from its data to its table and picture, for a few iterations, in a copy of the repository."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

import ready_python
from option_tools import of_one_small_crop

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = ('.*', 'experiments', 'results', 'datasets', 'tb_logger', 'build', '*.egg-info', '__pycache__', 'tests')


def demo(root, *args):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT / 'tests')}
    return ready_python.run([sys.executable, 'scripts/run_demo.py', *args], cwd=root, env=environment, text=True,
                            capture_output=True)


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    """The repository, with trainings of two iterations of one small crop in one layout, a choice on four photos, and
    processes that are forked."""
    root = shutil.copytree(ROOT, tmp_path_factory.mktemp('demo') / 'mssr', ignore=shutil.ignore_patterns(*WRITTEN))
    for name in ('degradation_deresnet', 'adapt'):  # the demo takes five times as many at most, or ten
        path = root / 'options' / 'recipes' / f'{name}.yml'
        text, changed = re.subn(r'\btotal_iter: \d+', 'total_iter: 2', path.read_text())
        assert changed == 2  # the training's and its scheduler's
        path.write_text(re.sub(r'\bdecay_start: \d+', 'decay_start: 1', of_one_small_crop(text)))
    for name, was, becomes in (
            ('mssr_adapt/clock.py', 'LONGEST = 0.1, 20.0', 'LONGEST = 0.1, 5.0'),
            ('mssr_adapt/adaptation.py', '^PHOTOS, FEWEST, SIDE = 12, 4, 64', 'PHOTOS, FEWEST, SIDE = 4, 4, 64'),
            ('mssr_train/job.py', '^import subprocess$', 'import ready_python as subprocess'),
            ('scripts/run_demo.py', '^import subprocess$', 'import ready_python as subprocess')):
        text, changed = re.subn(was, becomes, (root / name).read_text(), flags=re.MULTILINE)
        assert changed == 1
        (root / name).write_text(text)
    return root


def test_data_adaptation_table_and_picture(copy):
    done = demo(copy)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for command in ('make_demo_data.py', 'adapt.py'):
        assert re.search(rf'^\$ python .*{command}', done.stdout, re.M)
    table = re.findall(r'^ *(interpolation|perception [\d.]+) +([\d.]+) +([\d.]+)', done.stdout, re.M)
    assert [row[0] for row in table][:2] == ['interpolation', 'perception 0'] and len(table) >= 3
    assert all(10 < float(psnr) < 40 and 0 < float(ssim) < 1 for _, psnr, ssim in table)
    with Image.open(copy / 'demo' / 'demo.png') as picture:
        assert picture.size == (5 * 306 - 6, 26 + 3 * 306 - 6)
    assert (copy / 'demo' / 'restorer.safetensors').exists() and (copy / 'demo' / 'report.html').exists()
    assert len(list((copy / 'demo' / 'restored').iterdir())) == 20


def test_help_and_misspelt_words_train_nothing(copy):
    helped, misspelt = demo(copy, '--help'), demo(copy, '--iterations', '2')
    assert helped.returncode == 0 and 'make demo' in helped.stdout and '$ python' not in helped.stdout
    assert misspelt.returncode != 0 and '--iterations' in misspelt.stderr and '$ python' not in misspelt.stdout
