"""Whether training waits for its data, and what would help."""

import os
import time

from basicsr.utils import get_root_logger

LIMIT = 0.05  # share of the time that waiting for data may take


class DataWatch:
    """Adds up how long the loop waits for batches, and warns once if it is too long.

    Args:
        opt: the options, for the interval (``logger.print_freq``) and for the remedies that are left.
    """

    def __init__(self, opt: dict):
        self.opt, self.every = opt, opt['logger']['print_freq']
        self.warned = opt.get('rank', 0) != 0
        self.intervals = -1  # complete ones; the first has the start of the workers in it and does not count
        self._begin()

    def _begin(self):
        self.start, self.waited, self.batches = time.perf_counter(), 0.0, 0

    def batch(self, seconds: float) -> None:
        """The loop has waited so long for a batch."""
        self.waited += seconds
        self.batches += 1
        if self.batches < self.every:
            return
        self.intervals += 1
        share = self.waited / max(time.perf_counter() - self.start, 1e-9)
        if self.intervals > 0 and share > LIMIT and not self.warned:
            self.warned = True
            get_root_logger().warning(
                f'In the last {self.batches} iterations, {share:.0%} of the time went into waiting for data; more than '
                f'{LIMIT:.0%} slows training down. What helps: {"; ".join(self.remedies())}.')
        self._begin()

    def remedies(self) -> list[str]:
        """What there is to try with these options, the strongest first."""
        train, cores = self.opt['datasets']['train'], os.cpu_count() or 1
        workers, found = train.get('num_worker_per_gpu', 0), []
        if (train.get('io_backend') or {}).get('type', 'disk') == 'disk':
            found.append('cut whole photos into sub-images (scripts/prepare_data.py), for decoding is what takes long')
        if workers < cores:
            found.append(f'raise datasets.train.num_worker_per_gpu from {workers} towards {cores}, the number of cores')
        if self.opt['num_gpu'] != 0 and train.get('prefetch_mode') is None:
            found.append('set datasets.train.prefetch_mode to cuda, with pin_memory: true')
        return found or ['a faster disk, or more processor cores']
