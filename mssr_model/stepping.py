"""An optimizer step as the paper means it, whatever the number of processes and of parts of a batch."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mssr_compat.distributed import world
from mssr_model.guard import Guard


class Steps:
    """Splits batches (``train.accumulate``), adds up gradients, refuses non-finite steps (``train.on_nan``), and tells
    the norm of the gradients, or limits it (``train.grad_clip``).

    Logged beside the losses for each optimizer, ``g`` or ``d``: ``grad_norm_g``, the Euclidean norm of all its
    gradients before they are limited, the larger one where an iteration has two steps; with ``grad_clip``
    ``grad_clipped_g``, 1 where it was above the limit.

    Args:
        opt: the options.
        scaler: of the losses, with fp16.
    """

    def __init__(self, opt: dict, scaler: torch.amp.GradScaler) -> None:
        train_opt = opt.get('train') or {}  # a test has none
        self.accumulate = train_opt.get('accumulate', 1)
        self.grad_clip = train_opt.get('grad_clip')
        self.compiled = bool((opt.get('performance') or {}).get('compile'))
        self.guard = Guard(train_opt.get('on_nan', 'skip'))
        self.scaler = scaler
        self.networks: dict[str, nn.Module] = {}  # those that are trained, DistributedDataParallel included
        self.names: dict[torch.optim.Optimizer, str] = {}
        self.losses = OrderedDict()  # detached loss tensors of the last iteration, means over its parts
        self.files = []  # paths of the last batch, for messages
        self.current_iter = 0
        self.finished_iter = None  # the last complete iteration
        self.stepped = False  # whether an optimizer has moved weights in this iteration
        self.measured = None  # in a block of `measuring`, what it gives

    def begin(self, networks: dict[str, nn.Module], optimizers: list[torch.optim.Optimizer]) -> None:
        """Take what is trained, by name, and the optimizers of G and D."""
        self.networks, self.names = networks, dict(zip(optimizers, 'gd', strict=False))

    @contextmanager
    def iteration(self, current_iter: int) -> Iterator[int]:
        """An iteration of training, counted from 1; gives its number as the paper counts, from 0."""
        self.current_iter, self.stepped, self.losses = current_iter, False, OrderedDict()
        self.guard.refused = False
        if self.compiled:  # else it would import the compiler, which takes seconds
            torch.compiler.cudagraph_mark_step_begin()  # outputs of the iteration before may be overwritten
        yield current_iter - 1
        self.finished_iter = current_iter
        self.guard.end()

    def descend(self, optimizer: torch.optim.Optimizer, loss: Callable | None, *batch: Tensor) -> None:
        """One step of ``optimizer`` down the gradient of ``loss``.

        The batch goes through in ``train.accumulate`` parts, whose gradients are weighted by their sizes and added up:
        the sum is that of the whole batch wherever the loss is a mean over the images. Once a step of an iteration
        has been refused, its later ones are too (see :mod:`mssr_model.guard`).

        Args:
            loss: takes the tensors of a part; returns the scalar to descend and a dict of scalars for the log, of
                which those named ``l_...`` must be finite. None: no loss, momentum alone moves the weights.
            batch: tensors whose first dimension is the image.
        """
        if self.measured is not None:
            self.measure_alone(optimizer, loss, *batch)
            return
        if self.guard.refused:
            return
        optimizer.zero_grad(set_to_none=loss is not None)
        if loss is None:
            self.stepped = True
            optimizer.step()
            return
        parts, terms = list(zip(*(tensor.chunk(self.accumulate) for tensor in batch), strict=True)), {}
        for n, part in enumerate(parts, start=1):
            share = len(part[0]) / len(batch[0])
            with self.without_exchange(n < len(parts)):
                total, losses = loss(*part)
                self.scaler.scale(share * total).backward()
            for name, value in losses.items():
                terms[name] = terms.get(name, 0) + share * value.detach()
        self.losses.update(terms)

        if self.scaler.is_enabled():
            self.scaler.unscale_(optimizer)
        gradients = self.measure(optimizer)
        if self.scaler.is_enabled():
            gradients = []  # it looks at them itself: with fp16, an overflow now and then is part of the method
        checked = {name: value for name, value in terms.items() if name.startswith('l_')}
        if self.guard.passes(checked, gradients, self.networks, self.current_iter, self.files):
            self.clip(optimizer)
            self.stepped = True
            self.scaler.step(optimizer)
            self.scaler.update()

    def once(self, forward: Callable) -> Callable:
        """``forward``, computed once for D's turn and G's, and anew for each where the batch comes in parts."""
        known = []

        def passed(*inputs):
            if self.accumulate > 1:  # parts are there to save the memory that keeping them all would take
                return forward(*inputs)
            if not known:
                known.append(forward(*inputs))
            return known[0]

        return passed

    @contextmanager
    def measuring(self) -> Iterator[list[float]]:
        """In the block nothing is stepped; gives what the steps of G would have descended, adversarial terms aside."""
        self.measured = []
        try:
            yield self.measured
        finally:
            self.measured = None

    @torch.no_grad()
    def measure_alone(self, optimizer: torch.optim.Optimizer, loss: Callable | None, *batch: Tensor) -> None:
        """What there is in place of :meth:`descend` in a block of :meth:`measuring`."""
        if loss is not None and self.names[optimizer] == 'g':
            whole, losses = loss(*batch)
            judged = sum(float(value) for name, value in losses.items() if name.startswith('l_gan'))
            self.measured.append(float(whole) - judged)

    def measure(self, optimizer: torch.optim.Optimizer) -> list[tuple[nn.Parameter, Tensor]]:
        """Note the norm of all gradients for the log; weights that have one, each with its gradient's norm."""
        weights = [p for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
        norms = [norm.float() for norm in torch._foreach_norm([p.grad for p in weights])] if weights else []
        if norms:
            name, norm = f'grad_norm_{self.names[optimizer]}', torch.linalg.vector_norm(torch.stack(norms))
            self.losses[name] = torch.maximum(self.losses.get(name, norm), norm)
        return list(zip(weights, norms, strict=True))

    def clip(self, optimizer: torch.optim.Optimizer) -> None:
        """Limit the norm of all gradients to ``train.grad_clip``."""
        if self.grad_clip:
            weights = [p for group in optimizer.param_groups for p in group['params']]
            norm = torch.nn.utils.clip_grad_norm_(weights, self.grad_clip)
            name, clipped = f'grad_clipped_{self.names[optimizer]}', (norm > self.grad_clip).float()
            self.losses[name] = torch.maximum(self.losses.get(name, clipped), clipped)

    def before_step(self, optimizer: torch.optim.Optimizer, *_) -> None:
        """A hook of optimizers whose steps are BasicSR's: nothing is refused, but norms are told and limited."""
        self.stepped = True
        self.measure(optimizer)
        self.clip(optimizer)

    @contextmanager
    def without_exchange(self, wanted: bool) -> Iterator[None]:
        """Processes do not exchange gradients here: there is another part to come."""
        with ExitStack() as stack:
            for net in self.networks.values() if wanted else ():
                if isinstance(net, DistributedDataParallel):
                    stack.enter_context(net.no_sync())
            yield


def batch_mean(x: Tensor) -> Tensor:
    """(N, ...) to (1, ...): the mean over the batch of all processes, through which gradients flow."""
    mean = x.mean(0, keepdim=True)
    if world()[1] == 1:
        return mean
    from torch.distributed.nn.functional import all_reduce  # its import warns where there is no distributed torch

    return all_reduce(mean) / world()[1]
