"""Faster steps that compute the same: layout, threads, fused Adam, autocast, compilation. Each is a YAML switch."""

import math
from contextlib import nullcontext
from functools import wraps

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from mssr_arch.degradation_base import DegradationNetwork
from mssr_compat.allocator import keep_freed_memory
from mssr_compat.distributed import from_first
from mssr_compat.errors import UserError
from mssr_model.layouts import LAYOUTS, apply_layout, as_laid_out, measure_layouts
from mssr_model.threads import may_choose, measure_threads

PRECISIONS = {'bf16': torch.bfloat16, 'fp16': torch.float16}
SWITCHES = {'channels_last': 'auto', 'threads': 'auto', 'fused_adam': True, 'keep_memory': True, 'amp': None,
            'compile': False}


class Acceleration:
    """Reads ``performance:`` and prepares networks, batches and optimizers accordingly.

    - ``channels_last``: keep weights and images pixel by pixel, as the convolutions of many CPUs and of tensor cores
      want them. The same sums in another order, equal to rounding. ``auto``: each network tries both layouts on a copy
      before training, at the size of its batches, and takes the faster one; the training state records it, so that a
      resumed run computes the same. Default: auto; the options that reproduce the paper set it to true.
    - ``threads``: of the CPU. ``auto``: the trained network tries all, half of them, a quarter, ..., as long as fewer
      are faster, unless an environment variable says how many; recorded as the layouts are. Equal to rounding.
      Default: auto; ~ is torch's own number.
    - ``fused_adam``: one kernel per Adam step. Equal to rounding. Default: true.
    - ``keep_memory``: on CPUs, reuse the memory of freed tensors instead of returning it to the system: large batches
      take less time, for a process that does not shrink. Exact. Default: true.
    - ``amp``: ``bf16`` or ``fp16`` (with a gradient scaler) for the networks; filters, logarithms, losses and weights
      stay float32. Not exact. Default: none.
    - ``compile``: ``torch.compile`` of the training networks: true, or one of its modes. Where a network cannot be
      compiled, that part runs as it is. Default: false.

    Args:
        opt: the options.

    Raises:
        UserError: ``amp`` is none of these, or this machine cannot.
    """

    def __init__(self, opt: dict) -> None:
        self.switches = {**SWITCHES, **(opt.get('performance') or {})}
        self.device = torch.device('cuda' if opt['num_gpu'] != 0 else 'cpu')
        self.compiles = None  # whether this machine can; not known yet
        self.layouts = []  # of each network, in the order of preparation: its type, and whether it is channels_last
        self.recorded = list(opt.get('resume_layouts') or ())  # the same, of the training that is resumed
        self.shapes = batch_shapes(opt) if opt['is_train'] else None
        self.threads = opt.get('resume_threads')  # that were chosen, here or before it was resumed; None: not yet
        amp = self.switches['amp']
        if amp is not None and amp not in PRECISIONS:
            raise UserError(f'performance.amp is {amp}, but must be bf16, fp16 or ~.')
        if amp == 'fp16' and self.device.type == 'cpu':
            raise UserError('performance.amp is fp16, which needs a GPU; on a CPU take bf16 or ~.')
        self.scaler = torch.amp.GradScaler('cuda', enabled=amp == 'fp16')
        if self.switches['keep_memory'] and self.device.type == 'cpu' and opt['is_train']:
            keep_freed_memory()

    def prepare(self, net: nn.Module) -> nn.Module:
        """Apply the switches to a network, on its device, before it is wrapped for several GPUs."""
        net = net.to(self.device)
        self.set_threads(net)
        if getattr(net, 'takes_channels_last', True) and list(net.parameters()):
            self.lay_out(net)
        mode = self.switches['compile']
        if mode and self.can_compile():
            torch._dynamo.config.suppress_errors = True
            net.compile(mode=mode if isinstance(mode, str) else None)
            get_root_logger().info(f'{type(net).__name__} is compiled at its first steps; they take minutes.')
        self.wrap(net)
        return net

    def set_threads(self, net: nn.Module) -> None:
        """Choose the number of CPU threads by the first network, which is the one that is trained, and take it."""
        wanted = self.switches['threads']
        if wanted is None or self.device.type != 'cpu' or self.shapes is None:
            return
        if wanted != 'auto':
            torch.set_num_threads(wanted)
        elif may_choose() and list(net.parameters()):
            if self.threads is None:
                shape = self.shapes[isinstance(net, DegradationNetwork)]
                seconds = measure_threads(net, shape, self.wrap)
                self.threads = min(seconds, key=seconds.get)
                times = ', '.join(f'{number} {taken:.3g} s' for number, taken in seconds.items())
                get_root_logger().info(f'performance.threads: {self.threads}; a step of {"x".join(map(str, shape))} '
                                       f'takes, by threads: {times}.')
            torch.set_num_threads(self.threads)

    def lay_out(self, net: nn.Module) -> None:
        """Choose a layout for a network, and apply it."""
        chosen, kind = self.switches['channels_last'], type(net).__name__
        if chosen == 'auto':
            recorded = self.recorded.pop(0) if self.recorded else None
            chosen = recorded[1] if recorded and recorded[0] == kind else self.faster_layout(net)
            # What another network made comes in that one's layout.
            net.register_forward_pre_hook(lambda _, inputs: as_laid_out(inputs, chosen))
        self.layouts.append([kind, chosen])
        apply_layout(net, chosen)

    def faster_layout(self, net: nn.Module) -> bool:
        """Whether a network is faster in channels_last, in the first process; the log says how much."""
        if self.shapes is None:
            return False
        shape = self.shapes[isinstance(net, DegradationNetwork)]
        try:
            seconds = measure_layouts(net, shape, self.wrap)
        except RuntimeError as error:  # too little memory for copies, say
            seconds = dict.fromkeys(LAYOUTS, math.inf)
            get_root_logger().warning(f'performance.channels_last: {type(net).__name__} could not be tried: {error}')
        chosen = from_first(min(seconds, key=seconds.get))
        times = ', '.join(f'{LAYOUTS[layout]} {taken:.3g} s' for layout, taken in seconds.items())
        get_root_logger().info(f'performance.channels_last: {type(net).__name__} is {LAYOUTS[chosen]}; a step of '
                               f'{"x".join(map(str, shape))} takes: {times}.')
        return chosen

    def wrap(self, net: nn.Module) -> None:
        """Let a network compute in the precision that the options want."""
        if self.switches['amp']:
            net.forward = self._autocast(net)

    def can_compile(self) -> bool:
        """Whether a function of one line compiles here; if not, the log says why, once, and networks run as they are.

        That takes a C++ compiler on CPUs, Triton on GPUs.
        """
        if self.compiles is None:
            try:
                torch.compile(lambda x: (2 * x + 1).relu())(torch.ones(8, device=self.device))
                self.compiles = True
            except Exception as error:  # whatever a compiler or its absence raises
                self.compiles = False
                why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
                get_root_logger().warning(f'performance.compile is off, since this machine cannot compile: {why}')
        return self.compiles

    def precision(self):
        """The context in which networks compute while they are trained; of what they give, nothing is converted."""
        amp = self.switches['amp']
        return torch.autocast(self.device.type, PRECISIONS[amp]) if amp else nullcontext()

    def _autocast(self, net):
        """``net.forward`` in lower precision while it trains (or is frozen for training), with float32 results."""
        forward = net.forward

        @wraps(forward)
        def autocast(*args, **kwargs):
            lower = net.training or not any(p.requires_grad for p in net.parameters())
            with self.precision() if lower else nullcontext():
                return to_float32(forward(*args, **kwargs))

        return autocast

    def placed(self, images: Tensor) -> Tensor:
        """A batch on the device; from page-locked memory, the copy does not wait for the step before."""
        images = images.to(self.device, non_blocking=True)
        return as_laid_out(images, True) if self.layouts and self.layouts[0][1] else images

    def optimizer_keywords(self, kind: str) -> dict[str, bool]:
        """What an optimizer of this ``kind`` is built with, beside its options."""
        return {'fused': True} if kind in ('Adam', 'AdamW') and self.switches['fused_adam'] else {}


