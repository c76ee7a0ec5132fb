"""The demo: unpaired super-resolution learned from photographs that ship with scikit-image, in a few minutes.

    make demo        (or: python scripts/demo.py)

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
STAGE1 = {'DeResnet': 'degradation_deresnet', 'HAN': 'degradation_han'}
STAGE2 = {'SR networks': 'train_mssr'}
ITERATION = re.compile(r'iter: +([\d,]+),.*?\[eta: (\d+:\d+:\d+)')
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


def environment(processes):
    """All cores, shared among the processes; OpenMP threads that wait must not burn the neighbour's core."""
    threads = str(max((os.cpu_count() or 1) // processes, 1))
    return {**os.environ, 'OMP_NUM_THREADS': threads, 'GOMP_SPINCOUNT': '0', 'PYTHONUNBUFFERED': '1'}


def run(command, quiet=False):
    """One command to its end; where it fails, its message and its status are ours."""
    print('$ python', *command[1:], flush=True)
    done = subprocess.run(command, env=environment(1), text=True, capture_output=quiet)
    if done.returncode:
        sys.exit(done.stderr or done.returncode)


def train(options):
    """Train the option files {label: name} side by side, with one line of progress for all."""
    trainings = []
    for label, name in options.items():
        path = f'options/demo/{name}.yml'
        command = [sys.executable, 'train.py', '-opt', path]
        print('$ python', *command[1:], flush=True)
        log = open(ROOT / 'datasets' / 'demo' / f'{name}.log', 'w+')  # noqa: SIM115  (closed below)
        process = subprocess.Popen(command, env=environment(len(options)), stdout=log, stderr=subprocess.STDOUT)
        trainings.append((label, process, log, int(TOTAL.search(Path(path).read_text())[1])))
    try:
        follow(trainings)
    finally:
        for _, process, log, _ in trainings:
            process.terminate()
            log.close()


def follow(trainings):
    """Show progress until all have ended; stop at the first failure with the end of its log."""
    terminal = sys.stdout.isatty()
    while True:
        running = any(process.poll() is None for _, process, _, _ in trainings)
        line = '   '.join(progress(*training) for training in trainings)
        print(f'\r{line:100}' if terminal else line, end='' if terminal and running else '\n', flush=True)
        for label, process, log, _ in trainings:
            if process.poll():
                sys.exit(f'\nTraining of {label} failed; the end of its log:\n' + ''.join(lines(log)[-15:]))
        if not running:
            return
        deadline = time.monotonic() + (1 if terminal else 15)
        while time.monotonic() < deadline and any(process.poll() is None for _, process, _, _ in trainings):
            time.sleep(0.2)


def lines(log):
    log.seek(0)
    return log.readlines()


def progress(label, process, log, total):
    """``DeResnet 120/400, 0:00:50 left``"""
    found = ITERATION.findall(''.join(lines(log)[-5:]))
    if process.poll() is not None:
        return f'{label} {total}/{total}, done'
    return f'{label} {found[-1][0]}/{total}, {found[-1][1]} left' if found else f'{label} starts'


if __name__ == '__main__':
    main()
