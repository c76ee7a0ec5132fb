"""Values that are fine by themselves and impossible together."""

from mssr_options import kinds
from mssr_options.registries import catalogue, keywords
from mssr_options.size_rules import SizeRules, has_weights


def check_rules(checker) -> None:
    """Note every rule that the options of a :class:`mssr_options.check.Checker` break."""
    rules = Rules(checker)
    for name in sorted(dir(Rules)):
        if name.startswith('rule_'):
            getattr(rules, name)()


class Rules(SizeRules):
    """The rules; each asks for values through :meth:`get`, which gives none that is missing or already found wrong."""

    def __init__(self, checker):
        self.opt, self.report, self.is_train = checker.opt, checker.report, checker.is_train
        self.checker = checker

    def get(self, *path, default=None):
        """The value at a key path, or ``default``."""
        value = self.opt
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return default
            value = value[key]
        return value if self.report.sound(path) else default

    def whole(self, *path):
        """The whole number from 1 up at a key path, or None; data sets of other plugins may hold anything there."""
        value = self.get(*path)
        return value if kinds.fits('int >= 1', value) else None

    def datasets(self):
        """(phase, key path, options) of each data set whose keys were checked."""
        for name, options in (self.get('datasets') or {}).items():
            if f'datasets.{name}' in self.checker.sets and self.report.sound(('datasets', name)):
                yield str(name).split('_')[0], ('datasets', name), options

    # --- training -----------------------------------------------------------------------------------------------

    def rule_schedule(self):
        """Lists of a schedule have one entry each; a decay ends after it starts."""
        path = ('train', 'scheduler')
        s = self.get(*path)
        if not isinstance(s, dict) or not self._sound_below(path):
            return
        for key in ('restarts', 'periods'):
            if key in s and len(s[key]) != len(s.get('restart_weights', [1])):
                self.report.add(
                    (*path, key),
                    f'has {len(s[key])} entries, but restart_weights has '
                    f'{len(s.get("restart_weights", [1]))}; both need as many',
                )
        if s.get('type') == 'LinearDecayLR' and s['decay_start'] >= s['total_iter']:
            self.report.add(
                (*path, 'decay_start'),
                f'{s["decay_start"]} must come before the end of the decay, total_iter {s["total_iter"]}',
            )
        total = self.get('train', 'total_iter')
        if s.get('type') == 'CosineAnnealingRestartLR' and total and sum(s['periods']) < total:
            self.report.add(
                (*path, 'periods'), f'end after {sum(s["periods"])} iterations, but train.total_iter is {total}'
            )

    def rule_some_loss(self):
        """A model without any loss learns nothing."""
        losses = [key for key in self.checker.table if key.startswith('train.') and key.endswith('_opt')]
        train = self.get('train')
        if not self.is_train or not isinstance(train, dict) or 'train.pixel_opt' not in losses:
            return
        if not any(train.get(key.removeprefix('train.')) for key in losses):
            self.report.add(('train',), 'there is no loss; set train.pixel_opt')

    def rule_degradations(self):
        """Frozen generators that have weights need a checkpoint; branches are those of an SREnsemble."""
        generators, branches = self.get('degradations'), self.get('network_g', 'branches')
        for k, section in enumerate(generators if isinstance(generators, list) and self.is_train else ()):
            if isinstance(section, dict) and not section.get('checkpoint') and has_weights(section):
                self.report.add(('degradations', k), 'checkpoint is missing: the weights that stage 1 trained')
        if self.checker.model_name == 'MultiDegradationSRModel' and self.get('network_g') and branches is None:
            kind = self.get('network_g', 'type')
            if self.report.sound(('network_g', 'type')) and kind != 'SREnsemble':
                self.report.add(
                    ('network_g', 'type'),
                    f"MultiDegradationSRModel trains an SREnsemble, not '{kind}'; list {kind} under branches",
                )

    def rule_queue(self):
        """RealESRGAN's pool of pairs holds whole batches."""
        size, batch = self.whole('queue_size'), self.whole('datasets', 'train', 'batch_size_per_gpu')
        if size and batch and size % batch:
            self.report.add(('queue_size',), f'{size} is not divisible by batch_size_per_gpu {batch}')

    def rule_debugging_wandb(self):
        """wandb is fed by TensorBoard."""
        if self.get('logger', 'wandb', 'project') and not self.get('logger', 'use_tb_logger'):
            self.report.add(('logger', 'wandb', 'project'), 'needs logger.use_tb_logger: true')

    def rule_unpaired_trains(self):
        """Unpaired photos cannot be validated with."""
        for phase, path, options in self.datasets():
            if phase != 'train' and options.get('type') == 'UnpairedImageDataset':
                self.report.add(
                    (*path, 'type'),
                    'UnpairedImageDataset is for training; use PairedImageDataset, or SingleImageDataset where there '
                    'is no ground truth',
                )

    # --- data ---------------------------------------------------------------------------------------------------

    def rule_lmdb(self):
        """LMDBs are folders that end in .lmdb, and are not read as folders of images."""
        for _, path, _options in self.datasets():
            backend = self.get(*path, 'io_backend', 'type', default='disk')
            for key in ('dataroot_gt', 'dataroot_lq'):
                root = self.get(*path, key)
                if not isinstance(root, str):
                    continue
                ends = root.rstrip('/').endswith('.lmdb')
                if backend == 'lmdb' and not ends:
                    self.report.add((*path, key), f"'{root}' must end in .lmdb, or io_backend.type must be disk")
                elif backend == 'disk' and ends:
                    self.report.add((*path, key), f"'{root}' is an LMDB; set io_backend.type to lmdb")

    def rule_roles_differ(self):
        """Clean and real photos cannot be the same folder."""
        for _, path, options in self.datasets():
            gt, lq = self.get(*path, 'dataroot_gt'), self.get(*path, 'dataroot_lq')
            if gt and gt == lq and options.get('type') == 'UnpairedImageDataset':
                self.report.add((*path, 'dataroot_lq'), f"'{lq}' is dataroot_gt, too; it must hold the real LR photos")

    def rule_prefetch(self):
        """Prefetching to the GPU copies from page-locked memory."""
        for _, path, _options in self.datasets():
            if self.get(*path, 'prefetch_mode') == 'cuda':
                if self.get(*path, 'pin_memory') is not True:
                    self.report.add((*path, 'prefetch_mode'), 'cuda needs pin_memory: true')
                if self.get('num_gpu') == 0:
                    self.report.add((*path, 'prefetch_mode'), 'cuda needs a GPU, but num_gpu is 0; use cpu or ~')

    def rule_names_differ(self):
        """Results are kept by the name of the data set."""
        names = {}
        for _, path, _options in self.datasets():
            name = self.get(*path, 'name')
            if isinstance(name, str) and names.setdefault(name, path) != path:
                self.report.add(
                    (*path, 'name'), f"'{name}' is the name of {'.'.join(names[name])} too; their results would mix"
                )

    # --- validation and testing ---------------------------------------------------------------------------------

    def rule_validation_used(self):
        """A validation set without a val section is never looked at."""
        for phase, path, _options in self.datasets():
            if self.is_train and phase == 'val' and self.get('val') is None and self.report.sound(('val',)):
                self.report.add(
                    path,
                    'is never used without a val section (val_freq, save_img, metrics); add one, or '
                    'remove the data set',
                )

    def rule_ground_truth(self):
        """Metrics that compare need ground truth."""
        for phase, path, options in self.datasets():
            if phase == 'train' or options.get('type') != 'SingleImageDataset':
                continue
            for name, section in (self.get('val', 'metrics') or {}).items():
                target = catalogue('metric').get(section.get('type')) if isinstance(section, dict) else None
                if target is not None and 'img2' in keywords(target)[0]:
                    self.report.add(
                        ('val', 'metrics', name),
                        f'{section["type"]} compares with ground truth, which '
                        f'{".".join(path)} (SingleImageDataset) has not; use PairedImageDataset, or remove '
                        'the metric',
                    )

    def rule_suffix(self):
        """BasicSR's test reads val.suffix when it saves pictures."""
        if not self.is_train and self.get('val', 'save_img') and 'suffix' not in (self.get('val') or {}):
            self.report.add(('val',), 'suffix is missing: the ending of the names of saved pictures, or ~')

    def rule_tested_weights(self):
        """A test of random weights means nothing."""
        if self.is_train or 'path.pretrain_network_g' not in self.checker.table:
            return
        path, network = ('path', 'pretrain_network_g'), self.get('network_g')
        if self.get(*path) or not self.report.sound(path) or not isinstance(self.get('path'), dict):
            return
        branches = self.get('network_g', 'branches')
        if isinstance(branches, list) and all(isinstance(b, dict) and b.get('checkpoint') for b in branches):
            return
        if isinstance(network, dict) and self._sound_below(('network_g',)) and has_weights(network):
            where = path if path[1] in self.opt['path'] else path[:1]
            self.report.add(where, 'pretrain_network_g is not set; random weights would be tested')
