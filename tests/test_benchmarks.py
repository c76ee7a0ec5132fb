"""Each benchmark runs for one iteration, so that none rots; what it measures is not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ready_python

ROOT = Path(__file__).resolve().parent.parent


def run(name, *arguments):
    command = [sys.executable, str(ROOT / 'benchmarks' / name), *map(str, arguments)]
    result = ready_python.run(command, capture_output=True, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})
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


def test_cost(tmp_path):
    file = tmp_path / 'cost.json'
    output = run('cost.py', '--tiny', '--device', 'cpu', '--iterations', 1, '--million', '--json', file)
    rows = json.loads(file.read_text())['rows']
    assert len(rows) == 8 and all(len(row['seconds']) == len(row['amounts']) == 3 for row in rows)
    assert all(min(row['seconds']) > 0 for row in rows)
    assert output.count('\n| ') == 1 + 8 + 1 + 5  # heads, parts, and those that are for each photo


def test_the_commands_of_the_evidence():
    """What they do is looked at in test_evidence.py and test_evidence_peers.py."""
    for command in ('benchmarks.evidence', 'benchmarks.evidence.peers'):
        result = ready_python.run([sys.executable, '-m', command, '--help'], cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0 and f'python -m {command} WORLD' in result.stdout


def test_peak_memory_is_the_processs_own():
    """A parent that has had a lot does not show in its children."""
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); from benchmarks import measuring; "
            'print(measuring.resident_peak())')
    parent = (f'import subprocess, sys; block = bytearray(b"x") * (1 << 30); '
              f'print(subprocess.run([sys.executable, "-c", {code!r}], capture_output=True, text=True).stdout)')
    result = subprocess.run([sys.executable, '-c', parent], capture_output=True, text=True, check=True)
    assert 0 < int(result.stdout) < 1 << 30
