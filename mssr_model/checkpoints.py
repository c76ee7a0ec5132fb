"""Checkpoints from which training goes on exactly where it was."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from basicsr.utils import get_root_logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mssr_compat.checkpoint import network_description
from mssr_compat.checkpoint_sets import SaveError, remove_old_sets, set_newer_aside, write_file
from mssr_compat.distributed import from_first, gathered, world
from mssr_compat.errors import UserError
from mssr_compat.files import plain, remove_asides
from mssr_compat.provenance import STARTED_FROM
from mssr_compat.random_state import get_random_state, set_random_state
from mssr_model.optimizers import put_back, schedule_free

# What a state with something else in it than was saved there may raise.
_MISFITS = (UserError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
# Of a parameter group: what is no choice of the user's, or moves.
_NOT_OPTIONS = ('params', 'lr', 'fused', 'foreach', 'capturable', 'differentiable', 'k', 'train_mode', 'weight_sum',
                'lr_max', 'scheduled_lr')
_MOVES = ('last_epoch', 'base_lrs')  # of a schedule; base_lrs are initial_lr again


class Checkpoints:
    """Writes networks and state as one set (see :mod:`mssr_compat.checkpoint_sets`), with all that BasicSR leaves out.

    That is the random generators of each process, the losses of late, the best metrics and the validations done, and
    the seed. Averaged weights are with the networks; the sampler needs the iteration only.

    Args:
        model: whose networks, optimizers and parts it saves.
    """

    def __init__(self, model) -> None:
        self.model = model
        self.saved_iter = None  # of the newest set
        self.before = None  # what belongs to the end of the iteration before the current one
        self.files, self.processes, self.trained = {}, [], []  # of the set that is being written

    # --- the state ------------------------------------------------------------------------------------------------

    def own_state(self) -> dict:
        """What a process keeps from one iteration to the next beside weights: tensors and plain values."""
        return {'random': get_random_state(), **self.model.validator.state()}

    def set_own_state(self, state: dict) -> None:
        """Go on from what :meth:`own_state` gave."""
        set_random_state(state['random'])
        self.model.validator.set_state(state)

    def begin_iteration(self, current_iter: int) -> None:
        """Keep what a failure in this iteration must go back to."""
        self.before = {
            'iter': current_iter - 1,
            'own': self.own_state(),
            'schedulers': [deepcopy(scheduler.state_dict()) for scheduler in self.model.schedulers],
            'rates': [[group['lr'] for group in optimizer.param_groups] for optimizer in self.model.optimizers],
        }

    def resume(self, load: Callable[[dict], None], state: dict) -> None:
        """Go on from a training state; see ``TrainingBase.resume_training``. ``load`` is BasicSR's part of it."""
        model = self.model
        try:
            check_fit(model.optimizers, model.schedulers, state)
            model.start.set_state(state)
            changed = changed_options(model.optimizers, model.schedulers, state)
            load(state)
            self._go_on_from(state)
        except _MISFITS as misfit:
            why = misfit if isinstance(misfit, UserError) else f'{type(misfit).__name__}: {misfit}'
            error = UserError(f'path.resume_state: {model.opt["path"].get("resume_state")} does not fit these options: '
                              f'{why}.')
            error.everywhere = True
            raise error from misfit
        if changed:
            get_root_logger().warning(f'train.optim_* or train.scheduler was changed, but the state counts: '
                                      f'{"; ".join(changed)}.')

    def _go_on_from(self, state: dict) -> None:
        """What is this project's own in a state; one of BasicSR's has none of it."""
        model = self.model
        self.saved_iter = model.steps.finished_iter = state['iter']
        model.best_metric_results = state.get('best_metric_results', model.best_metric_results)
        model.validator.validated = state.get('validated', {})
        model.steps.guard.in_a_row = state.get('in_a_row', 0)
        for optimizer, weights in zip(schedule_free(model.optimizers), state.get('trained', ()), strict=True):
            put_back(optimizer, weights)
        if state.get('scaler') and model.steps.scaler.is_enabled():
            model.steps.scaler.load_state_dict(state['scaler'])
        processes = state.get('processes', [])
        rank, number = world()
        if len(processes) == number:
            self.set_own_state(processes[rank])
        else:
            get_root_logger().warning(
                f'The state holds the random generators of {len(processes)} processes, and now there are {number}: '
                'training goes on with fresh random numbers.' if processes else
                'The state holds no random generators: training goes on, but not exactly as without the interruption.')

    # --- saving ---------------------------------------------------------------------------------------------------

    def save(self, write: Callable[[int, int], None], epoch: int, current_iter: int, trained: list = ()) -> None:
        """Save a set; see ``TrainingBase.save``. ``write`` is BasicSR's, which calls :meth:`save_network` for each
        network and then :meth:`save_state`; ``trained`` is what :func:`mssr_model.optimizers.averaged` gives."""
        own, complaint = self.own_state(), None
        own['losses'] = {name: loss.cpu() for name, loss in own['losses'].items()}
        self.files, self.processes, self.trained = {}, gathered(own), trained
        if world()[0] == 0:
            try:
                remove_asides(*(self.model.opt['path'][name] for name in ('models', 'training_states')))
                write(epoch, current_iter)
            except (UserError, OSError) as error:
                last = f'; the checkpoint of iteration {self.saved_iter} is intact' if self.saved_iter else ''
                first = 'Make room' if getattr(error, 'no_room', False) else 'Mend that'
                complaint = f'{str(error).rstrip(".")}{last}. {first}, then go on with --auto_resume.'
        complaint = from_first(complaint)
        if complaint:
            error = SaveError(complaint)
            error.everywhere = True
            raise error
        if current_iter != -1:
            self.saved_iter = current_iter

    def save_network(self, net, label: str, current_iter: int | str, param_key, description: dict) -> None:
        """Write one network, or the same with several weights, with its options; arguments as BasicSR's."""
        nets, keys = (value if isinstance(value, list) else [value] for value in (net, param_key))
        states, opt = (self.model.get_bare_model(one).state_dict() for one in nets), self.model.opt
        content = {key: {name: tensor.detach().cpu() for name, tensor in state.items()}
                   for key, state in zip(keys, states, strict=True)}
        content |= {**network_description(opt, label.replace('net_', 'network_', 1)),
                    STARTED_FROM: opt.get(STARTED_FROM, []), **description}
        name = f'{label}_{"latest" if current_iter == -1 else current_iter}.pth'
        self.files[name] = write_file(Path(self.model.opt['path']['models']) / name, content)

    def save_state(self, epoch: int, current_iter: int) -> None:
        """Write the last file of a set; then sets that are not kept go (``logger.keep_last``, ``keep_every``)."""
        if current_iter == -1:
            return
        model, opt = self.model, self.model.opt
        folder = Path(opt['path']['training_states'])
        write_file(folder / f'{current_iter}.state', {
            'epoch': epoch,
            'iter': current_iter,
            'optimizers': [optimizer.state_dict() for optimizer in model.optimizers],
            'schedulers': [scheduler.state_dict() for scheduler in model.schedulers],
            'scaler': model.steps.scaler.state_dict(),
            'seed': opt.get('manual_seed'),
            'processes': self.processes,
            'best_metric_results': plain(model.best_metric_results),
            'validated': dict(model.validator.validated),
            'in_a_row': model.steps.guard.in_a_row,
            **({'trained': self.trained} if self.trained else {}),
            'layouts': model.acceleration.layouts,
            **({'threads': model.acceleration.threads} if model.acceleration.threads else {}),
            **model.start.state(),
            'files': self.files,
        })
        left = set_newer_aside(folder, current_iter)
        if left:
            get_root_logger().warning(f'Training went on from an earlier checkpoint: later states are now called '
                                      f'{", ".join(left)}.')
        options = opt.get('logger', {})
        if options.get('keep_last'):
            remove_old_sets(folder, opt['path']['models'], options['keep_last'], options.get('keep_every') or 0)

    def save_after_failure(self, epoch: int) -> int | None:
        """Save the end of the last complete iteration, unless an optimizer has moved weights since.

        Returns:
            The iteration whose set is there now, or None if it could not be made.
        """
        model, steps = self.model, self.model.steps
        if self.before is None or steps.finished_iter == self.before['iter'] + 1:
            iteration = steps.finished_iter
        elif steps.stepped and steps.current_iter == self.before['iter'] + 1:
            return None
        else:
            iteration = self.before['iter']
            self.set_own_state(self.before['own'])
            for scheduler, state in zip(model.schedulers, self.before['schedulers'], strict=True):
                scheduler.load_state_dict(state)
            model._set_lr(self.before['rates'])
        if not iteration:
            return None
        if iteration != self.saved_iter:
            model.save(epoch, iteration)
        return iteration


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
            if ('train_mode' in group) != ('train_mode' in other):
                raise UserError('AdamWScheduleFree and another optimizer cannot go on from each other')
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