def batch_shapes(opt: dict) -> dict[bool, tuple[int, int, int, int]] | None:
    """(N, 3, H, W) of what networks take in a training step: generators (True) HR crops, SR networks (False) LR ones
    of all generators at once; None where the options do not say."""
    train_set, parts = (opt.get('datasets') or {}).get('train') or {}, opt['train'].get('accumulate', 1)
    if not train_set.get('gt_size'):
        return None
    number, side = max(1, train_set['batch_size_per_gpu'] // parts), train_set['gt_size']
    drawn = number * (len(opt.get('degradations') or '1') if opt['model_type'] == 'MultiDegradationSRModel' else 1)
    return {True: (number, 3, side, side), False: (drawn, 3, side // opt['scale'], side // opt['scale'])}


def lay_out_as_weights(optimizer):
    """Give momenta the memory format of their weights, which ``channels_last`` may have changed since they were saved.

    PyTorch's fused Adam on CPUs pairs weights, gradients and momenta by their place in memory, without a look at
    strides: momenta in another format would move the wrong weights without a word.
    """
    for p, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == p.shape and value.stride() != p.stride():
                state[name] = torch.empty_like(p).copy_(value)


def to_float32(value):
    """Tensors of half precision in lists, tuples or alone as float32; anything else as it is."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in PRECISIONS.values() else value
    if isinstance(value, (list, tuple)):
        return type(value)(to_float32(item) for item in value)
    return value
