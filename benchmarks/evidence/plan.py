"""What is trained: rows of the table, and the option files of their parts, made from the recipes."""

import copy
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.evidence.world import HR_TRAIN, HR_VALID, LR_TRAIN, LR_VALID, SCALE, World
from mssr_compat.errors import UserError
from mssr_metric.protocols import PROTOCOLS, protocol_metrics
from mssr_options.reader import read_options

RECIPES = Path(__file__).resolve().parents[2] / 'options' / 'recipes'
FILES = {'deresnet': 'degradation_deresnet.yml', 'han': 'degradation_han.yml', 'pdm': 'degradation_pdm.yml',
         'sr': 'mssr.yml'}
TERMS = ('collab_opt', 'feature_opt', 'adapt_opt')  # of the recipe's ``train``, beside the supervised one


@dataclass(frozen=True)
class Row:
    """One way to train, at equal budget."""

    title: str
    generators: tuple[str, ...] = ()  #: one for each branch, or one for all
    terms: tuple[str, ...] = ()  #: of :data:`TERMS`


ROWS = {
    'interpolation': Row('bicubic interpolation'),
    'bicubic': Row('SR, bicubic LR', ('bicubic',)),
    'deterministic': Row('SR, one deterministic generator', ('deterministic',)),
    'probabilistic': Row('SR, one probabilistic generator', ('deresnet',)),
    'pdm': Row('SR, one generator of blur and noise', ('pdm',)),
    'mixed': Row('two generators', ('deresnet', 'han')),
    'collaboration': Row('+ collaboration', ('deresnet', 'han'), TERMS[:2]),
    'full': Row('+ adaptation: the full method', ('deresnet', 'han'), TERMS),
    'three': Row('three generators, three branches', ('deresnet', 'han', 'third'), TERMS),
    'oracle': Row('SR, true degradation (oracle)', ('oracle',)),
}
WEIGHTLESS = {'bicubic': 'BicubicDegradation', 'oracle': 'KnownDegradation'}

#: generator: recipe, change of the seed, changes of its sections
GENERATORS = {
    'deresnet': ('deresnet', 0, {}),
    'deterministic': ('deresnet', 0, {'network_g': {'noise_std': 0}, 'train': {'lq_jpeg': 'median'}}),
    'han': ('han', 0, {}),
    'pdm': ('pdm', 0, {}),
    'third': ('deresnet', 100, {'network_d': {'filter': 'wavelet'}}),
}

#: what a size changes: keywords of networks; by stage, factors on batch and iterations, and the networks' learning
#: rate; or fixed numbers of batch and iterations
SIZES = {
    'cpu': {},
    'gpu': {
        'networks': {
            'DeResnet': {'num_feat': 64, 'num_block': 8},
            'DegradationHAN': {'num_feat': 64, 'num_group': 5, 'num_block': 8, 'reduction': 16},
            'SRVGGNetCompact': {'num_feat': 64, 'num_conv': 32},
            'MSRResNet': {'num_feat': 64, 'num_block': 16},
        },
        'batch': {1: 2, 2: 2},
        'iterations': {1: 2, 2: 4},
        'rates': {2: 2e-4},  # at the recipe's, such deep SR networks leave [0, 1] within 150 iterations, for good
        'data': {'num_worker_per_gpu': 4},
    },
    'smoke': {
        'networks': {
            'DeResnet': {'num_feat': 4, 'num_block': 1},
            'DegradationHAN': {'num_feat': 8, 'num_group': 1, 'num_block': 1, 'reduction': 4},
            'SRVGGNetCompact': {'num_feat': 8, 'num_conv': 1},
            'MSRResNet': {'num_feat': 8, 'num_block': 1},
        },
        'fixed_batch': 2,
        'fixed_iterations': 4,
        'data': {'num_worker_per_gpu': 0, 'gt_size': 64},
    },
}


@dataclass
class Part:
    """One training (and, of an SR ensemble, its test): what a process does, and what it must wait for.

    It is called after its generator, ``g_han_s0``, or its row, ``sr_full_s0``, and its seed.
    """

    name: str
    opt: dict
    test: dict | None = None
    needs: list[str] = field(default_factory=list)
    digest: str = ''  #: of all that decides the result

    @property
    def iterations(self) -> int:
        return self.opt['train']['total_iter']


