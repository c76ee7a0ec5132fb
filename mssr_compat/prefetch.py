"""BasicSR's prefetchers, without a wasted start and without a hang, and watched from outside."""

import time

from basicsr.data.prefetch_dataloader import CPUPrefetcher, PrefetchGenerator


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
        self.prefetcher.reset()

    def next(self):
        """The next batch, or None at the end of the epoch."""
        self.run.end_iteration()
        start = time.perf_counter()
        data = self.prefetcher.next()
        self.run.data_watch.batch(time.perf_counter() - start)
        self.run.begin_iteration(data)
        return data
