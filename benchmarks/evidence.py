"""Does the method work? The paper's ablation on a world of photos, as tables, a plot and pictures.

    python benchmarks/evidence.py WORLD                        all rows, one seed, networks for CPUs
    python benchmarks/evidence.py WORLD --size gpu --seeds 0 1 2
    python benchmarks/evidence.py --known FOLDER               a world made of clean photos by a known camera
    python benchmarks/evidence.py WORLD --report-only          tables and pictures of what is finished
    python benchmarks/evidence.py --join a/results.json b/results.json --out docs/evidence

WORLD has the folders of AIM2019: train-clean-images (HR), train-noisy-images (LR of other scenes), and the pairs
valid-gt-clean and valid-input-noisy, which are only measured on. Everything is trained by the product from the option
files in options/recipes/, each row at the same budget with the same SR networks. A run that was stopped goes on where
it was when the same command is given again. Results: OUT/results.md, results.json, plot.svg, pictures_*.png.
"""

import argparse
import os
import platform
import shlex
import signal
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import mssr_compat  # noqa: F401, I001  (shims before BasicSR's first import)
import torch
from _evidence_join import join, write_json
from _evidence_measure import Measurer, world_summary
from _evidence_pictures import RULE, write_pictures
from _evidence_plan import RECIPES, ROWS, SIZES, Part, Planner, as_text
from _evidence_plot import plot
from _evidence_report import summarize, to_markdown
from _evidence_run import Runner
from _evidence_time import estimate
from _evidence_world import ROLES, make_known_world, read_world

from mssr_compat.errors import UserError

PACKAGES = ('torch', 'torchvision', 'numpy', 'opencv-python', 'basicsr')


