"""BasicSR's CPU prefetchers, without a wasted start and without a hang."""

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