class Planner:
    """Makes the parts of rows and seeds from the recipes of a folder.

    Args:
        world: the photos.
        out: absolute folder of results.
        size: ``cpu``, ``gpu`` or ``smoke``.
        recipes: folder of the four option files.

    Raises:
        UserError: a recipe is missing or lacks what a row needs.
    """

    def __init__(self, world: World, out: Path, size: str = 'cpu', recipes: Path = RECIPES) -> None:
        self.world, self.out, self.size = world, out, SIZES[size]
        self.recipes = {key: read_options(str(recipes / file)) for key, file in FILES.items()}
        for key, opt in self.recipes.items():
            wanted = 'MultiDegradationSRModel' if key == 'sr' else 'DegradationGANModel'
            if opt.get('model_type') != wanted or opt.get('scale') != SCALE:
                raise UserError(f'{recipes / FILES[key]}: model_type must be {wanted} and scale {SCALE}.')
        sr = self.recipes['sr']
        for term in ('collab_opt', 'adapt_opt'):
            if not sr['train'].get(term):
                raise UserError(f'{recipes / FILES["sr"]}: train.{term} is missing, which rows are told apart by.')
        if len((sr.get('network_g') or {}).get('branches') or ()) != 2:
            raise UserError(f'{recipes / FILES["sr"]}: network_g must be an SREnsemble of two branches.')

    def parts(self, rows: list[str], seeds: list[int]) -> list[Part]:
        """All parts, seed by seed, generators first."""
        found = []
        for seed in seeds:
            needed = {g for row in rows for g in ROWS[row].generators}
            generators = {g: self.generator(g, seed) for g in GENERATORS if g in needed}
            found += generators.values()
            found += [self.ensemble(row, seed, generators) for row in rows if ROWS[row].generators]
        return found

    def generator(self, generator: str, seed: int) -> Part:
        """Stage 1 of one generator."""
        recipe, offset, changes = GENERATORS[generator]
        opt = self._training(recipe, 1, seed + offset)
        for section, keys in changes.items():
            opt[section].update(keys)
        if not self.recipes[recipe]['train'].get('lq_jpeg'):
            opt['train'].pop('lq_jpeg', None)
        return self._part(f'g_{generator}_s{seed}', opt)

    def ensemble(self, row: str, seed: int, generators: dict[str, Part]) -> Part:
        """Stage 2 of one row, and its test."""
        opt, names = self._training('sr', 2, seed), ROWS[row].generators
        for term in set(TERMS) - set(ROWS[row].terms):
            opt['train'].pop(term, None)
        opt['train'].pop('lq_jpeg', None)  # as the generators were trained; the oracle's camera does it itself
        files = next((generators[g].opt['train'].get('lq_jpeg') for g in names if g in generators), None)
        if files:
            opt['train']['lq_jpeg'] = files
        strength, noise = (opt['train'].pop(key, None) for key in ('lq_strength', 'lq_noise'))
        if strength and names[0] in GENERATORS:
            opt['train']['lq_strength'] = [sum(strength) / 2] * 2 if names[0] == 'deterministic' else strength
        if noise and names[0] in GENERATORS and names[0] != 'deterministic':
            opt['train']['lq_noise'] = noise
        opt['degradations'] = [self._degradation(g, generators.get(g)) for g in names]
        branches = opt['network_g']['branches']
        branches += [copy.deepcopy(branches[0]) for _ in range(len(names) - len(branches))]
        name = f'sr_{row}_s{seed}'
        return self._part(name, opt, [generators[g] for g in names if g in generators], self._test(name, opt))

    def picture(self, row: str, seed: int | str, image: str) -> Path:
        """The picture that the test of a row writes."""
        if row == 'interpolation':
            return self.out / 'results' / 'interpolation' / f'{image}.png'
        name = f'test_sr_{row}_s{seed}'
        return self.out / 'results' / name / 'visualization' / 'valid' / f'{image}_{name}.png'

    def checkpoint(self, part: str) -> Path:
        """The weights that a part ends with."""
        return self.out / 'experiments' / part / 'models' / 'net_g_latest.pth'

    def _training(self, recipe: str, stage: int, seed: int) -> dict:
        """A recipe at this size, on this world, without validation: it would look at the pairs."""
        opt, size = json.loads(json.dumps(self.recipes[recipe])), self.size
        opt['manual_seed'] = seed
        opt['datasets'] = {'train': opt['datasets']['train']}
        data, train = opt['datasets']['train'], opt['train']
        data.update(dataroot_gt=self.world.role(HR_TRAIN), dataroot_lq=self.world.role(LR_TRAIN),
                    io_backend={'type': 'disk'}, **size.get('data', {}))
        for section, key in ((data, 'meta_info_gt'), (data, 'meta_info_lq'), (opt, 'val'), (opt['logger'], 'wandb')):
            section.pop(key, None)
        data['batch_size_per_gpu'] *= size.get('batch', {}).get(stage, 1)
        data['batch_size_per_gpu'] = size.get('fixed_batch', data['batch_size_per_gpu'])
        total = train['total_iter'] * size.get('iterations', {}).get(stage, 1)
        set_iterations(train, size.get('fixed_iterations', total))
        train['optim_g']['lr'] = size.get('rates', {}).get(stage, train['optim_g']['lr'])
        for network in (opt['network_g'], *opt['network_g'].get('branches', ())):
            network.update(size.get('networks', {}).get(network.get('type'), {}))
        opt['logger'].update(save_checkpoint_freq=max(train['total_iter'] // 10, 1), keep_last=2, use_tb_logger=False)
        return opt

    def _degradation(self, generator: str, part: Part | None) -> dict:
        if part is not None:
            return {**part.opt['network_g'], 'checkpoint': str(self.checkpoint(part.name))}
        options = {'type': WEIGHTLESS[generator], 'scale': SCALE}
        return options | ({'checkpoint': str(self.world.camera)} if generator == 'oracle' else {})

    def _test(self, name: str, opt: dict) -> dict:
        """The option file of ``test.py`` for what ``opt`` trains."""
        data = {'name': 'valid', 'type': 'PairedImageDataset', 'dataroot_gt': self.world.role(HR_VALID),
                'dataroot_lq': self.world.role(LR_VALID), 'io_backend': {'type': 'disk'}}
        averaged = {'param_key_g': 'params_ema'} if opt['train'].get('ema_decay', 0) > 0 else {}
        metrics = {key: options for protocol in PROTOCOLS for key, options in protocol_metrics(protocol, SCALE).items()}
        test = {key: opt[key] for key in ('model_type', 'scale', 'num_gpu', 'manual_seed', 'performance') if key in opt}
        return test | {
            'name': f'test_{name}',
            'datasets': {'test_1': data},
            'network_g': opt['network_g'],
            'path': {'pretrain_network_g': str(self.checkpoint(name)), 'strict_load_g': True, **averaged},
            'val': {'save_img': True, 'suffix': None, 'metrics': metrics},
        }

    def _part(self, name: str, opt: dict, needs: list[Part] = (), test: dict | None = None) -> Part:
        opt = {**opt, 'name': name}
        opt['path'] = {key: value for key, value in opt.get('path', {}).items() if 'strict' in key}
        text = json.dumps([self.world.digest, opt, test, [part.digest for part in needs]], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return Part(name, opt, test, [part.name for part in needs], digest)


def set_iterations(train: dict, total: int) -> None:
    """Train for ``total`` iterations, with everything that is counted in iterations in proportion. In place."""
    before = train['total_iter']

    def scaled(value):
        return [scaled(item) for item in value] if isinstance(value, list) else value * total // before

    train['total_iter'] = total
    if train.get('warmup_iter', -1) > 0:
        train['warmup_iter'] = scaled(train['warmup_iter'])
    for section, keys in ((train, ('collab_start_iter',)),
                          (train['scheduler'], ('decay_start', 'total_iter', 'milestones', 'periods', 'restarts'))):
        section.update({key: scaled(section[key]) for key in keys if key in section})
