"""Each benchmark runs for one iteration, so that none rots; what it measures is not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(name, *arguments):
    command = [sys.executable, str(ROOT / 'benchmarks' / name), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_step_speed(tmp_path):
    file = tmp_path / 'speed.json'
    once = ('--tiny', '--device', 'cpu', '--iterations', 1, '--warmup', 1, '--json', file)
    output = run('step_speed.py', *once)
    rows = json.loads(file.read_text())['rows']
    assert [row['setting'] for row in rows] == ['deresnet', 'han', 'stage2-b1', 'stage2-b16']
    for row in rows:
        assert row['setting'] in output and row['published'] > 0 and row['product'] > 0 and row['ratio'] > 0
