"""The demo: unpaired super-resolution learned from photographs that ship with scikit-image, in a few minutes.

    make demo        (or: python scripts/run_demo.py)

It makes the data, trains two degradation generators (stage 1, side by side), trains two SR networks on what they draw
(stage 2), tests them, and ends in a table and a picture. Each step is the command that it prints; the full logs are
where BasicSR keeps them. A second run starts anew: what the one before left under the demo's names is replaced.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mssr_train.job import Job, job_environment

STAGE1 = {'DeResnet': 'degradation_deresnet', 'HAN': 'degradation_han'}
STAGE2 = {'SR networks': 'train_mssr'}
TOTAL = re.compile(r'^  total_iter: (\d+)', re.M)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    os.chdir(ROOT)
    for name in ('demo_degradation_deresnet', 'demo_degradation_han', 'demo_mssr', 'demo_test'):
        for folder in ('experiments', 'results'):
            shutil.rmtree(ROOT / folder / name, ignore_errors=True)
    start = time.monotonic()
    say('Data: photographs from scikit-image, one half clean and large, the other through a simulated camera')
    run([sys.executable, 'scripts/make_demo_data.py'])
    say('Stage 1: two generators learn how the camera degrades, from photos of other scenes')
    train(STAGE1)
    say('Stage 2: two SR networks learn from what the generators draw, and from each other')
    train(STAGE2)
    say('Test')
    run([sys.executable, 'test.py', '-opt', 'options/demo/test_mssr.yml'], quiet=True)
    print(f'All of it took {(time.monotonic() - start) / 60:.1f} minutes.\n')
    run([sys.executable, 'scripts/demo_report.py'])


def say(text):
    print(f'\n== {text}', flush=True)


def run(command, quiet=False):
    """One command to its end; where it fails, its message and its status are ours."""
    print('$ python', *command[1:], flush=True)
    done = subprocess.run(command, env=job_environment(threads(1)), text=True, capture_output=quiet)
    if done.returncode:
        sys.exit(done.stderr or done.returncode)


def threads(processes):
    """All cores, shared among the processes."""
    return max((os.cpu_count() or 1) // processes, 1)


def train(options):
    """Train the option files {label: name} side by side, with one line of progress for all."""
    trainings = []
    try:
        for label, name in options.items():
            path = f'options/demo/{name}.yml'
            command = [sys.executable, 'train.py', '-opt', path]
            print('$ python', *command[1:], flush=True)
            job = Job(command, ROOT / 'datasets' / 'demo' / f'{name}.log', threads(len(options)))
            trainings.append((label, job, int(TOTAL.search(Path(path).read_text())[1])))
        follow(trainings)
    finally:
        for _, job, _ in trainings:
            job.ask_to_stop()


def follow(trainings):
    """Show progress until all have ended; stop at the first failure with the end of its log."""
    terminal = sys.stdout.isatty()
    while True:
        running = any(job.status is None for _, job, _ in trainings)
        line = '   '.join(progress(*training) for training in trainings)
        print(f'\r{line:100}' if terminal else line, end='' if terminal and running else '\n', flush=True)
        for label, job, _ in trainings:
            if job.status:
                sys.exit(f'\nTraining of {label} failed; the end of its log:\n' + '\n'.join(job.last_lines(15)))
        if not running:
            return
        deadline = time.monotonic() + (1 if terminal else 15)
        while time.monotonic() < deadline and any(job.status is None for _, job, _ in trainings):
            time.sleep(0.2)


def progress(label, job, total):
    """``DeResnet 120/400, 0:00:50 left``"""
    if job.status is not None:
        return f'{label} {total}/{total}, done'
    iteration, left = job.iteration()
    return f'{label} {iteration}/{total}, {left} left' if iteration else f'{label} starts'


if __name__ == '__main__':
    main()
