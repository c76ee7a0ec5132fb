"""Whether a training state fits the training that is to go on from it."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mssr_compat.errors import UserError

# Of a parameter group: what is no choice of the user's, or moves.
_NOT_OPTIONS = ('params', 'lr', 'fused', 'foreach', 'capturable', 'differentiable')
_MOVES = ('last_epoch', 'base_lrs')  # of a schedule; base_lrs are initial_lr again


def check_fit(optimizers: list[Optimizer], schedulers: list[LRScheduler], state: dict[str, Any]) -> None:
    """Optimizers would take momenta of other weights without a word, and compute nonsense.

    Raises:
        UserError: the state has other optimizers, schedules or weights.
    """
    for kind, own in (('optimizers', optimizers), ('schedulers', schedulers)):
        if len(state[kind]) != len(own):
            raise UserError(f'it has {len(state[kind])} {kind} and this training {len(own)}: it is of another '
                            'model_type')
    for optimizer, saved in zip(optimizers, state['optimizers'], strict=True):
        own, theirs = ([len(group['params']) for group in groups]
                       for groups in (optimizer.param_groups, saved['param_groups']))
        if own != theirs:
            raise UserError(f'its optimizer moves {sum(theirs)} tensors in {len(theirs)} groups and this training\'s '
                            f'{sum(own)} in {len(own)}: it is of other networks')
        for group, other in zip(optimizer.param_groups, saved['param_groups'], strict=True):
            for p, number in zip(group['params'], other['params'], strict=True):
                for moment in saved['state'].get(number, {}).values():
                    if moment.dim() and moment.shape != p.shape:
                        raise UserError(f'it has a momentum of shape {tuple(moment.shape)} for weights of shape '
                                        f'{tuple(p.shape)}: it is of other networks')


def changed_options(optimizers: list[Optimizer], schedulers: list[LRScheduler], state: dict[str, Any]) -> list[str]:
    """Where ``train.optim_*`` and ``train.scheduler`` say something else than the state, which counts: one text each.

    Call it before the state is loaded.
    """
    found = []
    for optimizer, saved in zip(optimizers, state['optimizers'], strict=True):
        for group, other in zip(optimizer.param_groups, saved['param_groups'], strict=True):
            found += _differences({k: v for k, v in group.items() if k not in _NOT_OPTIONS}, other)
    for scheduler, saved in zip(schedulers, state['schedulers'], strict=True):
        own = {k: v for k, v in scheduler.state_dict().items() if not k.startswith('_') and k not in _MOVES}
        found += _differences(own, saved)
    return list(dict.fromkeys(found))


def _differences(own: dict[str, Any], saved: dict[str, Any]) -> list[str]:
    def plain(value: Any) -> Any:
        return sorted(value.elements()) if hasattr(value, 'elements') else \
            list(value) if isinstance(value, tuple | list) else value

    return [f'{name} {plain(saved[name])}, not {plain(value)}' for name, value in own.items()
            if name in saved and plain(saved[name]) != plain(value)]
