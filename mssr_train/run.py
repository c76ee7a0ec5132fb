"""A training run as a whole: what BasicSR's loop does not look after, at the places where it can be reached."""

import contextlib
import shlex
import signal
import sys
import threading
from unittest.mock import patch

import basicsr.train
from basicsr.data.prefetch_dataloader import CUDAPrefetcher
from basicsr.utils import get_root_logger, misc

from mssr_compat.checkpoint_sets import SaveError
from mssr_compat.commands import called
from mssr_compat.distributed import highest, world
from mssr_compat.errors import UserError
from mssr_train.loaders import DataWatch, LazyCPUPrefetcher, WatchedPrefetcher, create_train_val_dataloader
from mssr_train.resume import keep_folder, load_resume_state, make_folders

_init_tb_loggers = basicsr.train.init_tb_loggers
_build_model = basicsr.train.build_model


class Stopped(Exception):
    """Training stopped because a signal asked for it; ``number`` is the signal's."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopRequest:
    """Between :meth:`watch` and :meth:`forget`, notes SIGINT and SIGTERM in :attr:`number` (0: none).

    A second Ctrl-C interrupts at once. A second SIGTERM does not: launchers pass on one of their own after the one
    that reaches the whole job.
    """

    def __init__(self):
        self.number = 0
        self._before = {}

    def watch(self) -> None:
        """Begin; again is no harm."""
        if not self._before and threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}

    def forget(self) -> None:
        """Give the handlers back that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, _frame) -> None:
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number
        name = signal.Signals(number).name
        sys.stderr.write(f'{name}: this iteration is finished and saved first.\n')


