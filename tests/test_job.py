"""A training as a process of its own: its log, its end, and how it is stopped."""

import sys

import pytest

from mssr_train.job import Job

LINE = '[demo..][epoch:  0, iter:   1,240, lr:(1.000e-04,)] [eta: 1 day, 0:00:50, time (data): 0.1 (0.0)] l: 1'


def job(folder, program, **more):
    return Job([sys.executable, '-c', program], folder / 'logs' / 'job.log', 1, **more)


def test_progress_is_read_from_the_log(tmp_path):
    done = job(tmp_path, f'print({LINE!r})\nprint()\nprint("end")')
    assert done.process.wait() == 0 == done.status
    assert done.iteration() == (1240, '1 day, 0:00:50')
    assert done.last_lines(2) == [LINE, 'end'] and done.seconds > 0
    other = job(tmp_path, 'import os; print(os.environ["OMP_NUM_THREADS"], os.getpgid(0) == os.getpid())', append=True,
                apart=True)
    other.process.wait()
    assert other.last_lines(2) == ['end', '1 True'] and other.iteration()[0] == 1240
    fresh = job(tmp_path, 'import sys; sys.exit(3)')
    assert fresh.process.wait() == 3 == fresh.status and fresh.iteration() == (0, '') and fresh.last_lines(5) == []


@pytest.mark.parametrize('obeys', [True, False])
def test_a_job_may_save_when_it_is_stopped_but_not_for_ever(tmp_path, obeys):
    program = ('import signal, sys, time\n'
               f'signal.signal(signal.SIGTERM, lambda *_: print("saved") or ({obeys} and sys.exit(143)))\n'
               'print("ready")\nwhile True: time.sleep(0.05)')
    running = job(tmp_path, program)
    while not running.last_lines(1):
        assert running.status is None
    running.stop(patience=30 if obeys else 0.5)
    assert running.status == (143 if obeys else -9)
    assert running.last_lines(1) == ['saved']
