"""Refuses a training step whose losses or gradients are not finite."""

from collections.abc import Iterable, Mapping

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from mssr_compat.distributed import gathered, world
from mssr_compat.errors import UserError

_SHOWN = 8  # files that a message lists


class NonFiniteError(UserError):
    """Losses or gradients stay NaN or infinite; no such step moved weights. Raised in all processes alike."""

    everywhere = True


class Guard:
    """Looks at losses and gradients between the backward pass and the optimizer's step.

    One small tensor is read from the device for each optimizer step, before the step: the host waits for the backward
    pass, and the device then for the host's next launches. Weights, momenta and averaged weights never see a NaN, and
    nothing has to be undone.

    Args:
        on_nan: ``skip`` the step, or ``stop`` the training.
        limit: stop after so many iterations in a row, in either mode.
    """

    def __init__(self, on_nan: str = 'skip', limit: int = 10) -> None:
        self.on_nan, self.limit = on_nan, limit
        self.in_a_row = 0  # iterations with a refused step
        self.refused = False  # whether the current iteration has one

    def end(self) -> None:
        """The iteration is complete."""
        if not self.refused:
            self.in_a_row = 0

    def passes(self, losses: Mapping[str, Tensor], gradients: list[tuple[Tensor, Tensor]],
               nets: Mapping[str, nn.Module], iteration: int, files: Iterable[str]) -> bool:
        """Whether the optimizer may step.

        Args:
            losses: name to scalar.
            gradients: weights, each with its gradient's norm.
            nets: name to network, to name the weight whose gradient is not finite.
            iteration: its number, from 1, for the message.
            files: the batch, for the message.

        Raises:
            NonFiniteError: it may not, and training must stop.
        """
        values = [value.detach().float().reshape(()) for value in losses.values()] + [norm for _, norm in gradients]
        here = torch.stack(values).isfinite() if values else torch.ones(0, dtype=torch.bool)
        finite = here
        if world()[1] > 1:  # the same decision in all processes
            finite = finite.int()
            torch.distributed.all_reduce(finite, torch.distributed.ReduceOp.MIN)
            finite = finite.bool()
        flags, mine = torch.cat([finite, here[:len(losses)]]).tolist(), len(values)
        if all(flags[:mine]):
            return True
        self.in_a_row += not self.refused
        self.refused = True
        names = [name for name, is_finite in zip(losses, flags, strict=False) if not is_finite]
        if not names:
            weight = gradients[flags.index(False, len(losses)) - len(losses)][0]
            names = [next((f'the gradient of {net}.{name}' for net, module in nets.items()
                           for name, p in module.named_parameters() if p is weight), 'a gradient')]
        self.complain(names, all(flags[mine:]), iteration, list(files))
        return False

    def complain(self, names: list[str], sound: bool, iteration: int, files: list[str]) -> None:
        """Say what was not finite in the log, or, where training must stop, in an error.

        Args:
            names: losses or a gradient.
            sound: whether all losses of this process were finite.
            iteration: its number.
            files: this process's batch.
        """
        batches = gathered((sound, files))
        guilty = [batch for is_sound, batch in batches if not is_sound] or [batch for _, batch in batches]
        paths = list(dict.fromkeys(path for batch in guilty for path in batch))
        shown = ', '.join(paths[:_SHOWN]) + (f' and {len(paths) - _SHOWN} more' if len(paths) > _SHOWN else '')
        what = f'{" and ".join(names)} {"are" if len(names) > 1 else "is"}'
        text = f'Iteration {iteration}: {what} not finite; the batch was {shown or "not named by its data set"}.'
        if self.on_nan == 'stop' or self.in_a_row >= self.limit:
            why = 'train.on_nan is stop' if self.on_nan == 'stop' else f'this is the {self.in_a_row}th time in a row'
            raise NonFiniteError(f'{text} Training stops, for {why}; no such step moved the weights. Look at these '
                                 'files, or lower the learning rate.')
        get_root_logger().warning(f'{text} The step is skipped.')
