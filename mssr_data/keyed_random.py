"""Random numbers that are a pure function of a key, so that nothing depends on workers, ranks or resumption.

Only the raw stream of PCG64 is used: NumPy guarantees it for ever, whereas the algorithms of ``Generator`` may change
between releases.
"""

from functools import lru_cache

import numpy as np

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
