"""With how many CPU threads a network is fastest, on this machine at its own shapes, by trying."""

import copy
import os
import time
from collections.abc import Callable

import torch
from torch import nn

from mssr_compat.random_state import kept_random_state
from mssr_model.layouts import PATIENCE, ROUNDS, apply_layout, as_laid_out, time_step

SET_BY_USERS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')  # environment variables: who sets one has chosen


def may_choose() -> bool:
    """Whether there is a choice: several threads, whose number nobody has set."""
    return torch.get_num_threads() > 1 and not any(os.environ.get(name) for name in SET_BY_USERS)


def measure_threads(net: nn.Module, shape: tuple[int, ...], wrap: Callable[[nn.Module], None]) -> dict[int, float]:
    """Seconds that a step takes with all threads, half of them, a quarter, ..., as long as fewer are faster.

    Processors that run two threads on a core, containers that may use fewer cores than they see, and busy neighbours
    make all of them slower than some. The steps are those of a copy: weights, gradients and random state stay.

    Args:
        net: on the CPU.
        shape: (N, C, H, W) of its input.
        wrap: makes of the copy what is trained (autocast).

    Returns:
        Number of threads: seconds, the fastest of three; the number in use is what it was.
    """
    number, seconds, began = torch.get_num_threads(), {}, time.perf_counter()
    with kept_random_state():
        side, x = copy.deepcopy(net), as_laid_out(torch.rand(shape), True)
        apply_layout(side, True)
        wrap(side)
        time_step(side, x)  # reserves memory
        try:
            tried = number
            while tried:
                torch.set_num_threads(tried)
                seconds[tried] = min(time_step(side, x) for _ in range(ROUNDS))
                late = time.perf_counter() - began > PATIENCE
                tried = tried // 2 if seconds[tried] == min(seconds.values()) and not late else 0
        finally:
            torch.set_num_threads(number)
    return seconds
