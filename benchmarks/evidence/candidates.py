"""Degradations to be ranked: of every kind, early and late, good and spoilt; and SR that has learned from each."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.evidence.plan import RECIPES, Part, Planner, set_iterations
from benchmarks.evidence.world import HR_TRAIN, LR_TRAIN, SCALE, World
from mssr_adapt.ends import Weights
from mssr_adapt.starts import Start, read_start
from mssr_compat.checkpoint import read_weights
from mssr_compat.files import replacing
from mssr_data.photo_pool import read_photos
from mssr_degradation import LearnedDegradation
from mssr_degradation.learned_degradation import frozen_generators
from mssr_degradation.real_photos import build_coding, matched_shares, read_hr, read_real
from mssr_options.reader import read_options

EARLY = 100  # iterations of stage 1 after which a generator is looked at, too
RATE = 2e-4  # of SR: the same for all, so that their degradations alone tell them apart
SIZES = {'cpu': {'learning': 160}, 'smoke': {'learning': 4, 'gt_size': 64}}


@dataclass(frozen=True)
class Candidate:
    """A degradation as SR learns from it."""

    title: str
    generator: str = ''  #: of :data:`benchmarks.evidence.plan.GENERATORS`; '': one that learns nothing
    early: bool = False  #: after :data:`EARLY` iterations
    network: dict = field(default_factory=dict)  #: options of one that learns nothing
    draws: dict = field(default_factory=dict)  #: changes of the recipe's ``lq_*``; None: without


_AS_IT_IS = {'lq_strength': None, 'lq_noise': None}

CANDIDATES = {
    'bicubic': Candidate('bicubic', network={'type': 'BicubicDegradation'}, draws=_AS_IT_IS | {'lq_jpeg': None}),
    'simulated': Candidate('any blur and noise, not learned', draws=_AS_IT_IS,
                           network={'type': 'SimulatedDegradation', 'blur': [0, 4], 'noise': [0, 15]}),
    'soft': Candidate('too much blur', draws=_AS_IT_IS,
                      network={'type': 'SimulatedDegradation', 'blur': [4, 5], 'noise': [0, 0]}),
    'noisy': Candidate('too much noise', draws=_AS_IT_IS,
                       network={'type': 'SimulatedDegradation', 'blur': [0, 0], 'noise': [15, 20]}),
    'deresnet_early': Candidate('DeResnet, early', 'deresnet', early=True),
    'deresnet': Candidate('DeResnet', 'deresnet'),
    'deresnet_loud': Candidate('DeResnet, twice its noise', 'deresnet', draws={'lq_noise': [2, 2]}),
    'deresnet_quiet': Candidate('DeResnet, no noise', 'deresnet', draws={'lq_noise': [0, 0]}),
    'han_early': Candidate('HAN, early', 'han', early=True),
    'han': Candidate('HAN', 'han'),
    'pdm_early': Candidate('PDM, early', 'pdm', early=True),
    'pdm': Candidate('PDM', 'pdm'),
}


def start_in(world: World, files: list[Path]) -> Start:
    """What SR starts from; which kind a file is of is told on the world's clean photos."""
    return read_start(files, SCALE, read_photos({'dataroot_gt': world.role(HR_TRAIN)}, 'gt', 16, 256, 128))


class CandidatePlanner(Planner):
    """Parts of stage 1 and of SR for candidates.

    Args:
        world: the photos.
        out: absolute folder of results.
        start: what SR starts from; its end of fidelity learns.
        size: ``cpu`` or ``smoke``.
    """

    def __init__(self, world: World, out: Path, start: Start, size: str = 'cpu') -> None:
        super().__init__(world, out, size)
        self.start, self.lengths = start, SIZES[size]
        self.start_file = out / 'start.pth'
        if not self.start_file.is_file():
            out.mkdir(parents=True, exist_ok=True)
            with replacing(self.start_file) as aside:
                torch.save({'params': start.trained, 'network': start.options, 'scale': SCALE}, aside)
        self.train_set = {'dataroot_gt': world.role(HR_TRAIN), 'dataroot_lq': world.role(LR_TRAIN)}

    def all_parts(self, names: list[str], seed: int, candidates: dict[str, Candidate] = CANDIDATES) -> list[Part]:
        """Generators first."""
        wanted = dict.fromkeys(candidates[name].generator for name in names if candidates[name].generator)
        generators = {name: self.generator(name, seed) for name in wanted}
        return [*generators.values(), *(self.learning(name, seed, generators, candidates[name]) for name in names)]

    def generator(self, generator: str, seed: int) -> Part:
        """Stage 1, which also keeps what it was early."""
        opt = copy.deepcopy(super().generator(generator, seed).opt)
        opt['logger'] |= {'save_checkpoint_freq': self._early(opt), 'keep_every': self._early(opt)}
        return self._part(f'g_{generator}_s{seed}', opt)

    def learning(self, name: str, seed: int, generators: dict[str, Part], candidate: Candidate) -> Part:
        """SR on a candidate's draws, by the recipe of ``mssr adapt``."""
        opt = json.loads(json.dumps(read_options(str(RECIPES / 'adapt.yml'))))
        part = generators.get(candidate.generator)
        opt |= {'manual_seed': seed, 'degradations': [self.network(candidate, part)]}
        opt['network_g']['branches'] = [{'pretrained': str(self.start_file)}]
        opt['datasets']['train'] |= self.train_set
        train = opt['train']
        train |= {'find_rate': False, 'optim_g': train['optim_g'] | {'lr': RATE}} | candidate.draws
        train.pop('stay_near')  # a bad degradation is to be seen as bad
        for key in [key for key in candidate.draws if train[key] is None]:
            del train[key]
        set_iterations(train, self.lengths['learning'])
        opt['datasets']['train']['gt_size'] = self.lengths.get('gt_size', opt['datasets']['train']['gt_size'])
        opt['logger'] |= {'save_checkpoint_freq': 10 * train['total_iter'], 'use_tb_logger': False}
        return self._part(f'sr_{name}_s{seed}', opt, [part] if part else [])

    def learned(self, part: Part) -> list[Weights]:
        """The weights of each branch that a part trained."""
        state = read_weights(self.checkpoint(part.name), param_key='params_ema')
        prefixes = [f'branches.{k}.' for k in range(len(part.opt['network_g']['branches']))]
        return [{name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
                for prefix in prefixes]

    def network(self, candidate: Candidate, part: Part | None) -> dict:
        """An entry of ``degradations:``."""
        if part is None:
            return candidate.network | {'scale': SCALE}
        moment = self._early(part.opt) if candidate.early else 'latest'
        file = self.out / 'experiments' / part.name / 'models' / f'net_g_{moment}.pth'
        return {**part.opt['network_g'], 'checkpoint': str(file)}

    def degradation(self, part: Part) -> LearnedDegradation:
        """What the SR of a part learned from, on the CPU."""
        train = part.opt['train']
        net, = frozen_generators(json.loads(json.dumps(part.opt)))
        jpeg = build_coding(train.get('lq_jpeg'), self.train_set, torch.device('cpu'))
        noise = train.get('lq_noise')
        found = LearnedDegradation(net, SCALE, train.get('lq_strength'), noise, jpeg, train.get('lq_round', False))
        if noise == 'auto':
            found.noise = matched_shares(found, read_hr(self.train_set, SCALE), read_real(self.train_set))
        return found

    @staticmethod
    def _early(opt: dict) -> int:
        total = opt['train']['total_iter']
        return min(EARLY, max(total // 2, 1))
