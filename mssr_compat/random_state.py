"""The state of all random generators, in plain values that a checkpoint can hold."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mssr_compat.distributed import world


def get_random_state() -> dict[str, Any]:
    """The state of Python's, NumPy's and torch's generators: CPU, and each CUDA device that this process uses.

    Tensors and plain values only, so that ``torch.load(weights_only=True)`` reads it. Some tens of microseconds.
    """
    _, keys, *rest = np.random.get_state()
    return {
        'python': random.getstate(),
        'numpy': (torch.from_numpy(keys.astype(np.int64)), *rest),
        'torch': torch.get_rng_state(),
        'cuda': [torch.cuda.get_rng_state(device) for device in _devices()],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Go on from a state of :func:`get_random_state`; CUDA devices beyond those in it stay as they are."""
    random.setstate(state['python'])
    keys, *rest = state['numpy']
    np.random.set_state(('MT19937', keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'])
    for device, one in zip(_devices(), state['cuda'], strict=False):
        torch.cuda.set_rng_state(one, device)


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Leave all generators after the block as they were before it, whatever happens in it."""
    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)


def _devices() -> list[int]:
    if not torch.cuda.is_initialized():
        return []
    return [torch.cuda.current_device()] if world()[1] > 1 else list(range(torch.cuda.device_count()))
