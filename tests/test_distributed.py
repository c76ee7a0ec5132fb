"""Two processes on gloo, both on the CPU, against one; started by torchrun."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import torch
from resume_tools import (
    assert_same_end,
    command,
    experiment,
    load,
    log_lines,
    make_world,
    options,
    start,
    train,
)

import ready_python

pytestmark = pytest.mark.slow

MSE = {'type': 'MSELoss', 'loss_weight': 1.0}
GAN = {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1}

# Gradients are kept instead of applied, so that all steps are taken at the same weights; noise is made of the photo.
KEEP_GRADIENTS = """
import os
from mssr_arch.degradation_base import DegradationNetwork
from mssr_model.guard import Guard
DegradationNetwork.draw_noise = lambda self, y, generator=None: [
    torch.nn.functional.interpolate(y.mean(1, keepdim=True) - 0.5, size) for size in self.noise_sizes(*y.shape[-2:])]
def passes(self, losses, gradients, nets, iteration, files):
    if int(os.environ.get('RANK', 0)) == 0:
        file = f'{kept}/{iteration}-{len(os.listdir(kept))}.pth'
        torch.save([p.grad.clone() for p, _ in gradients], file)
    return False
Guard.passes = passes
kept = os.environ['KEPT']
"""


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp('world'))


def run(*args, kept=None, **kwargs):
    """A training by torchrun, or of one process, to its end; without the time for imports."""
    line, env = command(*args, torchrun=ready_python.TORCHRUN, **kwargs)
    if kept is not None:
        kept.mkdir()
        env['KEPT'] = str(kept)
    return ready_python.run(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


@pytest.mark.parametrize('case', ['stage1', 'relativistic', 'stage2', 'stage2 in parts', 'stage2 with D',
                                  'stage2 adapting'])
def test_two_processes_with_half_the_batch_are_one_with_the_whole(tmp_path, world, case):
    """Gradients agree within 1e-5 of the network's largest, in fp32; metrics of the shared validation too.

    Three validation photos on two processes: one has two of them, the other one.
    """
    stage = case.split()[0] if 'stage' in case else 'stage1'
    opt = options(world, stage, total=3, datasets__train__batch_size_per_gpu=4, val__val_freq=2)
    if stage == 'stage2':
        opt['train'] |= {'pixel_opt': MSE, 'collab_opt': MSE, 'adapt_opt': MSE}
        if case.endswith('adapting'):  # weights stay where they are, and with them their averages: at no distance
            opt['train'] |= {'consistency_opt': MSE, 'distance_opt': {'type': 'PairwiseDistanceLoss'}}
        if case.endswith('D'):
            opt['train'] |= {'gan_opt': GAN, 'optim_d': opt['train']['optim_g']}
            opt['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    else:
        opt['train']['relativistic'] = case == 'relativistic'
    whole = run(tmp_path / 'one', opt, before=KEEP_GRADIENTS, kept=tmp_path / 'gradients of one')
    assert whole.returncode == 0, whole.stdout
    opt['datasets']['train']['batch_size_per_gpu'] = 2
    if 'parts' in case:
        opt['train']['accumulate'] = 2
    halves = run(tmp_path / 'two', opt, processes=2, before=KEEP_GRADIENTS, kept=tmp_path / 'gradients of two')
    assert halves.returncode == 0, halves.stdout

    names = sorted(os.listdir(tmp_path / 'gradients of one'))
    assert names == sorted(os.listdir(tmp_path / 'gradients of two')) and len(names) >= 4
    for name in names:
        one, two = (load(tmp_path / f'gradients of {number}' / name) for number in ('one', 'two'))
        limit = 1e-5 * max(gradient.abs().max().item() for gradient in one)
        assert limit > 0
        for a, b in zip(one, two, strict=True):
            if case.endswith('D') and a.shape == (1,):
                # The bias of D's logits: the sum over all pixels of sigmoids near a half, of real photos less those of
                # restored ones. It nearly cancels, and its rounding is that of ten thousand summands in a row.
                assert abs(b - a) < 1e-4 * 0.25
                continue
            torch.testing.assert_close(b, a, rtol=0, atol=limit, msg=lambda m, name=name: f'{name}: {m}')

    logs = [log_lines(experiment(tmp_path / number)) for number in ('one', 'two')]
    assert logs[0]['validations'] == logs[1]['validations'] and logs[0]['validations']
    states = [load(experiment(tmp_path / number) / 'training_states' / '3.state') for number in ('one', 'two')]
    best = [state['best_metric_results']['pairs']['psnr']['val'] for state in states]
    assert best[1] == pytest.approx(best[0], rel=1e-12)
    for iteration in (1, 2, 3):
        figures = [[float(x) for x in re.findall(r': (\S+)', log[iteration])] for log in logs]
        assert figures[1] == pytest.approx(figures[0], rel=2e-4)  # printed with five digits


def test_two_processes_find_one_rate_and_end_together(tmp_path, world):
    """The second run's first look is beyond the bound."""
    opt = options(world, 'stage2', total=4, val__val_freq=4, logger__save_checkpoint_freq=2)
    opt['train'] |= {'find_rate': True, 'stay_near': 0.5}
    end = run(tmp_path, opt, processes=2)
    assert end.returncode == 0, end.stdout
    assert end.stdout.count('train.find_rate: the rate of optim_g is') == 1
    opt['train'] |= {'find_rate': False, 'stay_near': 1e-6}
    end = run(tmp_path, opt, '--auto_resume', processes=2)
    assert end.returncode == 0 and end.stdout.count('Training ends after iteration 4') == 1, end.stdout[-4000:]


