"""A forked process is what a started one would be."""

import json
import os
import signal
import subprocess
import sys

import pytest

import ready_python

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='nothing is forked elsewhere')

TELL = '''
import json, multiprocessing.spawn, os, signal, sys
print(json.dumps({
    'arguments': [sys.argv, sys.orig_argv], 'path': sys.path, 'name': __name__, 'file': globals().get('__file__'),
    'folder': os.getcwd(), 'environment': {**os.environ}, 'session': os.getsid(0) == os.getpid(),
    'project': [name for name in sys.modules if name.startswith('mssr_')],
    'spawned': multiprocessing.spawn.get_preparation_data('p').get('init_main_from_path'),
    'signals': [[int(n), str(signal.getsignal(n))] for n in sorted(signal.valid_signals())],
    'blocked': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
}))
sys.exit(3)
'''


@pytest.mark.parametrize('program', [('-c', TELL), ('-m', 'tell'), ('tell.py',), ('-u', 'tell.py')])
@pytest.mark.parametrize('session', [False, True])
def test_it_is_told_the_same(tmp_path, program, session):
    (tmp_path / 'tell.py').write_text(TELL)
    found = []
    for start in (ready_python.popen, subprocess.Popen):
        with start([sys.executable, *program, 'a', 'b'], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                   env={**os.environ, 'PYTHONPATH': '/somewhere', 'RANK': '7'}, start_new_session=session) as process:
            found.append(json.loads(process.communicate()[0]))
        assert process.returncode == 3
    forked, started = found
    environments = [said.pop('environment') for said in found]
    environments[1].pop('LD_LIBRARY_PATH', None)  # importing cv2 adds to it
    assert environments[1].items() <= environments[0].items()
    assert forked == started


@pytest.mark.parametrize(('code', 'status', 'error'), [
    ('pass', 0, ''), ('import sys; sys.exit("no")', 1, 'no\n'), ('raise KeyError(3)', 1, 'KeyError: 3\n'),
    ('import os; os.kill(os.getpid(), 9)', -9, ''), ('raise KeyboardInterrupt', -2, 'KeyboardInterrupt\n'),
    ('import atexit, sys; atexit.register(print, "end", file=sys.stderr)', 0, 'end\n'),
])
def test_it_ends_the_same(code, status, error):
    forked, started = (run([sys.executable, '-c', code], capture_output=True, text=True)
                       for run in (ready_python.run, subprocess.run))
    assert forked.returncode == started.returncode == status
    assert forked.stderr.endswith(error) and started.stderr.endswith(error)


def test_it_waits_and_receives_signals():
    sleeping = [sys.executable, '-c', 'import time; time.sleep(60)']
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with ready_python.popen(sleeping, stderr=subprocess.PIPE) as process:
            assert process.status is not None, 'it was forked'
            assert process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.01)
            process.send_signal(number)  # at any moment
            assert process.wait(30) == process.poll() == -number
    with pytest.raises(subprocess.TimeoutExpired):
        ready_python.run(sleeping, timeout=0.01)


def test_torch_is_there_and_its_random_numbers_are_as_after_a_start():
    code = 'import sys; there = "torch" in sys.modules; import numpy, torch; print(there, torch.rand(1).item(), ' \
           'numpy.random.rand(), __import__("random").random())'
    one, two = (ready_python.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.split()
                for _ in range(2))
    assert one[0] == two[0] == 'True'
    assert one[1] == two[1] and one[2] != two[2] and one[3] != two[3]


def test_what_an_import_may_read_is_read_by_a_start():
    code = [sys.executable, '-c', 'import os, sys; print("torch" in sys.modules, os.environ["OMP_NUM_THREADS"])']
    done = ready_python.run(code, env={**os.environ, 'OMP_NUM_THREADS': '3'}, capture_output=True, text=True)
    assert done.stdout.split() == ['False', '3']
