"""Each benchmark runs for one iteration, so that none rots; what it measures is not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import workers_needed


def run(name, *arguments):
    command = [sys.executable, str(ROOT / 'benchmarks' / name), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_step_speed(tmp_path):
    file = tmp_path / 'speed.json'
    once = ('--tiny', '--device', 'cpu', '--iterations', 1, '--warmup', 1, '--checkpoint', '--json', file)
    output = run('step_speed.py', *once)
    rows = json.loads(file.read_text())['rows']
    assert [row['setting'] for row in rows] == ['deresnet', 'han', 'stage2-b1', 'stage2-b16']
    for row in rows:
        assert row['setting'] in output and row['published'] > 0 and row['product'] > 0 and row['ratio'] > 0


def test_inference_speed(tmp_path):
    file = tmp_path / 'speed.json'
    run('inference_speed.py', '--tiny', '--device', 'cpu', '--iterations', 1, '--warmup', 0, '--json', file)
    rows = json.loads(file.read_text())['rows']
    ways = [row['way'] for row in rows if not row['way'].startswith('realesrgan ')]  # where that is installed
    assert ways == ["Real-ESRGAN's way, whole", 'product, whole', 'product, tiles of 20',
                    'product, the same, margin 10']
    assert all(row['megapixels_per_second'] > 0 for row in rows)


def test_peer_speed(tmp_path):
    file = tmp_path / 'speed.json'
    for amp in ([], ['--amp', 'bf16']):
        run('peer_speed.py', '--tiny', '--device', 'cpu', '--iterations', 1, '--warmup', 0, '--json', file, *amp)
        rows = json.loads(file.read_text())['rows']
        assert [row['way'] for row in rows] == ['BasicSR, Real-ESRGAN', "the peers' switches", 'product']
        assert all(row['seconds'] > 0 for row in rows)


def test_growth(tmp_path):
    run('growth.py', '--tiny', '--device', 'cpu', '--iterations', 1, '--warmup', 0, '--out', tmp_path)
    for name in ('batch', 'crop', 'generators'):
        root = ElementTree.parse(tmp_path / f'{name}.svg').getroot()
        for line in ('product',) if name == 'generators' else ('published', 'product'):
            assert len(root.findall(f".//{{*}}g[@id='{line}']//{{*}}use")) == 2  # sizes
    assert len(json.loads((tmp_path / 'growth.json').read_text())['rows']) == 6


def test_precision_curves(tmp_path):
    """Two iterations: bfloat16's losses are not float32's, and near them."""
    file = tmp_path / 'curves.json'
    run('precision_curves.py', '--device', 'cpu', '--iterations', 2, '--out', tmp_path, '--json', file)
    rows = json.loads(file.read_text())['rows']
    assert {row['stage'] for row in rows} == {'stage1', 'stage2'} and any(row['apart'] for row in rows)
    assert all(abs(row['apart']) < 0.05 for row in rows)
    assert len(list(tmp_path.glob('*.svg'))) == len(rows)


def test_the_commands_of_the_evidence():
    """What they do is looked at in test_evidence.py and test_evidence_peers.py."""
    for command in ('benchmarks.evidence', 'benchmarks.evidence.peers'):
        result = subprocess.run([sys.executable, '-m', command, '--help'], cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0 and f'python -m {command} WORLD' in result.stdout


def test_data_speed():
    """One worker-less round; how much faster sub-images are is left to a run by hand."""
    output = run('data_speed.py', '--quick', '--at-least', 0, '--step', 1e9)
    assert 'sub-images, LMDB' in output
    assert all(line.split()[-2:] == ['0.0%', '1'] for line in output.splitlines()[1:])


@given(batch=st.floats(0.001, 10), step=st.floats(0.001, 10))
def test_as_few_workers_as_keep_the_wait_under_a_share(batch, step):
    def wait(workers):
        iteration = max(step, batch / workers)
        return (iteration - step) / iteration

    needed = workers_needed(batch, step)
    assert wait(needed) <= 0.05 + 1e-9
    assert needed == 1 or wait(needed - 1) > 0.05 - 1e-9


def test_peak_memory_is_the_processs_own():
    """A parent that has had a lot does not show in its children."""
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); from benchmarks import measuring; "
            'print(measuring.resident_peak())')
    parent = (f'import subprocess, sys; block = bytearray(b"x") * (1 << 30); '
              f'print(subprocess.run([sys.executable, "-c", {code!r}], capture_output=True, text=True).stdout)')
    result = subprocess.run([sys.executable, '-c', parent], capture_output=True, text=True, check=True)
    assert 0 < int(result.stdout) < 1 << 30
