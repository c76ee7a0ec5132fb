"""BasicSR's training and testing pipelines, mended where BasicSR 1.4.2 fails on today's stack.

``train`` and ``test`` are what the entry points call. Each function below that bears the name of one of BasicSR's
replaces it for the length of the run and says why.
"""

import errno
import functools
import io
import logging
import multiprocessing
import re
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack, nullcontext, redirect_stdout, suppress
from os import path as osp
from pickle import UnpicklingError
from unittest.mock import patch

import basicsr.test
import basicsr.train
from basicsr.utils import MessageLogger, set_random_seed
from basicsr.utils import logger as basicsr_logger

from mssr_compat.distributed import from_first, init_dist, is_first, is_restart, leave_dist
from mssr_compat.errors import UserError
from mssr_metric.protocols import name_metrics
from mssr_options.check import check_options
from mssr_options.files import check_files
from mssr_options.pretrained import resolve_pretrained
from mssr_options.reader import effective_yaml, read_options
from mssr_options.shipped import find_option_file
from mssr_train.command_line import parse_arguments
from mssr_train.data_sets import check_data
from mssr_train.loaders import FailingPrefetchGenerator
from mssr_train.preflight import run_preflight
from mssr_train.run import Stopped, TrainingRun

_parse_options = basicsr.train.parse_options

# What a full, read-only or failing disk answers to whatever writes: pictures, records, logs.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
                errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


def train(root_path: str) -> None:
    """Run ``basicsr.train.train_pipeline`` with results under ``root_path``.

    It exits with 2 on a user's mistake and where the disk takes no more, and with 130 or 143 where Ctrl-C or SIGTERM
    stopped it.
    """
    _run(basicsr.train, basicsr.train.train_pipeline, root_path, TrainingRun().guarded())


def test(root_path: str) -> None:
    """Run ``basicsr.test.test_pipeline`` with results under ``root_path``; exit with 2 on a user's mistake."""
    _run(basicsr.test, basicsr.test.test_pipeline, root_path, nullcontext())


def _run(module, pipeline, root_path, guard):
    """Run ``pipeline`` of ``module`` with BasicSR's functions replaced, and turn a user's mistake into one line."""
    _forget_loggers()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        # A line that a full disk does not take is lost; logging would print a traceback for each.
        stack.enter_context(patch.object(logging, 'raiseExceptions', False))
        replacements = {
            f'{module.__name__}.parse_options': functools.partial(parse_options, folder=folder),
            'basicsr.train.MessageLogger': PunctualMessageLogger,
            'basicsr.data.prefetch_dataloader.PrefetchGenerator': FailingPrefetchGenerator,
        }
        for target, replacement in replacements.items():
            stack.enter_context(patch(target, replacement))
        try:
            with guard:
                pipeline(root_path)
        except UserError as error:
            if is_first() or not getattr(error, 'everywhere', False):
                sys.stderr.write(f'error: {error}\n')
            sys.exit(2)
        except Stopped as stop:
            leave_dist()
            sys.exit(128 + stop.number)
        except KeyboardInterrupt:
            sys.stderr.write('error: interrupted by Ctrl-C\n')
            sys.exit(130)
        except UnpicklingError as error:  # of BasicSR's own models, which read checkpoints themselves
            sys.stderr.write(f'error: a checkpoint was refused, and nothing of it was run: {_refused(error)}\n')
            sys.exit(2)
        except OSError as error:
            if error.errno not in _OF_THE_DISK:
                raise
            file = error.filename2 or error.filename or 'a picture, record or log of this run'  # 2: copied to
            sys.stderr.write(f'error: {file}: {error.strerror}\n')
            sys.exit(2)
        finally:
            _end_workers()
        leave_dist()


def _refused(error):
    """Which object torch refused to make."""
    name = re.search(r'GLOBAL (\S+)', str(error))
    return f'it holds a pickled Python object ({name[1]})' if name else 'it is damaged, or no checkpoint of torch'


def _end_workers():
    """Data workers ignore requests to stop (see ``loaders``); after a failure Python's exit would wait for them."""
    workers = multiprocessing.active_children()
    if not workers:
        return
    # torch raises an error wherever the main thread is when it hears that a worker was killed.
    main = threading.current_thread() is threading.main_thread() and hasattr(signal, 'SIGCHLD')  # not on Windows
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if main else None
    for worker in workers:
        worker.kill()
        worker.join()
    if main:
        signal.signal(signal.SIGCHLD, handler)


def _forget_loggers():
    """BasicSR keeps its logger for the life of the process: a second pipeline would log to the first one's file."""
    basicsr_logger.initialized_logger.clear()
    logger = logging.getLogger('basicsr')
    for handler in list(logger.handlers):
        with suppress(OSError):  # the disk did not take its last lines
            handler.close()
        logger.removeHandler(handler)


def parse_options(root_path, is_train=True, *, folder):
    """As BasicSR's, from strictly read options.

    BasicSR ignores unknown keys, reads ``1e-4`` as a string, lets the last of two equal keys win, runs ``--force_yml``
    through ``exec`` and keeps a copy of the file without those values. Here the checked options, ``--force_yml``
    included, are written into ``folder``; BasicSR reads that file and keeps it with the experiment.
    """
    given, others = parse_arguments(is_train)

    given.opt, note = find_option_file(given.opt)
    if note and is_first():
        sys.stderr.write(f'{note}\n')
    opt = read_options(given.opt, given.force_yml)
    resolve_pretrained(opt)
    check_options(opt, given.opt, is_train)
    effective = osp.join(folder, osp.basename(given.opt))
    with open(effective, 'w', encoding='utf-8') as file:
        file.write(effective_yaml(opt))
    start = functools.partial(init_dist, use_gpu=opt['num_gpu'] != 0)
    with patch.object(sys, 'argv', [sys.argv[0], '-opt', effective, *others]), \
            patch('basicsr.utils.options.init_dist', start), redirect_stdout(io.StringIO()):  # "Disable distributed."
        seeded, (opt, args) = opt.get('manual_seed') is not None, _parse_options(root_path, is_train)
    opt['auto_resume'] |= is_restart()
    if not seeded:  # BasicSR draws one in each process
        opt['manual_seed'] = from_first(opt['manual_seed'])
        set_random_seed(opt['manual_seed'] + opt['rank'])
    check_files(opt)
    metrics = (opt.get('val') or {}).get('metrics')
    if metrics:
        opt['val']['metrics'] = name_metrics(metrics, opt['scale'])
    if given.check:
        run_preflight(opt, args)
        sys.exit(0)
    check_data(opt)
    return opt, args


class PunctualMessageLogger(MessageLogger):
    """BasicSR's log line, whose ETA is one iteration short: at the last one it reads -1 day."""

    def __init__(self, opt, *args, **kwargs):
        super().__init__(opt, *args, **kwargs)
        self.max_iters += 1
