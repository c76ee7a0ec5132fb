"""Which figure without pairs predicts how well SR does? Degradations are ranked by figures and by SR trained on them.

    python -m benchmarks.evidence.predict WORLD ...
    python -m benchmarks.evidence.predict WORLD ... --report-only       tables of what is finished

Of each world, a dozen degradations (three kinds of generators, early and late, at other strengths of their noise, and
such as learned nothing), each teach the same start for the same time, by the recipe of mssr adapt. That SR is measured
on pairs; figures without pairs are measured of the degradation and of what its SR makes of real LR. How alike both rank
them is Spearman's correlation. A run that was stopped goes on. Results: OUT/predict.md and predict.json.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from basicsr.utils import tensor2img
from torch import Tensor

from benchmarks.evidence.__main__ import guarded, say
from benchmarks.evidence.candidates import CANDIDATES, SIZES, CandidatePlanner, start_in
from benchmarks.evidence.measure import kept
from benchmarks.evidence.mixed import read_sources, source_of
from benchmarks.evidence.plan import Part
from benchmarks.evidence.predict_report import to_markdown
from benchmarks.evidence.run import Runner
from benchmarks.evidence.without_pairs import WithoutPairs
from benchmarks.evidence.world import OTHER_CAMERAS, SCALE, World, read_pairs, read_rgb, read_tensor, read_world
from benchmarks.measuring import processor
from mssr_adapt.ends import Weights, make_restorer
from mssr_adapt.starts import BUNDLED, Start
from mssr_adapt.ways import restoring, with_weights
from mssr_compat.errors import UserError
from mssr_compat.files import file_hash, plain, write_whole
from mssr_metric import calculate_lpips, calculate_psnr_protocol, calculate_ssim_protocol
from mssr_metric.perceptual_metrics import prepare_lpips

SHARE, SETTING = 0.6, 0.8  # of what was learned, and of the knob, at which the restorer is measured, too


def parse(argv: list[str] | None) -> argparse.Namespace:
    about, _, usage = __doc__.partition('\n')
    parser = argparse.ArgumentParser('python -m benchmarks.evidence.predict', description=about, epilog=usage,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('worlds', nargs='+', type=Path, metavar='WORLD', help="folders in AIM2019's layout")
    parser.add_argument('--start', nargs='+', type=Path, default=[BUNDLED], metavar='FILE',
                        help='what SR starts from, as mssr adapt takes it (default: the one that ships)')
    parser.add_argument('--candidates', nargs='+', choices=CANDIDATES, default=list(CANDIDATES), metavar='NAME',
                        help=f'degradations, of {", ".join(CANDIDATES)}')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--jobs', type=int, default=1, help='trainings side by side, one thread each')
    parser.add_argument('--size', choices=SIZES, default='cpu')
    parser.add_argument('--out', type=Path, default=Path('results/predict'), metavar='FOLDER')
    parser.add_argument('--report-only', action='store_true', help='train nothing')
    args = parser.parse_args(argv)
    if args.jobs < 1 or args.seed < 0:
        raise UserError('--jobs must be 1 or more, and --seed 0 or more.')
    args.out = args.out.expanduser().resolve()
    return args


def run(args: argparse.Namespace, argv: list[str]) -> None:
    """Train what is left in each world, measure, and report all of them."""
    torch.set_num_threads(1)
    prepare_lpips()
    results = {'command': shlex.join(['python', '-m', 'benchmarks.evidence.predict',
                                      *(word for word in argv if word != '--report-only')]),
               'start': [path.name for path in args.start], 'seed': args.seed, 'machine': processor(),
               'torch': torch.__version__, 'worlds': {}}
    for folder in args.worlds:
        world = read_world(folder)
        start = start_in(world, args.start)
        planner = CandidatePlanner(world, args.out / world.name, start, args.size)
        parts = planner.all_parts(args.candidates, args.seed)
        runner = Runner(planner.out, args.jobs, int(os.environ.get('OMP_NUM_THREADS', 1)))
        if not args.report_only:
            runner.run(parts, say)
        results['worlds'][world.name] = Bench(planner, start, args.start).measure(
            {name: part for name in args.candidates for part in parts
             if part.name == f'sr_{name}_s{args.seed}' and runner.is_finished(part)})
    write_whole(args.out / 'predict.json', json.dumps(plain(results, finite=True), indent=1))
    text = to_markdown(results)
    write_whole(args.out / 'predict.md', text)
    say(f'{text}\nLook at {args.out / "predict.md"}')


class Bench:
    """Measures what SR learned in one world; figures are kept in ``OUT/figures`` by what they were made of."""

    def __init__(self, planner: CandidatePlanner, start: Start, files: list[Path]) -> None:
        self.planner, self.start = planner, start
        self.digest = ' '.join(file_hash(file) for file in files)
        self.sets = read_sets(planner.world)
        self._figures = None

    def measure(self, parts: dict[str, Part]) -> dict:
        """Of each candidate, figures and outcomes; and the outcomes of the start and of interpolation."""
        found = {'candidates': {}, 'pairs': {name: len(pairs) for name, pairs in self.sets.items()},
                 'start': self._kept('start', '', lambda: outcomes(self._net(self.start.trained), self.sets))}
        for name, part in parts.items():
            found['candidates'][name] = self._kept(part.name, part.digest, lambda part=part: self._of(part))
        return found

    def _of(self, part: Part) -> dict:
        if self._figures is None:
            self._figures = WithoutPairs(self.planner.train_set, SCALE, self._net(self.start.trained))
        degradation = self.planner.degradation(part)
        F, = self.planner.learned(part)
        B = None if self.start.fidelity is not None else self.start.trained
        restorer = make_restorer(self.start, F, B, SHARE, SETTING)
        learned, middle = self._net(F), restoring(restorer)
        measured = {name: {**one, **{f'knob_{metric}': values for metric, values in other.items()}}
                    for (name, one), other in zip(outcomes(learned, self.sets).items(),
                                                  outcomes(middle, self.sets).values(), strict=True)}
        return {'figures': self._figures.of_degradation(degradation) | self._figures.of_sr(degradation, middle),
                'outcomes': measured, 'noise': degradation.noise}

    def _net(self, state: Weights) -> Callable[[Tensor], Tensor]:
        return with_weights(self.start.options, SCALE, state)

    def _kept(self, name: str, digest: str, measure: Callable[[], dict]) -> dict:
        return kept(self.planner.out / 'figures' / f'{name}.json', f'{digest} {self.digest}', lambda: plain(
            measure(), finite=True), lambda: say(f'Measuring {self.planner.world.name}: {name}.'))


@torch.no_grad()
def outcomes(restore, sets: dict[str, dict[str, tuple[Path, Path]]]) -> dict[str, dict[str, list[float]]]:
    """Set of pairs to figure to its value for each photo; ``restore`` makes (1, 3, s * h, s * w) of (1, 3, h, w)."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, pairs in sets.items():
        rows = []
        for hr, lr in pairs.values():
            pictures = tensor2img(restore(read_tensor(lr)[None])), np.ascontiguousarray(read_rgb(hr)[..., ::-1])
            rows.append({'psnr': calculate_psnr_protocol(*pictures, 'mssr'),
                         'ssim': calculate_ssim_protocol(*pictures, 'mssr'), 'lpips': calculate_lpips(*pictures)})
        found[name] = {metric: [row[metric] for row in rows] for metric in rows[0]}
    return found


def read_sets(world: World) -> dict[str, dict[str, tuple[Path, Path]]]:
    """The validation pairs, by their source where ``sources.json`` names such, and further ones."""
    found, names = {}, read_sources(world.root)
    for photo, paths in world.pairs.items():
        source = source_of(photo)
        found.setdefault(source if source in names else world.name, {})[photo] = paths
    gt, lq = (world.root / folder for folder in OTHER_CAMERAS)
    if gt.is_dir() and not names:  # a world of many sources has some of each already
        found['realsr'] = read_pairs(gt, lq, world.name)
    return found


if __name__ == '__main__':
    sys.exit(guarded(lambda: run(parse(None), sys.argv[1:])))
