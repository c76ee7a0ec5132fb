"""``benchmarks/gpu.py``: whole on a CPU at toy size, a part made to fail; and parts that hang, crash or are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ready_python
from benchmarks import gpu

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(os.name == 'nt', reason='it ends groups of processes, as POSIX has them')

ROW = {'case': 'a case', 'configuration': '', 'figures': {'deviation': 0.5}, 'goal': 1.0, 'reached': True, 'note': '',
       'error': None}
TELL = f'''
import json, os, sys, time
def tell(**changes):
    with open(sys.argv[sys.argv.index('--rows') + 1], 'a') as file:
        file.write(json.dumps({ROW!r} | changes) + '\\n')
'''


# The script with its parts, and these with their trainings, forked.
FORKING = f'''
import runpy, sys
sys.path.append({str(ROOT / 'tests')!r})
from ready_python import fork_for
from mssr_train import job
fork_for(job)
sys.argv.pop(0)
sys.path[0] = {str(ROOT / 'benchmarks')!r}
runpy.run_path(sys.argv[0], run_name='__main__')
'''
FORKED = f'''
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]
from dataclasses import replace
from benchmarks import gpu
from ready_python import fork_for
fork_for(gpu)
parts = gpu.parts
gpu.parts = lambda *args: [replace(part, command=(sys.executable, '-c', {FORKING!r}, *part.command[1:]))
                           for part in parts(*args)]
sys.exit(gpu.main())
'''


def fake(name, code, limit=60.0):
    return gpu.Part(name, f'About {name}', limit, (sys.executable, '-c', TELL + code))


def states(document):
    return {part['name']: part['state'] for part in document['parts']}


def read(folder):
    return json.loads((folder / 'gpu.json').read_text())


def named(document):
    return {part['name']: part for part in document['parts']}


@pytest.mark.slow
def test_all_of_it_on_a_cpu(tmp_path):
    broken = tmp_path / 'broken' / 'spandrel'
    broken.mkdir(parents=True)
    (broken / '__init__.py').write_text("raise RuntimeError('made to fail')\n")
    path = os.pathsep.join([str(broken.parent), *filter(None, [os.environ.get('PYTHONPATH')])])
    command = [sys.executable, '-c', FORKED, '--device', 'cpu', '--size', 'toy', '--out', str(tmp_path / 'out'),
               '--minutes', '15']
    result = ready_python.run(command, capture_output=True, text=True, cwd=tmp_path,
                            env={**os.environ, 'OMP_NUM_THREADS': '1', 'GOMP_SPINCOUNT': '0', 'PYTHONPATH': path})
    assert result.returncode == 1, result.stdout + result.stderr
    document = read(tmp_path / 'out')
    assert document['finished'] and document['schema'] == gpu.SCHEMA
    parts, table = named(document), (tmp_path / 'out' / 'gpu.md').read_text()
    expected = dict.fromkeys(['machine', 'golden', 'recipes', 'steps', 'nccl', 'compiled stage2-b1'], 'done')
    assert states(document) == {**expected, 'memory': 'left out', 'inference': 'failed'}, result.stdout
    assert 'RuntimeError: made to fail' in parts['inference']['why'] and 'CPU' in parts['memory']['why']
    for name, part in parts.items():
        assert f'| {name} | {part["state"]} |' in table and f'## {part["title"]}' in table
        assert all(set(row) == set(ROW) for row in part['rows'])

    assert {row['case']: row['note'] for row in parts['machine']['rows']}['GPU'] == 'none'
    golden = parts['golden']['rows']
    assert {row['case'].split()[0] for row in golden} == {'forward', 'stage'} and all(row['reached'] for row in golden)
    assert [row['case'] for row in parts['recipes']['rows']] == [
        f'recipes/{name}.yml' for name in ('degradation_deresnet', 'degradation_han', 'mssr')]
    assert 'gloo' in parts['nccl']['rows'][0]['note']
    steps = {(row['case'], row['configuration']): row for row in parts['steps']['rows']}
    for setting, goal in (('stage2-b1', 6.0), ('stage2-b16', 3.0), ('deresnet', 3.0), ('han', 3.0)):
        for name in ('float32', 'float32, channels_last'):
            row = steps[setting, name]
            assert row['goal'] == goal and row['reached'] == (row['figures']['times_published'] >= goal)
            assert 0 <= row['figures']['losses_apart'] < 1e-5  # the same training
        assert 1e-4 < steps[setting, 'bf16']['figures']['losses_apart'] < 0.1
        assert steps[setting, 'published, float32, again']['figures']['losses_apart'] == 0
    (compiled,) = parts['compiled stage2-b1']['rows']
    assert compiled['figures']['graphs'] > 0 and compiled['figures']['losses_apart'] < 1e-5


def test_what_hangs_or_crashes_is_said(tmp_path):
    wanted = [
        fake('good', 'tell(); tell(case="another", figures={"speed": 2.0}, goal=None, reached=None)'),
        fake('hangs', 'time.sleep(600)', limit=1.0),
        fake('crashes', 'tell(); print("the | last word", flush=True); os.abort()'),
        fake('told an error', 'tell(error="RuntimeError: why", reached=None); tell()'),
        fake('silent', ''),
        fake('half a line', 'tell(); open(sys.argv[-3], "a").write("{"); os._exit(0)'),
    ]
    document = gpu.run_all(wanted, tmp_path, 9, device='cpu', size='toy').document
    assert document == read(tmp_path) and document['finished']
    assert states(document) == {'good': 'done', 'hangs': 'cut off', 'crashes': 'failed', 'told an error': 'failed',
                                'silent': 'failed', 'half a line': 'done'}
    parts = named(document)
    assert 'its 1 s were over' in parts['hangs']['why'] and parts['good']['rows'][0] == ROW
    assert f'status -{int(signal.SIGABRT)}: the | last word' in parts['crashes']['why']
    assert len(parts['crashes']['rows']) == 1
    assert 'a case: RuntimeError: why' in parts['told an error']['why'] and len(parts['told an error']['rows']) == 2
    table = (tmp_path / 'gpu.md').read_text()
    assert '| 2 | 1 of 1 |' in table and '| case | deviation | speed | goal | reached |' in table
    assert 'the / last word' in table and '**failed: RuntimeError: why**' in table


def test_no_part_is_begun_or_goes_on_without_time(tmp_path):
    late = gpu.run_all([fake('late', 'tell()')], tmp_path, (gpu.RESERVE + gpu.LEAST - 1) / 60, device='cpu', size='toy')
    part = late.parts['late']
    assert part['state'] == 'left out' and 's were left' in part['why'] and late.document['finished']
    gpu.run(fake('late', 'time.sleep(600)'), part, late, gpu.LEAST, tmp_path / 'logs')
    assert part['state'] == 'cut off' and f'its {gpu.LEAST:.0f} s were over' in part['why']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_what_it_had(tmp_path, number):
    out = tmp_path / 'out'
    code = f'''
import signal, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]
from pathlib import Path
from benchmarks import gpu
from test_gpu_benchmark import fake
signal.signal(signal.SIGTERM, gpu.stop)
gpu.run_all([fake('first', 'tell()'), fake('second', 'tell(note=str(os.getpid())); time.sleep(600)'),
             fake('third', 'tell()')], Path({str(out)!r}), 5, device='cpu', size='toy')
'''
    run = subprocess.Popen([sys.executable, '-c', code])
    end = time.monotonic() + 120
    while not ((out / 'gpu.json').is_file() and named(read(out))['second']['rows']):
        assert run.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    part = int(named(read(out))['second']['rows'][0]['note'])
    run.send_signal(number)
    run.wait(60)
    document = read(out)
    assert not document['finished'] and named(document)['first']['rows'] == [ROW]
    assert 'not finished' in (out / 'gpu.md').read_text()
    if number == signal.SIGKILL:
        assert states(document) == {'first': 'done', 'second': 'running', 'third': 'waiting'}
        os.kill(part, signal.SIGKILL)
        return
    assert states(document) == {'first': 'done', 'second': 'cut off', 'third': 'waiting'}
    assert 'the run was ended' in named(document)['second']['why']
    with pytest.raises(ProcessLookupError):
        os.kill(part, 0)


def test_peaks_of_memory_are_shown_for_each_configuration():
    step = {**ROW, 'configuration': 'bf16', 'figures': {'milliseconds': 3.0, 'peak_gib': 1.5}}
    told = [{'name': name, 'state': state, 'rows': rows} for name, state, rows in (
        ('steps deresnet', 'done', [step, ROW]), ('nccl', 'done', []), ('compiled deresnet', 'cut off', [step]))]
    names = [part['name'] for part in gpu.with_memory({'device': 'cuda', 'parts': told})]
    assert names == ['steps deresnet', 'memory', 'nccl', 'compiled deresnet']
    memory = gpu.with_memory({'device': 'cuda', 'parts': told})[1]
    assert memory['state'] == 'done' and [row['figures'] for row in memory['rows']] == [{'peak_gib': 1.5}] * 2


def test_a_gpu_that_is_not_there():
    command = [sys.executable, str(ROOT / 'benchmarks' / 'gpu.py'), '--device', 'cuda']
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''})
    assert result.returncode == 2 and '--device is cuda, but torch' in result.stderr
