"""Checkpoints from which training goes on exactly where it was."""

from copy import deepcopy
from pathlib import Path

from basicsr.utils import get_root_logger

from mssr_compat.checkpoint import network_description
from mssr_compat.checkpoint_sets import SaveError, remove_old_sets, set_newer_aside, write_file
from mssr_compat.distributed import from_first, gathered, world
from mssr_compat.errors import UserError
from mssr_compat.files import plain, remove_asides
from mssr_compat.provenance import STARTED_FROM
from mssr_compat.random_state import get_random_state, set_random_state
from mssr_model.resuming import changed_options, check_fit

# What a state with something else in it than was saved there may raise.
_MISFITS = (UserError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


class SavingMixin:
    """Writes networks and state as one set (see :mod:`mssr_compat.checkpoint_sets`), with all that BasicSR leaves out.

    That is the random generators of each process, the best metrics and the validations done, the seed, and what a
    model adds in :meth:`own_state`. Averaged weights are with the networks; the sampler needs the iteration only.
    """

    validated = {}  # data set -> iteration of its last validation
    saved_iter = None  # of the newest set
    finished_iter = None  # the last complete iteration
    before = None  # what belongs to the end of the iteration before the current one

    # --- the state ----------------------------------------------------------------------------------------------

    def own_state(self) -> dict:
        """What a process keeps from one iteration to the next beside weights: tensors and plain values."""
        return {'random': get_random_state()}

    def set_own_state(self, state: dict) -> None:
        """Go on from what :meth:`own_state` gave."""
        set_random_state(state['random'])

    def update_learning_rate(self, current_iter, warmup_iter=-1):
        """As BasicSR's; as it opens an iteration, what a failure in it must go back to is kept first."""
        self.before = {
            'iter': current_iter - 1,
            'own': self.own_state(),
            'schedulers': [deepcopy(scheduler.state_dict()) for scheduler in self.schedulers],
            'rates': [[group['lr'] for group in optimizer.param_groups] for optimizer in self.optimizers],
        }
        super().update_learning_rate(current_iter, warmup_iter)

    def resume_training(self, resume_state):
        """As BasicSR's, exactly.

        Raises:
            UserError: the state is of other networks or another model, or is not what it seems.
        """
        try:
            check_fit(self.optimizers, self.schedulers, resume_state)
            changed = changed_options(self.optimizers, self.schedulers, resume_state)
            super().resume_training(resume_state)
            self._go_on_from(resume_state)
        except _MISFITS as misfit:
            why = misfit if isinstance(misfit, UserError) else f'{type(misfit).__name__}: {misfit}'
            error = UserError(f'path.resume_state: {self.opt["path"].get("resume_state")} does not fit these options: '
                              f'{why}.')
            error.everywhere = True
            raise error from misfit
        if changed:
            get_root_logger().warning(f'train.optim_* or train.scheduler was changed, but the state counts: '
                                      f'{"; ".join(changed)}.')

    def _go_on_from(self, resume_state):
        """What is this project's own in a state."""
        self.saved_iter = self.finished_iter = resume_state['iter']
        if 'best_metric_results' in resume_state:
            self.best_metric_results = resume_state['best_metric_results']
        self.validated = resume_state.get('validated', {})
        self.guard.in_a_row = resume_state.get('in_a_row', 0)
        if resume_state.get('scaler') and self.scaler.is_enabled():
            self.scaler.load_state_dict(resume_state['scaler'])
        processes = resume_state.get('processes', [])
        rank, number = world()
        if len(processes) == number:
            self.set_own_state(processes[rank])
        else:
            get_root_logger().warning(
                f'The state holds the random generators of {len(processes)} processes, and now there are {number}: '
                'training goes on with fresh random numbers.' if processes else
                'The state holds no random generators: training goes on, but not exactly as without the interruption.')

    # --- saving -------------------------------------------------------------------------------------------------

    def save(self, epoch, current_iter):
        """As BasicSR's, but whole or not at all; in distributed training all processes must call it.

        Raises:
            SaveError: in all processes, where the first one cannot write. The set before is as it was.
        """
        self.guard.settle()
        self._files, self._processes, complaint = {}, gathered(_on_cpu(self.own_state())), None
        if world()[0] == 0:
            try:
                remove_asides(self.opt['path']['models'], self.opt['path']['training_states'])
                super().save(epoch, current_iter)
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

    def own_description(self, net_label: str) -> dict:
        """What else a checkpoint says of its network, in plain values."""
        return {}

    def save_network(self, net, net_label, current_iter, param_key='params'):
        """As BasicSR's, with the network's options, so that the file can be used without an option file."""
        nets, keys = (value if isinstance(value, list) else [value] for value in (net, param_key))
        content = {key: _on_cpu(dict(self.get_bare_model(one).state_dict()))
                   for one, key in zip(nets, keys, strict=True)}
        content |= network_description(self.opt, net_label.replace('net_', 'network_', 1))
        content |= {STARTED_FROM: self.opt.get(STARTED_FROM, []), **self.own_description(net_label)}
        name = f'{net_label}_{"latest" if current_iter == -1 else current_iter}.pth'
        self._files[name] = write_file(Path(self.opt['path']['models']) / name, content)

    def save_training_state(self, epoch, current_iter):
        """The last file of a set; then sets that are not kept go (``logger.keep_last``, ``logger.keep_every``)."""
        if current_iter == -1:
            return
        folder = Path(self.opt['path']['training_states'])
        write_file(folder / f'{current_iter}.state', {
            'epoch': epoch,
            'iter': current_iter,
            'optimizers': [optimizer.state_dict() for optimizer in self.optimizers],
            'schedulers': [scheduler.state_dict() for scheduler in self.schedulers],
            'scaler': self.scaler.state_dict(),
            'seed': self.opt.get('manual_seed'),
            'processes': self._processes,
            'best_metric_results': plain(getattr(self, 'best_metric_results', {})),
            'validated': dict(self.validated),
            'in_a_row': self.guard.in_a_row,
            'files': self._files,
        })
        left = set_newer_aside(folder, current_iter)
        if left:
            get_root_logger().warning(f'Training went on from an earlier checkpoint: later states are now called '
                                      f'{", ".join(left)}.')
        options = self.opt.get('logger', {})
        if options.get('keep_last'):
            remove_old_sets(folder, self.opt['path']['models'], options['keep_last'], options.get('keep_every') or 0)

    def save_after_failure(self, epoch):
        """Save the end of the last complete iteration, unless an optimizer has moved weights since.

        Returns:
            The iteration whose set is there now, or None if it could not be made.
        """
        if self.before is None or self.finished_iter == self.before['iter'] + 1:
            iteration = self.finished_iter
        elif self.stepped and self.current_iter == self.before['iter'] + 1:
            return None
        else:
            iteration = self.before['iter']
            self.set_own_state(self.before['own'])
            for scheduler, state in zip(self.schedulers, self.before['schedulers'], strict=True):
                scheduler.load_state_dict(state)
            self._set_lr(self.before['rates'])
        if not iteration:
            return None
        if iteration != self.saved_iter:
            self.save(epoch, iteration)
        return iteration


def _on_cpu(value):
    """Dicts, lists and tuples with the tensors in them on the CPU."""
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_on_cpu(item) for item in value)
    return value.detach().cpu() if hasattr(value, 'detach') else value
