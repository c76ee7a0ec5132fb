"""Training data that no restart, number of workers or epoch length changes, and whether training waits for them."""

import math
import os
import signal
import time
from functools import partial
from unittest.mock import patch

import basicsr.train
import cv2
import torch
from basicsr.data.prefetch_dataloader import CPUPrefetcher, PrefetchGenerator
from basicsr.utils import get_root_logger

from mssr_data.sampler import IterationSampler
from mssr_train.data_sets import KEYED

LIMIT = 0.05  # share of the time that waiting for data may take
_create_train_val_dataloader = basicsr.train.create_train_val_dataloader


def create_train_val_dataloader(opt, logger):
    """As BasicSR's, with a sampler that drops nothing and goes on where a resumed run stopped.

    BasicSR counts epochs with ceil and drops the last batch: 23 photos in batches of 16 train 11 of 20 iterations.
    """
    train = opt['datasets']['train']
    train['num_worker_per_gpu'] = min(train['num_worker_per_gpu'], os.cpu_count())  # more would fight for the cores
    if train.get('pin_memory') is None:
        train['pin_memory'] = opt['num_gpu'] != 0 and torch.cuda.is_available()
    if train.get('persistent_workers') is None:  # new ones at each epoch cost seconds; these data sets keep no state
        train['persistent_workers'] = train['num_worker_per_gpu'] > 0 and train['type'] in KEYED
    per_gpu = train['batch_size_per_gpu']

    def sampler(train_set, world_size, rank, ratio):
        return IterationSampler(
            train_set, world_size, rank, ratio, seed=opt['manual_seed'], start_iter=opt.get('resume_iter', 0),
            batch_size=per_gpu * (1 if opt['dist'] else max(opt['num_gpu'], 1)),
            iters_per_epoch=math.ceil(len(train_set) * ratio / (per_gpu * world_size)),  # as BasicSR counts
        )

    if train['num_worker_per_gpu']:
        cv2.setNumThreads(1)  # a fork beside OpenCV's threads can hang: workers would wait for threads that they lack
    with patch('basicsr.train.EnlargedSampler', sampler):
        train_loader, *others = _create_train_val_dataloader(opt, logger)
    # A loader draws its workers' seed at each start; not from the global generator, which the networks' noise is from.
    train_loader.generator = torch.Generator().manual_seed(opt['manual_seed'] + opt['rank'])
    train_loader.worker_init_fn = partial(_start_worker, train_loader.worker_init_fn)
    return train_loader, *others


def _start_worker(seed_worker, number):
    for stop in (signal.SIGINT, signal.SIGTERM):  # it ends with its process, which still needs it to finish
        signal.signal(stop, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # as many threads as cores in each worker would fight with the others
    if seed_worker is not None:
        seed_worker(number)


class LazyCPUPrefetcher(CPUPrefetcher):
    """Starts its workers at ``reset``. BasicSR starts them twice: once unused, before the first epoch is set."""

    def __init__(self, loader):
        self.ori_loader = loader
        self.loader = iter(())


class FailingPrefetchGenerator(PrefetchGenerator):
    """Hands on what a data set raised. BasicSR's thread dies instead, and training waits for it for ever."""

    def run(self):
        try:
            for item in self.generator:
                self.queue.put(item)
            self.queue.put(None)
        except BaseException as error:  # noqa: B036  (raised again in the training thread)
            self.queue.put(error)

    def __next__(self):
        item = self.queue.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            raise StopIteration
        return item


class WatchedPrefetcher:
    """A prefetcher that tells a run where the loop is: BasicSR's loop asks for a batch between any two iterations."""

    def __init__(self, prefetcher, run):
        self.prefetcher, self.run = prefetcher, run

    def reset(self):
        """Begin an epoch."""
        self.run.before_epoch()
        if not self.run.ended:
            self.prefetcher.reset()

    def next(self):
        """The next batch, or None at the end of the epoch, and of the training."""
        self.run.end_iteration()
        if self.run.ended:
            return None
        start = time.perf_counter()
        data = self.prefetcher.next()
        self.run.data_watch.batch(time.perf_counter() - start)
        self.run.begin_iteration(data)
        return data


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
            found.append('cut whole photos into sub-images (mssr prepare), for decoding is what takes long')
        if workers < cores:
            found.append(f'raise datasets.train.num_worker_per_gpu from {workers} towards {cores}, the number of cores')
        if self.opt['num_gpu'] != 0 and train.get('prefetch_mode') is None:
            found.append('set datasets.train.prefetch_mode to cuda, with pin_memory: true')
        return found or ['a faster disk, or more processor cores']
