"""An optimizer step as the paper means it, whatever the number of processes and of parts of a batch."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from mssr_compat.distributed import world
from mssr_model.guard import DeferredGuard, Guard


class SteppingMixin:
    """Splits batches (``train.accumulate``), adds up gradients, refuses non-finite steps (``train.on_nan``)."""

    losses = OrderedDict()  # detached loss tensors of the last iteration, means over its parts
    batch_files = ()  # paths of the last batch, for messages
    current_iter = 0
    stepped = False  # whether an optimizer has moved weights in this iteration

    def setup_steps(self):
        """Read the options, once there are optimizers; :meth:`init_training_settings` calls it."""
        train_opt = self.opt['train']
        self.accumulate = train_opt.get('accumulate', 1)
        self.guard = Guard(train_opt.get('on_nan', 'skip'))
        # With fp16, found_inf is the gradient scaler's.
        may_defer = self.guard.on_nan == 'skip' and not self.scaler.is_enabled()
        if may_defer and DeferredGuard.suits(self.device, self.optimizers):
            self.guard = DeferredGuard()

    def model_to_device(self, net):
        """As BasicSR's, also on CPUs.

        Buffers are not sent round at each pass (BasicSR sends them), so that processes may validate unequal numbers of
        photos. On GPUs, batch norm takes its statistics over all processes.
        """
        if not self.opt['dist']:
            return super().model_to_device(net)
        on_gpu = self.device.type == 'cuda'
        if on_gpu:
            net = torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)
        return DistributedDataParallel(
            self.accelerate(net),
            device_ids=[torch.cuda.current_device()] if on_gpu else None,
            broadcast_buffers=False,
            find_unused_parameters=self.opt.get('find_unused_parameters', False),
        )

    def networks(self) -> dict[str, torch.nn.Module]:
        """The trained networks by name, DistributedDataParallel included."""
        return {name: net for name, net in vars(self).items() if name in ('net_g', 'net_d')}

    @contextmanager
    def iteration(self, current_iter: int) -> Iterator[int]:
        """An iteration of training, counted from 1; gives its number as the paper counts, from 0."""
        self.current_iter, self.stepped, self.losses = current_iter, False, OrderedDict()
        self.guard.begin()
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
        if self.guard.refused:
            return
        optimizer.zero_grad(set_to_none=loss is not None)
        parts = list(zip(*(tensor.chunk(self.accumulate) for tensor in batch), strict=True)) if loss else []
        terms = {}
        for n, part in enumerate(parts, start=1):
            share = len(part[0]) / len(batch[0])
            with self.alone(n < len(parts)):
                total, losses = loss(*part)
                self.scaler.scale(share * total).backward()
            for name, value in losses.items():
                terms[name] = terms.get(name, 0) + share * value.detach()
        self.losses.update(terms)
        if not loss:
            self.stepped = True
            optimizer.step()
            return
        checked = {name: value for name, value in terms.items() if name.startswith('l_')}
        # With fp16 it is the scaler that looks at gradients: there an overflow now and then is part of the method.
        groups = [] if self.scaler.is_enabled() else optimizer.param_groups
        weights = [p for group in groups for p in group['params']]
        if self.guard.passes(checked, self.networks(), optimizer, weights, self.current_iter, self.batch_files):
            self.stepped = True
            self.scaler.step(optimizer)
            self.scaler.update()

    @contextmanager
    def alone(self, wanted: bool) -> Iterator[None]:
        """Processes do not exchange gradients here: there is another part to come."""
        with ExitStack() as stack:
            for net in self.networks().values() if wanted else ():
                if isinstance(net, DistributedDataParallel):
                    stack.enter_context(net.no_sync())
            yield

    def batch_mean(self, x: Tensor) -> Tensor:
        """(N, ...) to (1, ...): the mean over the batch of all processes, through which gradients flow."""
        mean = x.mean(0, keepdim=True)
        if world()[1] == 1:
            return mean
        from torch.distributed.nn.functional import all_reduce  # its import warns where there is no distributed torch

        return all_reduce(mean) / world()[1]

    def get_current_log(self):
        """Losses are averaged over the processes and read from the device here, at log time, not in the step."""
        return self.reduce_loss_dict(self.losses)

    def update_ema(self):
        """Move the averaged weights, where ``train.ema_decay`` asks for them and no step is known to be refused."""
        if self.ema_decay > 0 and not self.guard.refused:
            self.model_ema(decay=self.ema_decay)

    @torch.no_grad()
    def model_ema(self, decay=0.999):
        """As BasicSR's, bit for bit, in a few kernels instead of two for each weight."""
        weights = dict(self.get_bare_model(self.net_g).named_parameters())
        averaged = dict(self.net_g_ema.named_parameters())
        torch._foreach_mul_(list(averaged.values()), decay)
        torch._foreach_add_(list(averaged.values()), [weights[name] for name in averaged], alpha=1 - decay)