def parse(argv: list[str] | None) -> argparse.Namespace:
    about, _, usage = __doc__.partition('\n')
    parser = argparse.ArgumentParser(description=about, epilog=usage,
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
    parser.add_argument('--join', nargs='+', type=Path, metavar='RESULTS',
                        help='results.json of several worlds or seeds, or WORLD.json of a --join before')
    args = parser.parse_args(argv)
    if args.join:
        if args.world or args.known or not args.out:
            raise UserError('--join takes results.json files and --out FOLDER, and no WORLD.')
        return args
    if (args.world is None) == (args.known is None):
        raise UserError('Give either WORLD or --known FOLDER.')
    if args.renew and args.report_only:
        raise UserError('--renew trains, --report-only does not: give one of them.')
    if args.jobs is not None and args.jobs < 1 or min(args.seeds) < 0:
        raise UserError('--jobs must be 1 or more, and --seeds 0 or more.')
    if len(set(args.seeds)) < len(args.seeds):
        raise UserError('--seeds names a seed twice.')
    if args.out is None:
        name = args.world.resolve().name if args.world else known_name(args.known)
        args.out = ROOT / 'results' / f'evidence_{name}_{args.size}'
    args.out = args.out.expanduser().resolve()
    return args


def known_name(folder: Path) -> str:
    """What a world made of a folder is called; a role's folder says less than the one above it."""
    folder = folder.expanduser().resolve()
    return f'known_{(folder.parent if folder.name in ROLES else folder).name}'


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit status: 2 for a user's mistake, 130 where it was stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        args = parse(argv)
        if args.join:
            for path in join(args.join, args.out):
                say(f'Look at {path}')
        else:
            run(args, argv)
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('Stopped; what ran has saved where it was. The same command goes on.', file=sys.stderr)
        return 130
    return 0


def run(args: argparse.Namespace, argv: list[str] | None) -> None:
    """Train what is left of the rows and seeds, measure, and report."""
    world = make_known_world(args.known, args.out / known_name(args.known)) if args.known else read_world(args.world)
    rows = [row for row in ROWS if row in (args.rows or ROWS)]
    if world.camera is None:
        if args.rows and 'oracle' in rows:
            raise UserError('--rows oracle needs a world whose degradation is known; make one with --known FOLDER.')
        rows = [row for row in rows if row != 'oracle']
    on_gpu, cores = torch.cuda.is_available(), available_cores()
    jobs = args.jobs or (1 if on_gpu else min(cores, 2))
    threads = max(cores // jobs, 1)
    if 'OMP_NUM_THREADS' in os.environ:
        threads = int(os.environ['OMP_NUM_THREADS'])
    planner = Planner(world, args.out, args.size, args.recipes)
    parts, runner = planner.parts(rows, args.seeds), Runner(args.out, jobs, threads, args.renew)
    left = [part for part in parts if not runner.record(part)['finished']]
    if not args.report_only and left:
        say(f'{world.name}: {len(left)} of {len(parts)} parts are left; size {args.size}, results in {args.out}')
        seconds, each = estimate(left, {part.name: runner.iteration(part) for part in left},
                                 1 if on_gpu else min(jobs, cores), threads)
        say(', '.join(f'{name} {as_text(value)}' for name, value in each.items()))
        say(f'About {as_text(seconds)} on {"this GPU" if on_gpu else "this CPU"}, {jobs} at a time with {threads} '
            f'thread{"" if threads == 1 else "s"} each.')
        runner.run(parts, say, each)
    report(args, argv, planner, parts, runner)


def report(args, argv, planner: Planner, asked: list[Part], runner: Runner) -> None:
    """Measure what is finished, by this command or by others with the same OUT, and write everything."""
    rows = [row for row in ROWS if row != 'oracle' or planner.world.camera]
    seeds = sorted({*args.seeds, *seeds_there(args.out)})
    finished = [part for part in planner.parts(rows, seeds) if runner.is_finished(part)]
    if asked and not finished:
        raise UserError(f'--out {args.out}: no row is finished yet; run the command without --report-only.')
    figures, generators = Measurer(planner, say).all(rows, seeds, finished)
    out, images = args.out, list(planner.world.pairs)
    shown = write_pictures(planner, figures, images, out)
    results = {
        'world': world_summary(planner.world),
        'command': command(sys.argv[1:] if argv is None else argv),
        'size': args.size,
        'recipes': {key: dict(opt) for key, opt in planner.recipes.items()},
        'trained': {part.name: part.opt for part in finished},
        'unfinished': [part.name for part in asked if part.name not in {done.name for done in finished}],
        'machine': machine(runner.threads),
        'seconds': {part.name: runner.record(part)['seconds'] for part in finished},
        'images': images,
        'figures': figures,
        'generators': generators,
        'shown': shown,
        'shown_rule': RULE,
    }
    results['summary'] = summarize(results)
    write_json(out / 'results.json', results)
    (out / 'results.md').write_text(to_markdown(results), encoding='utf-8')
    (out / 'plot.svg').write_text(plot({planner.world.name: figures}), encoding='utf-8')
    say(f'Look at {out / "results.md"}')


def command(argv: list[str]) -> str:
    """The command that trains what is reported, also where this one merely reported it or renewed a part."""
    return shlex.join(['python', 'benchmarks/evidence.py',
                       *(word for word in argv if word not in ('--report-only', '--renew'))])


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def seeds_there(out: Path) -> set[int]:
    """Seeds of which OUT has parts."""
    return {int(path.stem.rpartition('_s')[2]) for path in out.glob('parts/*_s*.json')}


def machine(threads: int) -> dict:
    """What it ran on."""
    on_gpu, name = torch.cuda.is_available(), platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        models = [line.partition(':')[2].strip() for line in cpuinfo.read_text().splitlines() if 'model name' in line]
        name = models[0] if models else name
    device = torch.cuda.get_device_name() if on_gpu else f'{name}, {available_cores()} CPU cores'
    return {'device': device, 'threads': threads, 'python': platform.python_version(),
            'versions': {package: version(package) for package in PACKAGES}}


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == '__main__':
    sys.exit(main())