def test_one_process_s_nan_is_skipped_by_all(tmp_path, world):
    """They go on with the same finite weights, and the first tells of the other's file."""
    spoil = f'''
import os
Model = mssr_model.MultiDegradationSRModel
feed = Model.feed_data
def feed_data(self, data):
    feed(self, data)
    if self.steps.finished_iter == 2 and os.environ['RANK'] == '1':
        self.gt.fill_(float('nan'))
        self.steps.files = ['the culprit.png']
Model.feed_data = feed_data
step = Model.optimize_parameters
def optimize_parameters(self, iteration):
    step(self, iteration)
    if iteration == 5:
        torch.save(self.get_bare_model(self.net_g).state_dict(), f'{tmp_path}/{{os.environ["RANK"]}}.pth')
Model.optimize_parameters = optimize_parameters
'''
    opt = options(world, 'stage2', total=5, val__val_freq=5)
    end = run(tmp_path, opt, processes=2, before=spoil)
    assert end.returncode == 0, end.stdout
    (warning,) = [line for line in end.stdout.splitlines() if 'not finite' in line]
    assert 'Iteration 3: l_sup_1' in warning and 'the culprit.png' in warning
    one, two = (load(tmp_path / f'{rank}.pth') for rank in '01')
    for name, value in one.items():
        assert value.isfinite().all() and torch.equal(value, two[name])


def test_one_process_is_killed_and_torchrun_starts_all_again(tmp_path, world):
    """They resume by themselves, each with its own random generators; the end is that of an undisturbed run."""
    opt = options(world, 'stage2')
    undisturbed = run(tmp_path / 'a', opt, processes=2)
    assert undisturbed.returncode == 0, undisturbed.stdout
    kill = '''
import os, signal, mssr_model.stepping
iteration = mssr_model.stepping.Steps.iteration
def dying(self, number):
    if number == 8 and os.environ['RANK'] == '1' and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':
        os.kill(os.getpid(), signal.SIGKILL)
    return iteration(self, number)
mssr_model.stepping.Steps.iteration = dying
'''
    killed = run(tmp_path / 'b', opt, processes=2, before=kill, launch=['--max_restarts=1'])
    assert killed.returncode == 0, killed.stdout
    assert 'Going on from' in killed.stdout and '6.state' in killed.stdout
    assert len(load(experiment(tmp_path / 'b') / 'training_states' / '12.state')['processes']) == 2
    assert_same_end(experiment(tmp_path / 'a'), experiment(tmp_path / 'b'), 12)
    assert [path.name for path in (tmp_path / 'b' / 'experiments').iterdir()] == ['run']


def children(parent):
    """Command lines by process number, from /proc: a minimal system has no ``ps``."""
    found = {}
    for folder in sorted(Path('/proc').glob('[0-9]*'), key=lambda folder: int(folder.name)):
        with contextlib.suppress(OSError):  # it has ended
            if int((folder / 'stat').read_text().rpartition(')')[2].split()[1]) == parent:
                found[int(folder.name)] = (folder / 'cmdline').read_text().replace('\0', ' ')
    return found


def test_a_dead_process_ends_the_job_with_a_message(monkeypatch, tmp_path, world):
    """Not a hang; and the last checkpoint serves one process as well. Started as users do, from the first import."""
    opt = options(world, 'stage2', total=2000, logger__save_checkpoint_freq=5)
    job = start(tmp_path, opt, processes=2)
    states = experiment(tmp_path) / 'training_states'
    wait_for(lambda: states.is_dir() and any(states.glob('[0-9]*.state')), job)
    commands = children(job.pid)
    processes = [number for number, command in commands.items() if 'start.py' in command]
    assert len(processes) == 2, commands
    os.kill(processes[1], signal.SIGKILL)
    began = time.monotonic()
    output, _ = job.communicate(timeout=120)
    assert time.monotonic() - began < 60
    assert job.returncode not in (0, None)
    assert 'Training failed after iteration' in output and '--auto_resume' in output, output[-3000:]
    newest = max(int(path.stem) for path in states.glob('[0-9]*.state'))
    opt['train']['total_iter'] = newest + 2
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0


