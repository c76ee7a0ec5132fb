"""Validation that leaves training as it is, whose figures do not depend on the number of processes, and its record."""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from basicsr.utils import get_root_logger
from torch.utils.data import DataLoader, Subset

from mssr_compat.distributed import total, world
from mssr_compat.errors import UserError
from mssr_compat.random_state import kept_random_state
from mssr_metric import better
from mssr_metric.perceptual_metrics import PREPARE
from mssr_monitor.experiment_record import append_validation, read_best, write_best


class Validator:
    """Stands beside BasicSR's validation loop: shares of several processes, record, best network.

    Options under ``val``, where a model has a monitor: ``monitor`` (default true) switches what it looks at; ``select``
    names the figure by which the best network is kept as ``net_g_best.pth``, its figures beside it in
    ``net_g_best.json``. One that was warned of (collapsed, colours adrift) gives way to any that was not, whatever the
    figure. Of several validation sets, the first decides.

    Args:
        model: whose validation it is.
        monitor: what looks at its networks, with ``figures``, ``begin`` and ``observe``; None: nothing does.
        opt: the options.
    """

    def __init__(self, model, monitor, opt: dict) -> None:
        options = opt.get('val') or {}
        self.model, self.monitor, self.opt = model, monitor, opt
        self.metrics = options.get('metrics') or {}
        self.monitored = monitor is not None and options.get('monitor', True)
        self.select = options.get('select') if monitor is not None else None
        self.figure = None  # the newest that `select` names
        self.direction = self.select and better(self.select, self.metrics.get(self.select))  # that is better
        self.validated = {}  # data set -> iteration of its last validation
        self.recent = deque(maxlen=10)  # of the logged losses
        self.is_running = self.is_watching = False  # whether photos are of a validation, and whether one looks at them
        self.seen = []  # each photo of it, and the sums of the metrics before it
        self.weight = 1  # photos of this process that count

    def prepare(self) -> None:
        """Look at what training will need.

        Raises:
            UserError: ``val.select`` is no figure.
        """
        if self.monitor is None:
            return
        for metric in self.metrics.values():
            if metric.get('type') in PREPARE:  # the first validation may be hours away
                PREPARE[metric['type']](**metric)
        known = [*self.metrics, *(self.monitor.figures if self.monitored else ())]
        if self.select and self.select not in known:
            raise UserError(f'val.select is {self.select}, but the best network can be chosen by '
                            f'{", ".join(known) or "nothing: there is no metric under val.metrics"}.')

    # --- losses of late -------------------------------------------------------------------------------------------

    def state(self) -> dict:
        """A resumed run's record and warnings need the losses before it."""
        return {'recent': list(self.recent), 'losses': dict(self.model.steps.losses)}

    def set_state(self, state: dict) -> None:
        """Go on from :meth:`state`."""
        self.recent = deque(state.get('recent', ()), maxlen=self.recent.maxlen)
        self.model.steps.losses = OrderedDict(state.get('losses', ()))

    def recent_losses(self) -> dict[str, float]:
        """Means of the last logged losses and scores that are finite; before any was logged, of the last step's."""
        logs = list(self.recent) or [{name: float(value) for name, value in self.model.steps.losses.items()}]
        names = dict.fromkeys(name for log in logs for name in log)
        values = {name: [log[name] for log in logs if math.isfinite(log.get(name, math.nan))] for name in names}
        return {name: sum(some) / len(some) if some else math.nan for name, some in values.items()}

    # --- the loop -------------------------------------------------------------------------------------------------

    def validate(self, run: Callable, loader: DataLoader, current_iter: int, tb_logger, save_img: bool) -> None:
        """BasicSR's validation (``run``) on one's share of the photos; on one process that is all of them."""
        name = loader.dataset.opt['name']
        if self.model.is_train:
            current_iter = min(current_iter, int(self.opt['train']['total_iter']))
            if self.validated.get(name) == current_iter:
                return
        share = ValidationShare(loader, self.opt.get('manual_seed') or 0)
        self.weight, self.is_running = share.weight, True
        try:
            with kept_random_state():
                run(share, current_iter, tb_logger, save_img)
        finally:
            self.is_running = False
        self.validated = {**self.validated, name: current_iter}

    def saw(self, data: dict) -> None:
        """Note a photo of the validation that is observed, if one is."""
        if self.is_watching:
            self.seen.append((Path(data['lq_path'][0]).stem, dict(self.model.metric_results)))

    def over_processes(self, mean: float) -> float:
        """A metric's mean over the photos of all processes, from that over one's own."""
        if world()[1] == 1:
            return mean
        summed, count = total([float(mean) * self.weight, float(self.weight)])
        return summed / count

    @contextmanager
    def observing(self, name: str, current_iter: int, tb_logger) -> Iterator[None]:
        """Watch the validation of data set ``name``, then record what there is to see, and keep the best network."""
        if self.monitor is None or not self.model.is_train:
            yield
            return
        self.seen, self.is_watching = [], self.monitored
        self.monitor.begin()
        try:
            yield
        finally:
            self.is_watching = False
        if world()[0] != 0:
            return
        entry = {'iter': current_iter, 'dataset': name, 'metrics': dict(self.model.metric_results)}
        if self.monitored:
            if world()[1] == 1:  # of several processes, each has seen some of the photos only
                entry['photos'] = _each_photo(self.seen, entry['metrics'])
            entry['losses'] = self.recent_losses()
            entry |= self.monitor.observe(self.model, name, current_iter, tb_logger, entry['losses'])
            if self.opt['path'].get('experiments_root'):
                append_validation(Path(self.opt['path']['experiments_root']), entry)
        if self.select:
            self.keep_best(entry)

    def keep_best(self, entry: dict) -> None:
        """Save the network, if it is the best so far by ``val.select`` on the first validation set."""
        sets = [data['name'] for phase, data in self.opt.get('datasets', {}).items() if phase.startswith('val')]
        figures = {**entry['metrics'], **entry.get('figures', {})}
        value = figures.get(self.select, math.nan)
        if entry['dataset'] not in sets[:1] or not math.isfinite(value):
            return
        self.figure = value
        models = Path(self.opt['path']['models'])
        before = read_best(models)  # a resumed run finds what was best before
        warned = bool(entry.get('warnings'))
        if before and before['metric'] == self.select and entry['iter'] > before['iter']:
            is_better = value < before['value'] if self.direction == 'lower' else value > before['value']
            was_warned = before.get('warned', False)
            if warned > was_warned or (warned == was_warned and not is_better):
                return
        try:
            self.model.save_best()
            write_best(models, {'metric': self.select, 'value': value, 'better': self.direction, 'iter': entry['iter'],
                                'dataset': entry['dataset'], 'warned': warned, 'figures': figures})
        except (UserError, OSError) as error:  # a full disk: the checkpoints of the run say so themselves
            get_root_logger().warning(f'The best network was not kept: {error}')
            return
        get_root_logger().info(f'Best {self.select} so far: {value:.4f}; kept as net_g_best.pth.')


