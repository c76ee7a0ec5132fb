"""Refuses a training step whose losses or gradients are not finite."""

from collections.abc import Iterable, Mapping

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from mssr_compat.distributed import gathered, world
from mssr_compat.errors import UserError

_SHOWN = 8  # files that a message lists


class NonFiniteError(UserError):
    """Losses or gradients stay NaN or infinite; the weights are those before. Raised in all processes alike."""

    everywhere = True


class Guard:
    """Looks at losses and gradients between the backward pass and the optimizer's step.

    One small tensor is read from the device for each optimizer step, before the step: the host waits for the backward
    pass, and the device then for the host's next launches. In return weights, momenta and averaged weights never see a
    NaN, in either mode, and nothing has to be undone.

    Args:
        on_nan: ``skip`` the step, or ``stop`` the training.
        limit: stop after so many iterations in a row, in either mode.
    """

    def __init__(self, on_nan: str = 'skip', limit: int = 10) -> None:
        self.on_nan, self.limit = on_nan, limit
        self.in_a_row = 0  # iterations with a refused step
        self.refused = False  # whether the current iteration has one

    def begin(self) -> None:
        """A new iteration begins."""
        self.refused = False

    def end(self) -> None:
        """The iteration is complete."""
        if not self.refused:
            self.in_a_row = 0

    def passes(self, losses: Mapping[str, Tensor], nets: Mapping[str, nn.Module], parameters: Iterable[Tensor],
               iteration: int, files: Iterable[str]) -> bool:
        """Whether a step may be taken.

        Args:
            losses: name to scalar.
            nets: name to network, to name the weight whose gradient is not finite.
            parameters: what the optimizer would move.
            iteration: its number, from 1, for the message.
            files: the batch, for the message.

        Raises:
            NonFiniteError: it may not, and training must stop.
        """
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        values = torch.stack([*(value.detach().float().reshape(()) for value in losses.values()), norm.float()])
        finite = values.isfinite()
        here = finite
        if world()[1] > 1:  # the same decision in all processes
            finite = finite.int()
            torch.distributed.all_reduce(finite, torch.distributed.ReduceOp.MIN)
        *of_losses, of_gradients = finite.tolist()
        if of_gradients and all(of_losses):
            return True
        names = [name for name, is_finite in zip(losses, of_losses, strict=True) if not is_finite]
        self._refuse(names, nets, iteration, files, bool(here[:-1].all()))
        return False

    def _refuse(self, names, nets, iteration, files, sound):
        """Count, and say what was not finite; ``sound``: the losses of this process were."""
        self.in_a_row += not self.refused
        self.refused = True
        batches = gathered((sound, list(files)))
        guilty = [batch for is_sound, batch in batches if not is_sound] or [batch for _, batch in batches]
        paths = list(dict.fromkeys(path for batch in guilty for path in batch))
        shown = ', '.join(paths[:_SHOWN]) + (f' and {len(paths) - _SHOWN} more' if len(paths) > _SHOWN else '')
        what = f'{" and ".join(names)} {"are" if len(names) > 1 else "is"}' if names else f'{_gradient(nets)} is'
        text = f'Iteration {iteration}: {what} not finite; the batch was {shown or "not named by its data set"}.'
        if self.on_nan == 'stop' or self.in_a_row >= self.limit:
            why = 'train.on_nan is stop' if self.on_nan == 'stop' else f'this is the {self.in_a_row}th time in a row'
            raise NonFiniteError(f'{text} Training stops, for {why}; the weights are those before. Look at these '
                                 'files, or lower the learning rate.')
        get_root_logger().warning(f'{text} The step is skipped.')


def _gradient(nets: Mapping[str, nn.Module]) -> str:
    """The first weight whose gradient is not finite."""
    for name, net in nets.items():
        for weight, p in net.named_parameters():
            if p.grad is not None and not p.grad.isfinite().all():
                return f'the gradient of {name}.{weight}'
    return 'the norm of the gradients'