def test_sigterm_reaches_all_and_all_stop_at_the_same_iteration(tmp_path, world):
    opt = options(world, 'stage1', total=2000, logger__save_checkpoint_freq=1000, val__val_freq=1000)
    line, env = command(tmp_path, opt, processes=2, torchrun=ready_python.TORCHRUN)
    job = ready_python.popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    states = experiment(tmp_path) / 'training_states'
    log = experiment(tmp_path)
    wait_for(lambda: log.is_dir() and any('lr:(' in path.read_text() for path in log.glob('*.log')), job)
    job.send_signal(signal.SIGTERM)
    output, _ = job.communicate(timeout=120)
    (state,) = states.glob('[0-9]*.state')
    assert f'Stopped by SIGTERM after iteration {state.stem}' in output, output[-3000:]
    assert len(load(state)['processes']) == 2


def test_a_launcher_that_did_not_launch(monkeypatch, capfd, tmp_path, world):
    for name in ('RANK', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    for launcher, right in (('pytorch', 'torchrun --nproc_per_node'), ('slurm', 'srun mssr train')):
        assert train(monkeypatch, tmp_path, options(world, 'stage1'), '--launcher', launcher) == 2
        assert right in capfd.readouterr().err


@pytest.mark.parametrize('script', ['exit 1', 'true', None], ids=['fails', 'says nothing', 'is not there'])
def test_slurm_that_does_not_tell_its_nodes(monkeypatch, capfd, tmp_path, world, script):
    bin_ = tmp_path / 'bin'
    bin_.mkdir()
    if script:
        (bin_ / 'scontrol').write_text(f'#!/bin/sh\n{script}\n')
        (bin_ / 'scontrol').chmod(0o755)
    monkeypatch.setenv('PATH', f'{bin_}:/bin' if script else str(bin_))
    monkeypatch.setattr(os, 'environ', os.environ.copy())  # what the launcher sets is not for other tests
    slurm = {'SLURM_PROCID': '0', 'SLURM_NTASKS': '1', 'SLURM_LOCALID': '0', 'SLURM_NODELIST': 'node[1-2]'}
    for name, value in slurm.items():
        monkeypatch.setitem(os.environ, name, value)
    monkeypatch.delitem(os.environ, 'MASTER_ADDR', raising=False)
    assert train(monkeypatch, tmp_path, options(world, 'stage1'), '--launcher', 'slurm') == 2
    error = capfd.readouterr().err
    assert 'scontrol does not tell the first of the nodes node[1-2]; set MASTER_ADDR' in error


def test_slurm_starts_two_tasks_and_a_requeued_job_goes_on(tmp_path, world):
    """As srun would, with an scontrol that knows two nodes; the second start resumes without being told to."""
    bin_ = tmp_path / 'bin'
    bin_.mkdir()
    (bin_ / 'scontrol').write_text('#!/bin/sh\n[ "$*" = "show hostnames node[1-2]" ] && echo localhost && echo node2\n')
    (bin_ / 'scontrol').chmod(0o755)
    with socket.socket() as probe:
        probe.bind(('', 0))
        port = probe.getsockname()[1]

    def srun(opt, **env):
        line, common = command(tmp_path / 'a', opt, '--launcher', 'slurm')
        common |= {'PATH': f'{bin_}:{common["PATH"]}', 'SLURM_NTASKS': '2', 'SLURM_NODELIST': 'node[1-2]', **env}
        common.pop('MASTER_ADDR', None)
        tasks = [ready_python.popen(line, env={**common, 'SLURM_PROCID': n, 'SLURM_LOCALID': n}, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True) for n in '01']
        outputs = [task.communicate(timeout=240)[0] for task in tasks]
        assert [task.returncode for task in tasks] == [0, 0], outputs
        return outputs[0]

    opt = options(world, 'stage2', total=3, dist_params={'backend': 'nccl', 'port': port})
    srun(opt)
    opt['train']['total_iter'] = 4
    assert '3.state: it is the newest one' in srun(opt, SLURM_RESTART_COUNT='1')
    assert [path.name for path in (tmp_path / 'a' / 'experiments').iterdir()] == ['run']
    assert len(load(experiment(tmp_path / 'a') / 'training_states' / '3.state')['processes']) == 2


def wait_for(condition, job):
    end = time.monotonic() + 120
    while not condition():
        assert job.poll() is None and time.monotonic() < end, job.stdout.read()
        time.sleep(0.1)