class ValidationShare:
    """What one of several processes has of a validation set: every ``number``-th photo, from the ``rank``-th on.

    Before each photo torch's generators are seeded by the photo's place in the set, so that a degradation that is
    drawn for it is the same at any iteration and in any process. Where there are more processes than photos, those
    without any repeat one, whose figures do not count (``weight`` 0), so that all do the same calls.
    """

    def __init__(self, loader: DataLoader, seed: int) -> None:
        rank, number = world()
        size = len(loader.dataset)
        self.places = list(range(rank, size, number)) or [rank % size]
        self.weight = len(self.places) if rank < size else 0
        self.dataset, self.seed = loader.dataset, seed
        self.loader = loader if number == 1 else DataLoader(Subset(loader.dataset, self.places))

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[dict]:
        for place, data in zip(self.places, self.loader, strict=True):
            torch.manual_seed((self.seed * 1_000_003 + place) % 2**63)
            yield data


def _each_photo(seen: list[tuple[str, dict]], means: dict[str, float]) -> dict[str, dict[str, float]]:
    """The metrics of each photo, from the sums that BasicSR's loop had before each of them."""
    sums = [before for _, before in seen] + [{name: mean * len(seen) for name, mean in means.items()}]
    return {photo: {name: after[name] - before.get(name, 0) for name in means}
            for (photo, before), after in zip(seen, sums[1:], strict=True)}
