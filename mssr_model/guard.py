"""Refuses a training step whose losses or gradients are not finite."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from mssr_compat.distributed import gathered, world
from mssr_compat.errors import UserError

_SHOWN = 8  # files that a message lists


class NonFiniteError(UserError):
    """Losses or gradients stay NaN or infinite; no such step moved weights. Raised in all processes alike."""

    everywhere = True


@dataclass
class Finding:
    """What was finite before one optimizer step."""

    flags: Tensor  # those of all processes (one for each term, then one for each weight), then this one's of the terms
    terms: list[str]  # losses, by name
    weights: list[Tensor]
    nets: Mapping[str, nn.Module]
    iteration: int
    files: list[str]
    ready: torch.cuda.Event | None = None  # when the flags are on the host

    def blame(self) -> tuple[list[str], bool] | None:
        """What was not finite, in words, and whether the losses of this process were; None where all was."""
        if self.ready is not None:
            self.ready.synchronize()
        number = len(self.terms) + len(self.weights)
        flags = self.flags.tolist()
        if all(flags[:number]):
            return None
        names = [name for name, finite in zip(self.terms, flags, strict=False) if not finite]
        if not names:
            weight = self.weights[flags.index(False, len(self.terms)) - len(self.terms)]
            names = [next((f'the gradient of {net}.{name}' for net, module in self.nets.items()
                           for name, p in module.named_parameters() if p is weight), 'a gradient')]
        return names, all(flags[number:])


class Guard:
    """Looks at losses and gradients between the backward pass and the optimizer's step.

    One small tensor is read from the device for each optimizer step, before the step: the host waits for the backward
    pass, and the device then for the host's next launches. :class:`DeferredGuard` spares that. Weights, momenta and
    averaged weights never see a NaN, and nothing has to be undone.

    Args:
        on_nan: ``skip`` the step, or ``stop`` the training.
        limit: stop after so many iterations in a row, in either mode.
    """

    def __init__(self, on_nan: str = 'skip', limit: int = 10) -> None:
        self.on_nan, self.limit = on_nan, limit
        self.in_a_row = 0  # iterations with a refused step
        self.refused = False  # whether the current iteration is known to have one

    def begin(self) -> None:
        """A new iteration begins."""
        self.refused = False

    def end(self) -> None:
        """The iteration is complete."""
        if not self.refused:
            self.in_a_row = 0

    def settle(self) -> None:
        """Bring :attr:`in_a_row` up to date, at whatever cost."""

    def passes(self, losses: Mapping[str, Tensor], nets: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer,
               weights: Iterable[Tensor], iteration: int, files: Iterable[str]) -> bool:
        """Whether ``optimizer.step`` may be called.

        Args:
            losses: name to scalar.
            nets: name to network, to name the weight whose gradient is not finite.
            optimizer: about to step.
            weights: those whose gradients are looked at.
            iteration: its number, from 1, for the message.
            files: the batch, for the message.

        Raises:
            NonFiniteError: it may not, and training must stop.
        """
        finding = self.find(losses, nets, weights, iteration, files)
        blame = finding.blame()
        if blame is None:
            return True
        self.in_a_row += not self.refused
        self.refused = True
        error = self.complain(finding, *blame)
        if error:
            raise error
        return False

    def find(self, losses, nets, weights, iteration, files) -> Finding:
        """What is finite, still on the device."""
        weights = [p for p in weights if p.grad is not None]
        norms = torch._foreach_norm([p.grad for p in weights]) if weights else []
        values = [value.detach().float().reshape(()) for value in losses.values()] + [norm.float() for norm in norms]
        here = torch.stack(values).isfinite() if values else torch.ones(0, dtype=torch.bool)
        finite = here
        if world()[1] > 1:  # the same decision in all processes
            finite = finite.int()
            torch.distributed.all_reduce(finite, torch.distributed.ReduceOp.MIN)
            finite = finite.bool()
        return Finding(torch.cat([finite, here[:len(losses)]]), list(losses), weights, nets, iteration, list(files))

    def complain(self, finding: Finding, names: list[str], sound: bool) -> NonFiniteError | None:
        """Say in the log what was not finite, or, where training must stop, in an error to raise."""
        batches = gathered((sound, finding.files))
        guilty = [batch for is_sound, batch in batches if not is_sound] or [batch for _, batch in batches]
        paths = list(dict.fromkeys(path for batch in guilty for path in batch))
        shown = ', '.join(paths[:_SHOWN]) + (f' and {len(paths) - _SHOWN} more' if len(paths) > _SHOWN else '')
        what = f'{" and ".join(names)} {"are" if len(names) > 1 else "is"}'
        text = (f'Iteration {finding.iteration}: {what} not finite; the batch was '
                f'{shown or "not named by its data set"}.')
        if self.on_nan == 'stop' or self.in_a_row >= self.limit:
            why = 'train.on_nan is stop' if self.on_nan == 'stop' else f'this is the {self.in_a_row}th time in a row'
            return NonFiniteError(f'{text} Training stops, for {why}; no such step moved the weights. Look at these '
                                  'files, or lower the learning rate.')
        get_root_logger().warning(f'{text} The step is skipped.')
        return None


class DeferredGuard(Guard):
    """The same decision, taken on the device, and read an iteration later, when the host need not wait for it.

    Fused Adam leaves weights and momenta alone where its ``found_inf`` is 1: that is how PyTorch's gradient scaler
    skips a step. Once a step of an iteration is refused, its later ones are too. The host learns of it at the end of
    the next iteration, and that is when it warns and counts, or stops, with that next iteration complete. Losses
    after the refused step are still computed and logged, and averaged weights still move towards the unmoved weights.
    """

    def __init__(self, limit: int = 10) -> None:
        super().__init__('skip', limit)
        self.unread = []  # the findings of each iteration that is not read yet
        self.bad = None  # () bool on the device: whether a step of this iteration is refused
        self.error = None  # what the next end of an iteration has to raise

    @staticmethod
    def suits(device: torch.device, optimizers: Iterable[torch.optim.Optimizer]) -> bool:
        """Whether there is something to gain, and all optimizers can skip a step on the device."""
        return device.type == 'cuda' and all(getattr(o, '_step_supports_amp_scaling', False) for o in optimizers)

    def begin(self):
        self.unread.append([])
        self.bad = None

    def end(self):
        self.read(self.unread[:-1])
        if self.error:
            raise self.error

    def settle(self):
        self.read(self.unread)

    def passes(self, losses, nets, optimizer, weights, iteration, files):
        """Always true: it is ``optimizer`` that refuses."""
        finding = self.find(losses, nets, weights, iteration, files)
        bad = ~finding.flags.all()
        self.bad = bad if self.bad is None else self.bad | bad
        optimizer.found_inf = self.bad.float()
        finding.flags = finding.flags.to('cpu', non_blocking=True)  # to page-locked memory
        if self.bad.is_cuda:
            finding.ready = torch.cuda.current_stream().record_event()
        self.unread[-1].append(finding)
        return True

    def read(self, iterations: list[list[Finding]]) -> None:
        """Warn of, and count, what was refused in these iterations, which are read then."""
        for findings in iterations:
            blamed = next(((finding, blame) for finding in findings if (blame := finding.blame())), None)
            self.in_a_row = self.in_a_row + 1 if blamed else 0
            if blamed:
                self.error = self.complain(blamed[0], *blamed[1]) or self.error
        self.unread = self.unread[len(iterations):]
