"""Does the method work? The paper's ablation on a world of photos, as tables, a plot and pictures.

    python -m benchmarks.evidence WORLD                        all rows, one seed, networks for CPUs
    python -m benchmarks.evidence WORLD --size gpu --seeds 0 1 2
    python -m benchmarks.evidence --known FOLDER               a world made of clean photos by a known camera
    python -m benchmarks.evidence WORLD --report-only          tables and pictures of what is finished

WORLD has the folders of AIM2019: train-clean-images (HR), train-noisy-images (LR of other scenes), and the pairs
valid-gt-clean and valid-input-noisy, which are only measured on. Everything is trained by the product from the option
files in options/recipes/, each row at the same budget with the same SR networks. A run that was stopped goes on where
it was when the same command is given again. Results: OUT/results.md, results.json, plot.svg, pictures_*.png.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.drawing import pyplot
from benchmarks.evidence.measure import Measurer
from benchmarks.evidence.pictures import RULE, write_pictures, write_plot
from benchmarks.evidence.plan import RECIPES, ROWS, SIZES, Part, Planner
from benchmarks.evidence.report import summarize, to_markdown
from benchmarks.evidence.run import Runner
from benchmarks.evidence.world import ROLES, make_known_world, read_world
from benchmarks.measuring import processor
from mssr_compat.errors import UserError
from mssr_compat.files import plain, write_whole

PACKAGES = ('torch', 'torchvision', 'numpy', 'opencv-python', 'basicsr')


def parse(argv: list[str] | None) -> argparse.Namespace:
    about, _, usage = __doc__.partition('\n')
    parser = argparse.ArgumentParser('python -m benchmarks.evidence', description=about, epilog=usage,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('world', nargs='?', type=Path, metavar='WORLD', help="folder in AIM2019's layout")
    parser.add_argument('--known', type=Path, metavar='FOLDER', help='clean photos to make a known world of, in OUT')
    parser.add_argument('--out', type=Path, help='folder of results (default: results/evidence_NAME_SIZE)')
    parser.add_argument('--rows', nargs='+', choices=ROWS, metavar='ROW', help=f'rows to run, of {", ".join(ROWS)}')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], metavar='SEED')
    parser.add_argument('--size', choices=SIZES, default='cpu', help='networks, batches and iterations')
    parser.add_argument('--jobs', type=int, help='trainings side by side (default: 2 on a CPU, 1 on a GPU)')
    parser.add_argument('--recipes', type=Path, default=RECIPES, metavar='FOLDER', help='option files to run')
    parser.add_argument('--renew', action='store_true', help='train parts anew whose options or photos have changed')
    parser.add_argument('--report-only', action='store_true', help='train nothing')
    args = parser.parse_args(argv)
    if (args.world is None) == (args.known is None):
        raise UserError('Give either WORLD or --known FOLDER.')
    if args.renew and args.report_only:
        raise UserError('--renew trains, --report-only does not: give one of them.')
    if args.jobs is not None and args.jobs < 1 or min(args.seeds) < 0:
        raise UserError('--jobs must be 1 or more, and --seeds 0 or more.')
    if len(set(args.seeds)) < len(args.seeds):
        raise UserError('--seeds names a seed twice.')
    folder = (args.world or args.known).expanduser().resolve()
    # A role's folder says less than the one above it.
    args.name = folder.name if args.world else f'known_{(folder.parent if folder.name in ROLES else folder).name}'
    args.out = (args.out or RECIPES.parents[1] / 'results' / f'evidence_{args.name}_{args.size}').expanduser().resolve()
    return args


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit status."""
    return guarded(lambda: run(parse(argv), sys.argv[1:] if argv is None else argv))


def guarded(command: Callable[[], None]) -> int:
    """Run a command; returns its exit status: 2 for a user's mistake, 130 where it was stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        pyplot()  # what is missing is missed at once
        command()
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('Stopped; what ran has saved where it was. The same command goes on.', file=sys.stderr)
        return 130
    return 0


def run(args: argparse.Namespace, argv: list[str]) -> None:
    """Train what is left of the rows and seeds, measure, and report."""
    world = make_known_world(args.known, args.out / args.name) if args.known else read_world(args.world)
    possible = [row for row in ROWS if row != 'oracle' or world.camera]
    if args.rows and not set(args.rows) <= set(possible):
        raise UserError('--rows oracle needs a world whose degradation is known; make one with --known FOLDER.')
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    jobs = args.jobs or (1 if torch.cuda.is_available() else min(cores, 2))
    threads = int(os.environ.get('OMP_NUM_THREADS', max(cores // jobs, 1)))
    planner = Planner(world, args.out, args.size, args.recipes)
    rows = [row for row in possible if row in (args.rows or possible)]
    asked, runner = planner.parts(rows, args.seeds), Runner(args.out, jobs, threads, args.renew)
    left = [part for part in asked if not runner.record(part)['finished']]
    if left and not args.report_only:
        say(f'{world.name}: {len(left)} of {len(asked)} parts are left, {jobs} at a time, threads of each: {threads}; '
            f'size {args.size}, results in {args.out}')
        runner.run(asked, say)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f'{processor()}, {cores} CPU cores'
    machine = {'device': device, 'threads': threads, 'python': platform.python_version(),
               'versions': {package: version(package) for package in PACKAGES}}
    report(args, argv, planner, asked, runner, possible, machine)


def report(args, argv: list[str], planner: Planner, asked: list[Part], runner: Runner, rows: list[str],
           machine: dict) -> None:
    """Measure what is finished, by this command or by others with the same OUT, and write everything."""
    out, world = args.out, planner.world
    seeds = sorted({*args.seeds, *(int(path.stem.rpartition('_s')[2]) for path in out.glob('parts/*_s*.json'))})
    finished = [part for part in planner.parts(rows, seeds) if runner.is_finished(part)]
    if asked and not finished:
        raise UserError(f'--out {out}: no row is finished yet; run the command without --report-only.')
    figures, generators = Measurer(planner, say).all(rows, seeds, finished)
    words = [word for word in argv if word not in ('--report-only', '--renew')]  # what trained it
    results = {
        'world': {'name': world.name, 'root': str(world.root), 'counts': world.counts, 'known': world.known},
        'command': shlex.join(['python', '-m', 'benchmarks.evidence', *words]),
        'size': args.size,
        'recipes': {key: dict(opt) for key, opt in planner.recipes.items()},
        'trained': {part.name: part.opt for part in finished},
        'unfinished': [part.name for part in asked if part.name not in {done.name for done in finished}],
        'machine': machine,
        'seconds': {part.name: runner.record(part)['seconds'] for part in finished},
        'images': list(world.pairs),
        'figures': figures,
        'generators': generators,
        'shown': write_pictures(planner, figures, list(world.pairs), out),
        'shown_rule': RULE,
        'summary': summarize(figures),
    }
    write_whole(out / 'results.json', json.dumps(plain(results, finite=True), indent=1))
    write_whole(out / 'results.md', to_markdown(results))
    write_plot(figures, out / 'plot.svg')
    say(f'Look at {out / "results.md"}')


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == '__main__':
    sys.exit(main())
