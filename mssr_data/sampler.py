"""A sampler whose batch sequence is a pure function of the iteration number, and the random numbers that it needs.

These are pure functions of a key, so that nothing depends on workers, ranks or resumption. Only the raw stream of PCG64
is used: NumPy guarantees it for ever, whereas the algorithms of ``Generator`` may change between releases.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from basicsr.data.data_sampler import EnlargedSampler

# One stream for each use: equal (seed, number) pairs in different streams are independent.
LQ_ORDER, GT_ORDER, AUGMENTATION, CONTENT_MATCH = range(4)


def raw_numbers(count: int, *key: int) -> np.ndarray:
    """``count`` uniform 64-bit numbers, shape (count,), uint64; each key (integers >= 0) has its own stream."""
    return np.random.PCG64(np.random.SeedSequence(key)).random_raw(count)


@lru_cache(maxsize=8)
def permutation(size: int, *key: int) -> np.ndarray:
    """A uniform permutation of ``range(size)``, shape (size,); the last few are kept for the next draws."""
    order = np.argsort(raw_numbers(size, *key), kind='stable')
    order.flags.writeable = False
    return order


def endless_shuffle(draw: int, size: int, *key: int) -> int:
    """Element ``draw`` of endless passes over ``range(size)``, each in an order of its own."""
    number, position = divmod(draw, size)
    return int(permutation(size, *key, number)[position])


class SampleIndex(int):
    """A dataset index that also says which draw of the whole training it is.

    Args:
        value: index into the dataset; BasicSR's datasets use it as any other integer.
        draw: number of this sample, counted over all ranks from the first iteration of the training, from 0.
        seed: seed of the training, >= 0.
    """

    def __new__(cls, value: int, draw: int, seed: int = 0) -> 'SampleIndex':
        index = super().__new__(cls, value)
        index.draw = draw
        index.seed = seed
        return index

    def __getnewargs__(self) -> tuple[int, int, int]:
        return int(self), self.draw, self.seed

    def __repr__(self) -> str:
        return f'SampleIndex({int(self)}, draw={self.draw}, seed={self.seed})'


class IterationSampler(EnlargedSampler):
    """BasicSR's sampler with every iteration's batch fixed by ``seed`` and the iteration number alone.

    Sample ``j`` of rank ``r`` in iteration ``i`` (from 0) is draw ``d = (i * num_replicas + r) * batch_size + j``. The
    draws pass over the dataset again and again, reshuffled for each pass. It follows that the batches do not depend on
    the epoch length, on the number of workers or on where a run was interrupted, that several ranks share one larger
    batch, and that no epoch ends in a short batch for the loader to drop.

    Args:
        dataset: any dataset with a length.
        num_replicas: number of training processes.
        rank: number of this process, in ``[0, num_replicas)``.
        ratio: BasicSR's ``dataset_enlarge_ratio``; it changes where epochs end, not what is drawn.
        seed: seed of the training (``manual_seed``).
        batch_size: batch size of the loader that this sampler feeds.
        start_iter: iterations that a resumed run has behind it; they are not drawn again.
        iters_per_epoch: iterations per epoch; by default ``ceil(len(dataset) * ratio / (batch_size * num_replicas))``,
            as BasicSR's ``train_pipeline`` counts. Needed where the loader's batch is not the one that BasicSR counts
            with (several GPUs in one process).

    Raises:
        ValueError: the dataset is empty, or a number is out of its range.
    """

    def __init__(self, dataset, num_replicas: int, rank: int, ratio: float = 1, *, seed: int = 0, batch_size: int = 1,
                 start_iter: int = 0, iters_per_epoch: int | None = None):
        super().__init__(dataset, num_replicas, rank, ratio)
        if len(dataset) < 1 or ratio <= 0:
            raise ValueError(f'nothing to draw: {len(dataset)} samples, dataset_enlarge_ratio {ratio}.')
        if not 0 <= rank < num_replicas or batch_size < 1 or start_iter < 0:
            raise ValueError(f'rank {rank} of {num_replicas}, batch_size {batch_size}, start_iter {start_iter}: '
                             'out of range.')
        self.seed = int(seed) % 2**64
        self.batch_size = batch_size
        self.start_iter = start_iter
        self.iters_per_epoch = iters_per_epoch or math.ceil(len(dataset) * ratio / (batch_size * num_replicas))
        self.num_samples = self.iters_per_epoch * batch_size
        self.total_size = self.num_samples * num_replicas

    def _iterations(self) -> range:
        first = self.epoch * self.iters_per_epoch
        end = first + self.iters_per_epoch
        return range(min(max(first, self.start_iter), end), end)

    def __iter__(self) -> Iterator[SampleIndex]:
        for iteration in self._iterations():
            first_draw = (iteration * self.num_replicas + self.rank) * self.batch_size
            for draw in range(first_draw, first_draw + self.batch_size):
                yield SampleIndex(endless_shuffle(draw, len(self.dataset), self.seed, LQ_ORDER), draw, self.seed)

    def __len__(self) -> int:
        """Samples of the current epoch on this rank; fewer than ``num_samples`` only where a run was resumed."""
        return len(self._iterations()) * self.batch_size
