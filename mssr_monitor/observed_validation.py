"""Around BasicSR's validation: figures of each photo, a record for the report, and the best checkpoint."""

import math
from collections import OrderedDict, deque
from pathlib import Path

from basicsr.utils import get_root_logger

from mssr_compat.errors import UserError
from mssr_metric.lpips_metric import prepare_lpips
from mssr_monitor.experiment_record import append_validation, read_best, write_best


class ObservedValidation:
    """Put before BasicSR's model among the bases; a subclass adds what it sees in :meth:`observe`.

    Options under ``val``: ``monitor`` (default true) switches all of it; ``select`` names the figure by which the best
    network is kept as ``net_g_best.pth``, its figures beside it in ``net_g_best.json``. One that was warned of
    (collapsed, colours adrift) gives way to any that was not, whatever the figure. Of several validation sets, the
    first decides.
    """

    own_figures = {}  #: what :meth:`observe` returns and may be selected by: name -> lower or higher
    shown_branch = None
    seen = None  # during validation: each photo, and the sums of the metrics before it

    def init_training_settings(self):
        super().init_training_settings()
        options = self.opt.get('val') or {}
        self.recent = deque(maxlen=10)  # of the logged losses
        for metric in (options.get('metrics') or {}).values():
            if metric.get('type') == 'calculate_lpips':  # the first validation may be hours away
                prepare_lpips(**metric)
        self.monitored, self.select = options.get('monitor', True), options.get('select')
        if not self.select:
            return
        known = [*(options.get('metrics') or {}), *(self.own_figures if self.monitored else ())]
        if self.select not in known:
            raise UserError(f'val.select is {self.select}, but the best network can be chosen by '
                            f'{", ".join(known) or "nothing: there is no metric under val.metrics"}.')

    def get_current_log(self):
        log = super().get_current_log()
        self.recent.append(dict(log))
        return log

    def own_state(self):
        """A resumed run's record and warnings need the losses before it."""
        return {**super().own_state(), 'recent': list(self.recent), 'losses': dict(self.losses)}

    def set_own_state(self, state):
        super().set_own_state(state)
        self.recent = deque(state.get('recent', ()), maxlen=self.recent.maxlen)
        self.losses = OrderedDict(state.get('losses', ()))

    def recent_losses(self) -> dict[str, float]:
        """Means of the last logged losses and scores that are finite; before any was logged, of the last step's."""
        logs = list(self.recent) or [{name: float(value) for name, value in self.losses.items()}]
        names = dict.fromkeys(name for log in logs for name in log)
        values = {name: [log[name] for log in logs if math.isfinite(log.get(name, math.nan))] for name in names}
        return {name: sum(some) / len(some) if some else math.nan for name, some in values.items()}

    def feed_data(self, data):
        super().feed_data(data)
        if self.seen is not None:
            self.seen.append((Path(data['lq_path'][0]).stem, dict(getattr(self, 'metric_results', {}))))

    def nondist_validation(self, dataloader, current_iter, tb_logger, save_img):
        """As BasicSR's, then what there is to see and say about it."""
        if not self.is_train:
            super().nondist_validation(dataloader, current_iter, tb_logger, save_img)
            return
        self.seen = []
        try:
            super().nondist_validation(dataloader, current_iter, tb_logger, save_img)
        finally:
            seen, self.seen = self.seen, None
        name = dataloader.dataset.opt['name']
        metrics = dict(self.metric_results) if self.opt['val'].get('metrics') else {}
        if self.opt.get('rank', 0) != 0:
            return
        entry = {'iter': current_iter, 'dataset': name, 'metrics': metrics}
        if self.monitored:
            if not self.opt.get('dist'):  # of several processes, each has seen some of the photos only
                entry['photos'] = _each_photo(seen, metrics)
            entry |= {'losses': self.recent_losses(), **self.observe(name, current_iter, tb_logger)}
            if self.opt['path'].get('experiments_root'):
                append_validation(Path(self.opt['path']['experiments_root']), entry)
        if self.select and self.shown_branch is None:
            self.keep_best(entry)

    def observe(self, name: str, current_iter: int, tb_logger) -> dict:
        """What else there is to record of a validation of data set ``name``; ``figures`` may be selected by."""
        return {}

    def keep_best(self, entry: dict) -> None:
        """Save the network, if it is the best so far by ``val.select`` on the first validation set."""
        sets = [data['name'] for phase, data in self.opt.get('datasets', {}).items() if phase.startswith('val')]
        figures = {**entry['metrics'], **entry.get('figures', {})}
        value = figures.get(self.select, math.nan)
        if entry['dataset'] not in sets[:1] or not math.isfinite(value):
            return
        better = self.own_figures.get(self.select)
        if better is None:
            better = self.opt['val']['metrics'][self.select].get('better', 'higher')
        models = Path(self.opt['path']['models'])
        before = read_best(models)  # a resumed run finds what was best before
        warned = bool(entry.get('warnings'))
        if before and before['metric'] == self.select and entry['iter'] > before['iter']:
            is_better = value < before['value'] if better == 'lower' else value > before['value']
            was_warned = before.get('warned', False)
            if warned > was_warned or (warned == was_warned and not is_better):
                return
        nets, keys = [self.net_g], ['params']
        if hasattr(self, 'net_g_ema'):
            nets, keys = [*nets, self.net_g_ema], [*keys, 'params_ema']
        try:
            self.__dict__.setdefault('_files', {})
            self.save_network(nets, 'net_g', 'best', param_key=keys)
            write_best(models, {'metric': self.select, 'value': value, 'better': better, 'iter': entry['iter'],
                                'dataset': entry['dataset'], 'warned': warned, 'figures': figures})
        except (UserError, OSError) as error:  # a full disk: the checkpoints of the run say so themselves
            get_root_logger().warning(f'The best network was not kept: {error}')
            return
        get_root_logger().info(f'Best {self.select} so far: {value:.4f}; kept as net_g_best.pth.')


def _each_photo(seen: list[tuple[str, dict]], means: dict[str, float]) -> dict[str, dict[str, float]]:
    """The metrics of each photo, from the sums that BasicSR's loop had before each of them."""
    sums = [before for _, before in seen] + [{name: mean * len(seen) for name, mean in means.items()}]
    return {photo: {name: after[name] - before.get(name, 0) for name in means}
            for (photo, before), after in zip(seen, sums[1:], strict=True)}
