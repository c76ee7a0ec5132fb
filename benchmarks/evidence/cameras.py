"""Photos of several cameras: one generator for all, several for all, or one for each group of like photos?

    python -m benchmarks.evidence.mixed CAMERA SYNTHETIC --out mixed       a world of four sources
    python -m benchmarks.evidence.cameras mixed

The real LR photos are put into groups by what mssr diagnose measures. SR of each row learns for as many iterations in
all, from the same start; rows of several branches share them. Then the branches of three generators are adapted to the
real LR photos in each way alone. Seeds are runs of their own (--seed), which the tables put together. A run that was
stopped goes on. Results: OUT/cameras.md and cameras.json.
"""

import argparse
import copy
import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.evidence.__main__ import guarded, say
from benchmarks.evidence.cameras_report import to_markdown
from benchmarks.evidence.candidates import CANDIDATES, SIZES, CandidatePlanner, start_in
from benchmarks.evidence.measure import kept
from benchmarks.evidence.mixed import read_sources, source_of
from benchmarks.evidence.plan import Part, set_iterations
from benchmarks.evidence.predict import outcomes, read_sets
from benchmarks.evidence.run import Runner
from benchmarks.evidence.world import LR_TRAIN, SCALE, read_rgb, read_world
from benchmarks.measuring import processor
from mssr_adapt.ends import Weights
from mssr_adapt.starts import BUNDLED, Start
from mssr_adapt.ways import interpolated, with_weights
from mssr_compat.errors import UserError
from mssr_compat.files import file_hash, plain, replacing, write_whole
from mssr_diagnose.folder import measure_folder, open_folder
from mssr_diagnose.groups import PhotoGroups, group_photos
from mssr_diagnose.photo import measure_photo
from mssr_inference.export import mean_of_weights
from mssr_metric.perceptual_metrics import prepare_lpips

GENERATORS = ('deresnet', 'han', 'pdm')
#: iterations of SR, all branches together; of a group's generator; of an adaptation
LENGTHS = {'cpu': (480, 450, 80), 'smoke': (12, 4, 4)}
#: way of adapting: changes of ``train``
ADAPTATIONS = {
    'none': {},
    'pseudo label': {'adapt_opt': {'type': 'CharbonnierLoss', 'loss_weight': 1.0, 'reduction': 'mean', 'eps': 2.5e-4}},
    'distances': {'distance_opt': {'type': 'PairwiseDistanceLoss', 'loss_weight': 1.0}},
    'consistency': {'consistency_opt': {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}},
}

Restore = Callable[[Tensor], Tensor]


