"""Values that are fine by themselves and impossible together."""

import inspect
from collections.abc import Callable
from os import path as osp
from typing import Any

import torch
from basicsr.models.sr_model import SRModel

from mssr_loss.backbone import LPIPS_SMALLEST
from mssr_options.components import find, is_own, keywords
from mssr_options.fields import keys
from mssr_options.parts import Grouped
from mssr_options.quiet import quiet
from mssr_options.reader import KeyPath, dotted

_LARGEST_TRIED = 1024  # pixels a side of a crop that a discriminator is tried on in earnest
# Models whose discriminator judges what datasets.train.gt_size cuts, and how it is called.
_JUDGED = {'DegradationGANModel': 'LR', **dict.fromkeys(
    ('MultiDegradationSRModel', 'LearnedDegradationSRModel', 'LearnedDegradationESRGANModel', 'SRGANModel',
     'ESRGANModel'), 'HR')}


class Rules:
    """The rules for the options of a :class:`mssr_options.check.Checker`, whose report takes what they find.

    Each asks for values through :meth:`get`, which gives none that is missing or already found wrong.
    """

    def __init__(self, checker):
        self.checker, self.opt, self.is_train = checker, checker.opt, checker.is_train
        self.add, self.sound, self.visits = checker.report.add, checker.report.sound, checker.visits
        self.model = getattr(checker.cls, '__name__', checker.model.__name__)

    def run(self) -> None:
        """Note every rule that is broken."""
        for name in sorted(dir(Rules)):
            if name.startswith('rule_'):
                getattr(self, name)()

    def get(self, *path: str, default: Any = None) -> Any:
        """The value at a key path, or ``default``."""
        value = self.opt
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return default
            value = value[key]
        return value if self.sound(path) else default

    def whole(self, *path: str) -> int | None:
        """The whole number from 1 up at a key path, or None; data sets of other packages may hold anything there."""
        value = self.get(*path)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else None

    def datasets(self) -> list[tuple[str, KeyPath, dict]]:
        """(phase, key path, options) of each data set whose keys were checked."""
        return [(str(v.path[1]).split('_')[0], v.path, v.value) for v in self.visits
                if v.kind == 'data set' and self.sound(v.path)]

    def built(self, *kinds: str) -> list[tuple[str, KeyPath, dict]]:
        """(kind, key path, options) of each section of these kinds in which nothing was found wrong so far."""
        return [(v.kind, v.path, v.value) for v in self.visits if v.kind in kinds and self.sound(v.path, True)]

    def rule_datasets(self):
        """There is something to train on, and something to test."""
        sets = self.get('datasets')
        if isinstance(sets, dict) and self.is_train and 'train' not in sets:
            self.add(('datasets',), 'train is missing: the training set')
        elif sets == {}:
            self.add(('datasets',), 'there is no data set')

    def rule_some_loss(self):
        """A model without any loss learns nothing."""
        train = self.get('train')
        losses = isinstance(train, dict) and [key for key in train if str(key).endswith('_opt') and train[key]]
        if self.is_train and losses == [] and SRModel in getattr(self.checker.cls, '__mro__', ()):
            self.add(('train',), 'there is no loss; set train.pixel_opt')

    def rule_degradations(self):
        """Frozen generators that have weights need a checkpoint; branches are those of an SREnsemble."""
        for _, path, value in self.built('network'):
            if path[0] == 'degradations' and self.is_train and not value.get('checkpoint') and _has_weights(value):
                self.add(path, 'checkpoint is missing: the weights that stage 1 trained')
        kind = self.get('network_g', 'type')
        if self.model == 'MultiDegradationSRModel' and kind not in (None, 'SREnsemble'):
            self.add(('network_g', 'type'), f"{self.model} trains an SREnsemble, not '{kind}'; list {kind} under "
                     'branches')

    def rule_judge(self):
        """A discriminator, its loss and its optimizer go together, where a model needs none."""
        parts = {('train', 'gan_opt'): 'adversarial loss', ('network_d',): 'discriminator',
                 ('train', 'optim_d'): "discriminator's optimizer"}
        there = [path for path in parts if self.get(*path)]
        if not self.is_train or self.model not in ('MultiDegradationSRModel', 'LearnedDegradationSRModel'):
            return
        for path in parts if there else ():
            if path not in there and self.sound(path):
                self.add(there[0], f'needs {dotted(path)}, the {parts[path]}, which is missing')

    def rule_distance(self):
        """Distances are those between four batches, of which averaged weights make two."""
        path, average = ('train', 'distance_opt'), ('train', 'ema_decay')
        options = self.get(*path)
        if not options or not self.is_train:
            return
        if not self.get(*average) and self.sound(average):
            self.add(path, 'needs train.ema_decay above 0, such as 0.999: distances are kept to those of the averaged '
                     'weights')
        target = find('loss', options.get('type')) if isinstance(options, dict) else None
        if target is not None and _try(inspect.signature(target.forward).bind, *range(5)):
            self.add((*path, 'type'), f'{options["type"]} does not compare distances; take PairwiseDistanceLoss')
        patch, size = self.whole(*path, 'patch'), self.whole('datasets', 'train', 'gt_size')
        if patch and size and patch > size and not self.get(*path, 'net'):
            self.add((*path, 'patch'), f'{patch} is more than datasets.train.gt_size, {size}: no patch would fit')

    def rule_perceptual_branches(self):
        """They are branches that there are."""
        path, branches = ('train', 'perceptual_branches'), self.get('network_g', 'branches')
        for number in self.get(*path) or ():
            if isinstance(branches, list) and number > len(branches):
                self.add(path, f'there is no branch {number}: network_g.branches lists {len(branches)}')

    def rule_start(self):
        """What bounds a figure needs the figure, and a reason to look at it."""
        if self.get('val', 'select_bound') is not None:
            for path in (('val', 'select'), ('train', 'stay_near')):
                if not self.get(*path) and self.sound(path):
                    self.add(('val', 'select_bound'), f'needs {dotted(path)}, which is not set')

    def rule_tested_weights(self):
        """A test of random weights means nothing, and BasicSR's test reads val and val.suffix."""
        path, where = ('path', 'pretrain_network_g'), self.get('path')
        if self.is_train:
            return
        if 'val' not in self.opt:
            self.add((), 'val is missing: validation settings (a section)')
        elif self.get('val', 'save_img') and 'suffix' not in self.opt['val']:
            self.add(('val',), 'suffix is missing: the ending of the names of saved pictures, or ~')
        if self.get(*path) or not self.sound(path) or not isinstance(where, dict):
            return
        branches = self.get('network_g', 'branches')
        loaded = isinstance(branches, list) and all(isinstance(b, dict) and b.get('checkpoint') for b in branches)
        for _, place, network in self.built('network'):
            if place == ('network_g',) and not loaded and _has_weights(network):
                self.add(path if path[1] in where else path[:1],
                         'pretrain_network_g is not set; random weights would be tested')

    def rule_schedule(self):
        """Lists of a schedule have one entry each; a decay ends after it starts."""
        total = self.get('train', 'total_iter')
        for _, path, schedule in self.built('schedule'):
            weights = len(schedule.get('restart_weights', [1]))
            for key in ('restarts', 'periods'):
                if len(schedule.get(key, [0] * weights)) != weights:
                    self.add((*path, key), f'has {len(schedule[key])} entries, but restart_weights has {weights}; both '
                             'need as many')
            if schedule.get('decay_start', 0) >= schedule.get('total_iter', float('inf')):
                self.add((*path, 'decay_start'), f'{schedule["decay_start"]} must come before the end of the decay, '
                         f'total_iter {schedule["total_iter"]}')
            if total and sum(schedule.get('periods', [total])) < total:
                self.add((*path, 'periods'), f'end after {sum(schedule["periods"])} iterations, but train.total_iter '
                         f'is {total}')

    def rule_averages(self):
        """A schedule-free optimizer averages its steps itself."""
        if self.get('train', 'optim_g', 'type') == 'AdamWScheduleFree' and self.get('train', 'ema_decay'):
            self.add(('train', 'ema_decay'), 'must be 0 with AdamWScheduleFree, which averages all steps itself')

    def rule_roots(self):
        """LMDBs end in .lmdb and are not read as folders; clean and real photos are not in the same one."""
        for _, path, options in self.datasets():
            backend = self.get(*path, 'io_backend', 'type', default='disk')
            gt, lq = self.get(*path, 'dataroot_gt'), self.get(*path, 'dataroot_lq')
            for key, root in (('dataroot_gt', gt), ('dataroot_lq', lq)):
                ends = isinstance(root, str) and root.rstrip('/').endswith('.lmdb')
                if isinstance(root, str) and backend == 'lmdb' and not ends:
                    self.add((*path, key), f"'{root}' must end in .lmdb, or io_backend.type must be disk")
                elif backend == 'disk' and ends:
                    self.add((*path, key), f"'{root}' is an LMDB; set io_backend.type to lmdb")
            if options['type'] == 'UnpairedImageDataset' and gt and lq and osp.realpath(gt) == osp.realpath(lq):
                self.add((*path, 'dataroot_lq'), f"'{lq}' is dataroot_gt, too; it must hold the real LR photos")

    def rule_needs(self):
        """wandb is fed by TensorBoard; prefetching to the GPU copies from page-locked memory."""
        if self.get('logger', 'wandb', 'project') and not self.get('logger', 'use_tb_logger'):
            self.add(('logger', 'wandb', 'project'), 'needs logger.use_tb_logger: true')
        for _, path, options in self.datasets():
            if self.get(*path, 'prefetch_mode') == 'cuda':
                if options.get('pin_memory') is not True:
                    self.add((*path, 'prefetch_mode'), 'cuda needs pin_memory: true')
                if self.get('num_gpu') == 0:
                    self.add((*path, 'prefetch_mode'), 'cuda needs a GPU, but num_gpu is 0; use cpu or ~')

    def rule_names_differ(self):
        """Results are kept by the name of the data set."""
        taken = {}
        for _, path, _options in self.datasets():
            name = self.get(*path, 'name')
            if isinstance(name, str) and taken.setdefault(name, path) != path:
                self.add((*path, 'name'), f"'{name}' is the name of {dotted(taken[name])} too; their results would mix")

    def rule_validation(self):
        """Validation sets are looked at, are not unpaired, and have the ground truth that metrics compare with."""
        for phase, path, options in self.datasets():
            if phase == 'train':
                continue
            if phase == 'val' and self.is_train and self.get('val') is None and self.sound(('val',)):
                self.add(path, 'is never used without a val section (val_freq, save_img, metrics); add one, or remove '
                         'the data set')
            if options['type'] == 'UnpairedImageDataset':
                self.add((*path, 'type'), 'UnpairedImageDataset is for training; use PairedImageDataset, or '
                         'SingleImageDataset where there is no ground truth')
            for _, place, metric in self.built('metric') if options['type'] == 'SingleImageDataset' else ():
                if 'img2' in keywords(find('metric', metric['type']))[0]:
                    self.add(place, f'{metric["type"]} compares with ground truth, which {dotted(path)} '
                             '(SingleImageDataset) has not; use PairedImageDataset, or remove the metric')

    def rule_scale(self):
        """There is one scale, and HR crops are a multiple of it, so that HR and LR crops show the same area."""
        top = self.whole('scale')
        for phase, path, options in self.datasets():
            own, size = self.whole(*path, 'scale'), self.whole(*path, 'gt_size')
            scale = top or own
            if phase == 'train' and scale and size and size % scale:
                lower, upper = size // scale * scale, (size // scale + 1) * scale
                self.add((*path, 'gt_size'), f'{size} is not divisible by scale {scale}: LR crop times scale must be '
                         f'the HR crop; {f"{lower} or " if lower else ""}{upper} would do')
            if top and own and own != top:
                self.add((*path, 'scale'), f'{own} differs from scale {top} at the top, which wins; remove it')
            crops = options['type'] in ('UnpairedImageDataset', 'PairedImageDataset')
            if crops and 'scale' not in {*self.opt, *options}:
                self.add(path, 'there is no scale; set scale at the top')

    def rule_network_scale(self):
        """Networks that know their scale must be of the scale of the data; a generator of scale 1 reads bicubic LR."""
        scale = self.whole('scale')
        for v in self.visits:
            if v.kind != 'network' or not scale or v.path[0] == 'network_d' or not self.sound(v.path):
                continue
            degrades = v.path[0] == 'degradations' or self.model == 'DegradationGANModel'
            parameters = keywords(find('network', v.value['type']))[0]
            for key in {'scale', 'upscale'} & set(parameters):
                own, stated = v.value.get(key, parameters[key].default), key in v.value
                if isinstance(own, int) and own not in (scale, 1 if degrades else scale) and self.sound((*v.path, key)):
                    value = f'{own}{"" if stated else " by default"}'
                    self.add((*v.path, key) if stated else v.path, f'{key} of {v.value["type"]} is {value}, but scale '
                             f'at the top is {scale}; set both to the same')

    def rule_buildable(self):
        """Networks and losses refuse impossible arguments when they are built; on the meta device that costs nothing.

        Branches of an ensemble are built one by one, and losses that read weight files are not built.
        """
        for kind, path, value in self.built('network', 'loss'):
            target = find(kind, value['type'])
            if 'branches' in value or kind == 'loss' and (
                    not is_own(target) or {'weights', 'vgg_type'} & set(keywords(target)[0])):
                continue
            problem = _try(_build, kind, value, 'meta') and _try(_build, kind, value, 'cpu')  # some need storage
            if problem:
                self.add(path, f'{value["type"]} cannot be built: {problem.removeprefix(value["type"] + ": ")}')

    def rule_smallest_crop(self):
        """Discriminators and perceptual networks halve the image several times: a small crop has nothing left."""
        path, scale = ('datasets', 'train', 'gt_size'), self.whole('scale')
        size = self.whole(*path)
        what = _JUDGED.get(self.model)
        if not (self.is_train and what and size and scale) or size % scale:
            return
        side, options = size // scale if what == 'LR' else size, self.get('train', 'perceptual_opt')
        for _, place, value in self.built('network') if side <= _LARGEST_TRIED else ():
            problem = place == ('network_d',) and _try(_judge, value, side, 'meta') and _try(_judge, value, side, 'cpu')
            if problem:
                self.add(path, f'{value["type"]} cannot judge {what} crops of {side} x {side} (gt_size {size}, scale '
                         f'{scale}): {problem}')
        if isinstance(options, dict):
            name, net = str(options.get('type')), str(options.get('net', 'alex'))
            smallest = {'LPIPSLoss': LPIPS_SMALLEST.get(net, 1), 'VGGFeatureLoss': 32}.get(name, 1)
            if side < smallest:
                times, given = (scale, f'gt_size {size} / scale {scale}') if what == 'LR' else (1, 'gt_size')
                self.add(path, f'{name} needs {what} crops of {smallest} pixels or more a side, but {given} is {side}; '
                         f'raise it to {smallest * times}, or set train.perceptual_opt to ~')


def _has_weights(section: dict) -> bool:
    """Whether a network has anything to load; one that cannot be built without storage has."""
    found = []
    return bool(_try(lambda: found.extend(_build('network', section, 'meta').parameters())) or found)


def _build(kind: str, section: dict, device: str) -> Any:
    """A network or loss; on the device ``meta`` it has no storage and costs next to nothing."""
    arguments = {key: value for key, value in section.items() if key not in ('type', *keys(Grouped))}
    with torch.device(device):
        return find(kind, section['type'])(**arguments)


def _judge(section: dict, side: int, device: str) -> None:
    """Hand a discriminator one crop."""
    crop = torch.zeros(1, int(section.get('num_in_ch', 3)), side, side, device=device)
    with torch.no_grad():
        _build('network', section, device)(crop)


def _try(action: Callable, *arguments: Any) -> str:
    """What ``action`` complains of, or ''."""
    try:
        with quiet():
            action(*arguments)
    except OSError:  # missing files are checked elsewhere
        return ''
    except Exception as error:  # other people's code complains in any way
        text = str(error).strip().splitlines()
        return text[0].rstrip('.') if text else type(error).__name__
    return ''
