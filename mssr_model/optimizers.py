"""Optimizers beside BasicSR's Adam, and the weights that those without a schedule show."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer

from mssr_compat.errors import UserError


def build_other(kind: str, params: Iterable, lr: float, **keywords) -> Optimizer | None:
    """``AdamW`` of torch, ``AdamWScheduleFree`` (Defazio et al., 2024) of package ``schedulefree``, else None.

    Raises:
        UserError: the package is missing.
    """
    if kind == 'AdamW':
        return torch.optim.AdamW(params, lr, **keywords)
    if kind != 'AdamWScheduleFree':
        return None
    try:
        from schedulefree import AdamWScheduleFree
    except ImportError as error:
        raise UserError('train.optim_*: AdamWScheduleFree needs a package: pip install schedulefree==1.4.1') from error
    optimizer = AdamWScheduleFree(params, lr, **keywords)
    optimizer.train()
    return optimizer


def schedule_free(optimizers: Iterable[Optimizer]) -> list[Optimizer]:
    """Those that keep two sets of weights: one on which gradients are taken, and the average of all steps."""
    return [optimizer for optimizer in optimizers if 'train_mode' in optimizer.param_groups[0]]


@contextmanager
def averaged(optimizers: Iterable[Optimizer]) -> Iterator[list[list[Tensor]]]:
    """In the block, networks of schedule-free optimizers have the averaged weights, which are those to use.

    Gives the weights on which they train, for each such optimizer; these are put back afterwards bit for bit, which
    the package's own way back is not.
    """
    free = schedule_free(optimizers)
    kept = [[p.detach().clone() for p in _weights(optimizer)] for optimizer in free]
    modes = [optimizer.param_groups[0]['train_mode'] for optimizer in free]
    for optimizer in free:
        optimizer.eval()
    try:
        yield kept
    finally:
        for optimizer, weights, mode in zip(free, kept, modes, strict=True):
            put_back(optimizer, weights, mode)


@torch.no_grad()
def put_back(optimizer: Optimizer, weights: list[Tensor], mode: bool = True) -> None:
    """Train on with these weights of :func:`averaged`."""
    for p, value in zip(_weights(optimizer), weights, strict=True):
        p.copy_(value)
    for group in optimizer.param_groups:
        group['train_mode'] = mode


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group['params']]