def parse(argv: list[str] | None) -> argparse.Namespace:
    about, _, usage = __doc__.partition('\n')
    parser = argparse.ArgumentParser('python -m benchmarks.evidence.cameras', description=about, epilog=usage,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('world', type=Path, metavar='WORLD', help="folder in AIM2019's layout")
    parser.add_argument('--start', nargs='+', type=Path, default=[BUNDLED], metavar='FILE',
                        help='what SR starts from, as mssr adapt takes it (default: the one that ships)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0], metavar='SEED')
    parser.add_argument('--jobs', type=int, default=1, help='trainings side by side, one thread each')
    parser.add_argument('--size', choices=SIZES, default='cpu')
    parser.add_argument('--out', type=Path, default=Path('results/predict'), metavar='FOLDER',
                        help='may be that of predict, whose parts are taken (default: %(default)s)')
    args = parser.parse_args(argv)
    if args.jobs < 1 or min(args.seeds) < 0 or len(set(args.seeds)) < len(args.seeds):
        raise UserError('--jobs must be 1 or more, and --seeds 0 or more, each once.')
    args.out = args.out.expanduser().resolve()
    return args


class CamerasPlanner(CandidatePlanner):
    """Parts of one generator for all photos, of several, and of one for each group."""

    def __init__(self, *arguments, groups: list[Path], lengths: tuple[int, int, int]) -> None:
        super().__init__(*arguments)
        self.groups, (self.budget, self.of_group, self.adapting) = groups, lengths

    def parts_of(self, seed: int) -> dict[str, list[Part]]:
        """Row to its parts of SR; generators are what they need."""
        alone = {name: self.generator(name, seed) for name in GENERATORS}
        each = {'three': 3, 'groups': len(self.groups)}

        def learned(name: str, generator: Part, iterations: int, photos: Path | None = None) -> Part:
            candidate = replace(CANDIDATES['deresnet'], generator=generator.name)
            part = self.learning('deresnet', seed, {generator.name: generator}, candidate)
            opt = copy.deepcopy(part.opt)
            set_iterations(opt['train'], iterations)
            if photos:
                opt['datasets']['train']['meta_info_lq'] = str(photos)
            return self._part(f'sr_{name}_s{seed}', opt, [generator])

        found = {f'one {name}': [learned(f'one_{name}', alone[name], self.budget)] for name in ('deresnet', 'pdm')}
        found['three'] = [learned(f'third_{name}', alone[name], self.budget // each['three']) for name in GENERATORS]
        generators = [self._of_group(alone['deresnet'], k, photos, seed) for k, photos in enumerate(self.groups)]
        found['groups'] = [learned(f'group{k}', generator, self.budget // each['groups'], photos)
                           for k, (generator, photos) in enumerate(zip(generators, self.groups, strict=True))]
        self.generators = [*alone.values(), *generators]
        return found

    def _of_group(self, like: Part, k: int, photos: Path, seed: int) -> Part:
        opt = copy.deepcopy(like.opt)
        opt['datasets']['train']['meta_info_lq'] = str(photos)
        set_iterations(opt['train'], self.of_group)
        return self._part(f'g_group{k}_s{seed}', opt)

    def adaptation(self, way: str, parts: list[Part], seed: int, restorers: list[Path]) -> Part:
        """Stage 2 of the branches of some parts, which goes on from what they learned, with a term more."""
        opt = copy.deepcopy(parts[0].opt)
        opt['network_g']['branches'] = [{'pretrained': str(file)} for file in restorers]
        opt['degradations'] = [part.opt['degradations'][0] for part in parts]
        set_iterations(opt['train'], self.adapting)
        opt['train'] |= {'adapt_ramp': 'constant'} | ADAPTATIONS[way]
        return self._part(f'adapt_{way.replace(" ", "_")}_s{seed}', opt, parts)


def run(args: argparse.Namespace, argv: list[str]) -> None:
    """Group, train what is left, measure, and report."""
    torch.set_num_threads(1)
    prepare_lpips()
    world = read_world(args.world)
    start = start_in(world, args.start)
    out = args.out / world.name
    groups, files, told = find_groups(world.role(LR_TRAIN), out / 'groups', read_sources(world.root))
    planner = CamerasPlanner(world, out, start, args.size, groups=files, lengths=LENGTHS[args.size])
    runner = Runner(out, args.jobs, int(os.environ.get('OMP_NUM_THREADS', 1)))
    results = {'command': shlex.join(['python', '-m', 'benchmarks.evidence.cameras', *argv]), 'machine': processor(),
               'torch': torch.__version__, 'world': world.name, 'groups': told, 'lengths': LENGTHS[args.size],
               'start': [path.name for path in args.start], 'figures': {}, 'seconds': {}}
    bench = Cameras(planner, start, groups, [file_hash(file) for file in args.start])
    for seed in args.seeds:
        rows = planner.parts_of(seed)
        trained = [*planner.generators, *(part for parts in rows.values() for part in parts)]
        runner.run(trained, say)
        branches = [bench.write_branch(part) for part in rows['three']]
        ways = {way: planner.adaptation(way, rows['three'], seed, branches) for way in ADAPTATIONS}
        runner.run([*trained, *ways.values()], say)
        for row, figures in bench.measure(seed, rows, ways).items():
            results['figures'].setdefault(row, {})[str(seed)] = figures
        results['seconds'] |= {part.name: runner.record(part)['seconds'] for part in [*trained, *ways.values()]}
    write_whole(args.out / 'cameras.json', json.dumps(plain(results, finite=True), indent=1))
    text = to_markdown(results)
    write_whole(args.out / 'cameras.md', text)
    say(f'{text}\nLook at {args.out / "cameras.md"}')


def find_groups(folder: str, out: Path, sources: list[str]) -> tuple[PhotoGroups, list[Path], list[dict]]:
    """Groups of the real LR photos, the list of each, and what each holds."""
    photos, _ = measure_folder(open_folder(folder, 'WORLD'))
    groups, labels = group_photos(photos)
    files, told = [], []
    for k in range(len(groups)):
        names = [photo.name for photo, label in zip(photos, labels, strict=True) if label == k]
        files.append(out / f'group_{k + 1}.txt')
        write_whole(files[-1], ''.join(f'{name}\n' for name in names))
        told.append({'photos': len(names),
                     'sources': {source: sum(source_of(name) == source for name in names) for source in sources}})
    return groups, files, told


class Cameras:
    """Measures rows on the pairs of each source; figures are kept by what they were made of."""

    def __init__(self, planner: CamerasPlanner, start: Start, groups: PhotoGroups, digests: list[str]) -> None:
        self.planner, self.start, self.groups, self.digest = planner, start, groups, ' '.join(digests)
        self.sets = read_sets(planner.world)

    def write_branch(self, part: Part) -> Path:
        """What a part learned, as a network of its own."""
        file = self.planner.out / 'branches' / f'{part.name}_{part.digest}.pth'
        if not file.is_file():
            with replacing(file) as aside:
                learned, = self.planner.learned(part)
                torch.save({'params': learned, 'network': self.start.options, 'scale': SCALE}, aside)
        return file

    def measure(self, seed: int, rows: dict[str, list[Part]], ways: dict[str, Part]) -> dict[str, dict]:
        """Row to set of pairs to figure to its value for each photo."""
        found = {'interpolation': self._kept('interpolation', '', lambda: interpolated(SCALE)),
                 'start': self._kept('start', '', lambda: self._net(self.start.trained))}
        for row, parts in rows.items():
            digest = ' '.join(part.digest for part in parts)
            if len(parts) == 1:
                found[row] = self._kept(f'{row}_s{seed}', digest, lambda parts=parts: self._nets(parts)[0])
                continue
            found[f'{row}, mean'] = self._kept(
                f'{row}_mean_s{seed}', digest, lambda parts=parts: mean_of(self._nets(parts)))
            if row == 'groups':
                found[f'{row}, own branch'] = self._kept(
                    f'{row}_own_s{seed}', digest, lambda parts=parts: by_group(self._nets(parts), self._group))
            else:
                found[f'{row}, mean of weights'] = self._kept(
                    f'{row}_weights_s{seed}', digest,
                    lambda parts=parts: self._net(mean_of_weights([self.planner.learned(part)[0] for part in parts])))
        for way, part in ways.items():
            found[f'adapted: {way}'] = self._kept(
                part.name, part.digest,
                lambda part=part: mean_of([self._net(state) for state in self.planner.learned(part)]))
        return found

    def _nets(self, parts: list[Part]) -> list[Restore]:
        return [self._net(self.planner.learned(part)[0]) for part in parts]

    def _net(self, state: Weights) -> Restore:
        return with_weights(self.start.options, SCALE, state)

    @cached_property
    def _by_pixels(self) -> dict[bytes, int | None]:
        """The group of each LR photo."""
        found = {}
        for pairs in self.sets.values():
            for _, lr in pairs.values():
                photo = read_rgb(lr)
                found[photo.tobytes()] = self.groups.group_of(measure_photo(photo, lr.name, self.groups.sharp))
        return found

    def _group(self, x: Tensor) -> int | None:
        return self._by_pixels[np.round(x[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8).tobytes()]

    def _kept(self, name: str, digest: str, load: Callable[[], Restore]) -> dict:
        path = self.planner.out / 'figures' / f'cameras_{name.replace(" ", "_")}.json'
        return kept(path, f'{digest} {self.digest}', lambda: outcomes(load(), self.sets),
                    lambda: say(f'Measuring {name}.'))


def mean_of(nets: list[Restore]) -> Restore:
    """The mean of their pictures."""
    return lambda x: torch.stack([net(x) for net in nets]).mean(0)


def by_group(nets: list[Restore], group_of: Callable[[Tensor], int | None]) -> Restore:
    """The network of a photo's group; the mean of all where it cannot be told."""
    def restore(x: Tensor) -> Tensor:
        group = group_of(x)
        return mean_of(nets)(x) if group is None else nets[group](x)

    return restore


if __name__ == '__main__':
    sys.exit(guarded(lambda: run(parse(None), sys.argv[1:])))
