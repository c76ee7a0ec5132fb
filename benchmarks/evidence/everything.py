"""One seed of all evidence: the worlds, the ablations, several cameras, the figures that predict, and the peers.

    python -m benchmarks.evidence.everything CAMERA SYNTHETIC --out results/everything --seed 0
    python -m benchmarks.evidence.everything ... --start SPAN.pth CLEARREALITY.pth --checkpoint Real-ESRGAN=FILE

It calls the other commands of this folder one after another, and prints each; CAMERA and SYNTHETIC have the folders of
AIM2019. On two cores of a CPU all of it takes a day; stopped, the same command goes on. What each wrote is named at the
end. Other seeds: the same command with another --seed, into the same folder.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.evidence.__main__ import guarded, say
from benchmarks.evidence.world import HR_TRAIN, LR_TRAIN, read_world
from mssr_compat.errors import UserError
from mssr_metric.perceptual_metrics import prepare_lpips

ROOT = Path(__file__).resolve().parent.parent.parent


class Step(NamedTuple):
    """A command, as a user would type it after ``python``, and what it writes that is worth reading."""

    command: list[str]
    report: Path


def parse(argv: list[str] | None) -> argparse.Namespace:
    about, _, usage = __doc__.partition('\n')
    parser = argparse.ArgumentParser('python -m benchmarks.evidence.everything', description=about, epilog=usage,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('camera', type=Path, metavar='CAMERA', help='a world of photos by cameras')
    parser.add_argument('synthetic', type=Path, metavar='SYNTHETIC', help='another, of noisy photos')
    parser.add_argument('--start', nargs='+', default=[], metavar='FILE',
                        help='what the adaptations start from, as mssr adapt takes it (default: the one that ships)')
    parser.add_argument('--checkpoint', nargs='+', default=[], metavar='NAME=FILE', help='peers')
    parser.add_argument('--minutes', default='25', metavar='N', help='of each adaptation (default: 25)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--jobs', type=int, default=1, help='trainings side by side')
    parser.add_argument('--size', choices=('cpu', 'smoke'), default='cpu')
    parser.add_argument('--out', type=Path, default=Path('results/everything'), metavar='FOLDER')
    args = parser.parse_args(argv)
    if args.jobs < 1 or args.seed < 0:
        raise UserError('--jobs must be 1 at least, --seed 0 at least.')
    if args.camera.name == args.synthetic.name:
        raise UserError(f"Two worlds are called '{args.camera.name}': their results could not be told apart.")
    return args


def steps(args: argparse.Namespace) -> list[Step]:
    """All commands, in order."""
    out, worlds = args.out, (args.camera, args.synthetic)
    of_run = ['--size', args.size, '--jobs', str(args.jobs)]

    def evidence(name: str, *others: object, out: Path, report: str) -> Step:
        module = f'benchmarks.evidence.{name}' if name else 'benchmarks.evidence'
        return Step(['-m', module, *map(str, others), '--out', str(out)], out / report)

    mixed, predict = out / 'mixed', out / 'predict'
    ablations = {'known': ['--known', args.camera / HR_TRAIN], **{world.name: [world] for world in worlds}}
    made = [evidence('', *world, '--seeds', args.seed, *of_run, out=out / name, report='results.md')
            for name, world in ablations.items()]
    made += [evidence('mixed', *worlds, out=mixed, report='world.json'),
             evidence('predict', *worlds, mixed, '--seed', args.seed, *of_run, out=predict, report='predict.md'),
             evidence('cameras', mixed, '--seeds', args.seed, *of_run, out=predict, report='cameras.md')]
    for world in worlds:
        adapted = out / f'adapted_{world.name}_{args.seed}'
        start = ['--start', *args.start] if args.start else []
        made.append(Step(['adapt.py', '--clean', str(world / HR_TRAIN), '--real', str(world / LR_TRAIN), '--out',
                          str(adapted), '--minutes', args.minutes, '--seed', str(args.seed), *start],
                         adapted / 'report.html'))
        peers = ['--checkpoint', *args.checkpoint] if args.checkpoint else []
        made.append(evidence('peers', world, '--curve', f'ours={adapted / "restorer.safetensors"}', *peers,
                             out=out / f'peers_{world.name}_{args.seed}', report='peers.md'))
    return made


def run(args: argparse.Namespace) -> None:
    """One after another; the first that fails ends it."""
    for world in (args.camera, args.synthetic):
        read_world(world)
    prepare_lpips()  # half of the commands need it, the first of them after hours
    made = steps(args)
    for k, step in enumerate(made):
        say(f'\n[{k + 1} of {len(made)}] $ python {shlex.join(step.command)}')
        command = step.command if step.command[0] == '-m' else [str(ROOT / step.command[0]), *step.command[1:]]
        status = subprocess.run([sys.executable, *command]).returncode
        if status == 130:
            raise KeyboardInterrupt
        if status:
            raise UserError(f'It ended with {status}; the same command goes on there.')
    say('\nLook at ' + '\n        '.join(str(step.report) for step in made))


def main(argv: list[str] | None = None) -> int:
    return guarded(lambda: run(parse(argv)))


if __name__ == '__main__':
    sys.exit(main())
