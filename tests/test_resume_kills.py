"""kill -9 at random moments of a short training that saves at each iteration; ``MSSR_KILLS`` says how often (50)."""

import os
import random
import signal
import time

import pytest
from resume_tools import assert_same_end, command, experiment, make_world, options, train

import ready_python

KILLS = int(os.environ.get('MSSR_KILLS', 4))


@pytest.mark.slow
def test_killed_again_and_again(monkeypatch, tmp_path):
    """Whatever a kill hits, a write among it, auto-resume goes on, and the end is that of an undisturbed run.

    A kill comes up to a second after the first sign of training; what was done is done again at worst up to
    the last iteration. Should the training be over before the kills are, it goes on from an earlier state.
    """
    world = make_world(tmp_path / 'world')
    opt = options(world, 'stage2', total=60, logger__save_checkpoint_freq=1, val__val_freq=7, logger__keep_last=3)
    opt['datasets']['train']['num_worker_per_gpu'] = 1
    assert train(monkeypatch, tmp_path / 'a', opt) == 0

    states = experiment(tmp_path / 'b') / 'training_states'
    rng, hit = random.Random(0), []
    for _ in range(KILLS):
        line, env = command(tmp_path / 'b', opt, '--auto_resume')
        with open(tmp_path / 'output.txt', 'w') as output:
            job = ready_python.popen(line, env=env, stdout=output, stderr=output)
        while job.poll() is None and 'Start training' not in (tmp_path / 'output.txt').read_text():
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1))
        job.send_signal(signal.SIGKILL)
        hit.append(job.wait())
        found = sorted(int(path.stem) for path in states.glob('[0-9]*.state'))
        if found and found[-1] > 20:  # the end is near: go back, so that the next kill meets a training
            for name in ('training_states', 'models'):
                for path in (states.parent / name).iterdir():
                    path.unlink()
    assert hit.count(-signal.SIGKILL) >= KILLS * 3 // 4
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    assert_same_end(experiment(tmp_path / 'a'), experiment(tmp_path / 'b'), 60)
    assert not list(experiment(tmp_path / 'b').rglob('.*.aside'))
    assert len(list(states.iterdir())) == 3