class TrainingRun:
    """Stands beside one call of ``basicsr.train.train_pipeline``, whose helpers it replaces by its methods.

    It resumes exactly, stops at the end of an iteration where a signal asks for it, saves after a crash where it can,
    and always says how to go on. Each method that bears the name of one of BasicSR's functions says why.
    """

    def __init__(self):
        self.request = StopRequest()
        self.opt = self.state = self.model = self.sampler = self.loader = self.tb_logger = self.data_watch = None
        self.val_loaders, self.lines = [], []
        self.iteration = 0  # the last one that is complete
        self.begun = False  # whether the loop has a batch in hands
        self.started = self.ended = False  # whether the model has seen to its start, and whether it ends the training

    def replacements(self) -> dict:
        """What of ``basicsr.train`` to replace by what."""
        names = ('load_resume_state', 'make_exp_dirs', 'mkdir_and_rename', 'init_tb_loggers', 'build_model',
                 'create_train_val_dataloader')
        return {
            **{f'basicsr.train.{name}': getattr(self, name) for name in names},
            'basicsr.train.CPUPrefetcher': lambda loader: WatchedPrefetcher(LazyCPUPrefetcher(loader), self),
            'basicsr.train.CUDAPrefetcher': lambda loader, opt: WatchedPrefetcher(CUDAPrefetcher(loader, opt), self),
        }

    # --- BasicSR's functions ------------------------------------------------------------------------------------

    def load_resume_state(self, opt):
        """See :func:`mssr_train.resume.load_resume_state`."""
        self.opt = opt
        self.state, self.lines = load_resume_state(opt)
        self.iteration = opt.get('resume_iter', 0)
        return self.state

    def make_exp_dirs(self, opt):
        """BasicSR archives a run that it was asked to go on with, where that has no state yet."""
        make_folders(opt) if opt['auto_resume'] else misc.make_exp_dirs(opt)

    def mkdir_and_rename(self, path):
        """The same for the folder of TensorBoard's logs."""
        keep_folder(path) if self.opt['auto_resume'] else misc.mkdir_and_rename(path)

    def init_tb_loggers(self, opt):
        """Kept for a validation that is made up for."""
        self.tb_logger = _init_tb_loggers(opt)
        return self.tb_logger

    def create_train_val_dataloader(self, opt, logger):
        """See :mod:`mssr_train.loaders`. A resumed run may have other epochs: other data, batch or processes."""
        for line in self.lines:
            logger.info(line)
        result = create_train_val_dataloader(opt, logger)
        self.loader, self.sampler, self.val_loaders, *_ = result
        self.data_watch = DataWatch(opt)
        if self.state:
            self.state['epoch'] = self.iteration // self.sampler.iters_per_epoch
        return result

    def build_model(self, opt):
        """Kept for saving."""
        self.model = _build_model(opt)
        return self.model

    # --- between iterations -------------------------------------------------------------------------------------

    def before_epoch(self):
        """Watch signals from here on; the first time, see to what comes before the first iteration."""
        self.begun = False
        if not self.started and hasattr(self.model, 'start'):
            self.see_to_start(self.model.start)
        self.started = True
        self.request.watch()  # before, there is nothing to finish or to save

    def see_to_start(self, start):
        """The rate is found, and what was due when a state was saved is made up for: validation, and a look at it."""
        start.begin(self.loader, self.iteration)
        val = self.opt.get('val')
        if val and (self.iteration % val['val_freq'] == 0 if self.iteration else start.compares_figures):
            for loader in self.val_loaders:
                self.model.validation(loader, self.iteration, self.tb_logger, val['save_img'])
        self.look_at_start()

    def look_at_start(self):
        """The training may have left its start; then it ends as if this were its last iteration."""
        why = self.model.start.left(self.iteration)
        if why:
            self.ended = True
            get_root_logger().warning(why)

    def end_iteration(self):
        """Note that an iteration is complete, and stop here if a signal asked for it in any process, or the model."""
        complete, self.begun = self.begun, False
        self.iteration += complete
        number = highest(self.request.number)
        if number:
            if self.iteration > self.opt.get('resume_iter', 0):
                self.model.save(self.sampler.epoch, self.iteration)
            raise Stopped(number)
        if complete and hasattr(self.model, 'start'):
            self.look_at_start()

    def begin_iteration(self, data):
        """Note that the loop has the data of an iteration, unless they are None: the epoch has ended."""
        self.begun = data is not None

    # --- ends ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def guarded(self):
        """Watch signals and failures of the block."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.request.forget)
            for target, replacement in self.replacements().items():
                stack.enter_context(patch(target, replacement))
            try:
                yield self
            except Stopped as stop:
                self.tell(f'Stopped by {stop} after iteration {self.iteration}.')
                raise
            except KeyboardInterrupt:
                if self.model is not None:
                    self.tell(f'Interrupted after iteration {self.iteration}; the last checkpoint is as it was.')
                raise
            except Exception as error:
                if self.model is None:
                    error.everywhere = True  # until then, all processes do the same
                else:
                    self.rescue(error)
                raise

    def rescue(self, error):
        """Save after a failure, where what the networks are is the end of an iteration, and say so."""
        together = world()[1] == 1 or getattr(error, 'everywhere', False)
        saved = None
        if together and not isinstance(error, SaveError) and hasattr(self.model, 'save_after_failure'):
            try:
                saved = self.model.save_after_failure(self.sampler.epoch)
            except Exception as second:  # whatever is broken, the first failure is what counts
                get_root_logger().error(f'Saving after the failure failed too: {second}')
        done = f'Iteration {saved} is saved' if saved else 'The last checkpoint is as it was'
        lost = '' if together else ' (in this process; a lost connection means that another one ended)'
        name = '' if isinstance(error, UserError) else f'{type(error).__name__}: '
        text = f'{name}{error}'.rstrip('.')
        self.tell(f'Training failed after iteration {self.iteration}{lost}: {text}. {done}.', 'error')

    def tell(self, text, level='warning'):
        """Log the end, and how to go on."""
        arguments = [*(argument for argument in sys.argv[1:] if argument != '--auto_resume'), '--auto_resume']
        launcher = 'with the same launcher, ' if world()[1] > 1 else ''
        getattr(get_root_logger(), level)(f'{text} Go on {launcher}with: {called("train")} {shlex.join(arguments)}')
