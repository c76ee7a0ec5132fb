"""BasicSR's training and testing pipelines, mended where BasicSR 1.4.2 fails on today's stack.

``train`` and ``test`` are what the entry points call. Each function below that bears the name of one of BasicSR's
replaces it for the length of the run and says why.
"""

import argparse
import functools
import logging
import math
import os
import sys
import tempfile
from contextlib import ExitStack
from os import path as osp
from unittest.mock import patch

import basicsr.test
import basicsr.train
from basicsr.utils import MessageLogger
from basicsr.utils import logger as basicsr_logger

from mssr_compat.distributed import init_dist
from mssr_compat.errors import UserError
from mssr_compat.prefetch import FailingPrefetchGenerator, LazyCPUPrefetcher
from mssr_compat.resume import load_resume_state
from mssr_data.sampler import IterationSampler
from mssr_metric.protocols import name_metrics
from mssr_options.check import check_options
from mssr_options.effective import effective_yaml
from mssr_options.files import check_files
from mssr_options.preflight import run_preflight
from mssr_options.reader import read_options

_parse_options = basicsr.train.parse_options
_create_train_val_dataloader = basicsr.train.create_train_val_dataloader


def train(root_path: str) -> None:
    """Run ``basicsr.train.train_pipeline`` with results under ``root_path``; exit with 2 on a user's mistake."""
    _run(basicsr.train, basicsr.train.train_pipeline, root_path)


def test(root_path: str) -> None:
    """Run ``basicsr.test.test_pipeline`` with results under ``root_path``; exit with 2 on a user's mistake."""
    _run(basicsr.test, basicsr.test.test_pipeline, root_path)


def _run(module, pipeline, root_path):
    """Run ``pipeline`` of ``module`` with BasicSR's functions replaced, and turn a user's mistake into one line."""
    _forget_loggers()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        replacements = {
            f'{module.__name__}.parse_options': functools.partial(parse_options, folder=folder),
            'basicsr.train.load_resume_state': load_resume_state,
            'basicsr.train.create_train_val_dataloader': create_train_val_dataloader,
            'basicsr.train.CPUPrefetcher': LazyCPUPrefetcher,
            'basicsr.train.MessageLogger': PunctualMessageLogger,
            'basicsr.data.prefetch_dataloader.PrefetchGenerator': FailingPrefetchGenerator,
            'basicsr.utils.options.init_dist': init_dist,
        }
        for target, replacement in replacements.items():
            stack.enter_context(patch(target, replacement))
        try:
            pipeline(root_path)
        except UserError as error:
            sys.stderr.write(f'error: {error}\n')
            sys.exit(2)


def _forget_loggers():
    """BasicSR keeps its logger for the life of the process: a second pipeline would log to the first one's file."""
    basicsr_logger.initialized_logger.clear()
    logger = logging.getLogger('basicsr')
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)


def parse_options(root_path, is_train=True, *, folder):
    """As BasicSR's, from strictly read options.

    BasicSR ignores unknown keys, reads ``1e-4`` as a string, lets the last of two equal keys win, runs ``--force_yml``
    through ``exec`` and keeps a copy of the file without those values. Here the checked options, ``--force_yml``
    included, are written into ``folder``; BasicSR reads that file and keeps it with the experiment.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('-opt')
    parser.add_argument('--force_yml', nargs='+', default=None)
    parser.add_argument('--check', action='store_true')
    own, others = parser.parse_known_args()
    if own.opt is None or '-h' in others or '--help' in others:
        return _parse_options(root_path, is_train)  # BasicSR prints its usage

    opt = read_options(own.opt, own.force_yml)
    check_options(opt, own.opt, is_train)
    effective = osp.join(folder, osp.basename(own.opt))
    with open(effective, 'w', encoding='utf-8') as file:
        file.write(effective_yaml(opt))
    with patch.object(sys, 'argv', [sys.argv[0], '-opt', effective, *others]):
        opt, args = _parse_options(root_path, is_train)
    check_files(opt)
    metrics = (opt.get('val') or {}).get('metrics')
    if metrics:
        opt['val']['metrics'] = name_metrics(metrics, opt['scale'])
    if own.check:
        run_preflight(opt, args)
        sys.exit(0)
    return opt, args


class PunctualMessageLogger(MessageLogger):
    """BasicSR's log line, whose ETA is one iteration short: at the last one it reads -1 day."""

    def __init__(self, opt, *args, **kwargs):
        super().__init__(opt, *args, **kwargs)
        self.max_iters += 1


def create_train_val_dataloader(opt, logger):
    """As BasicSR's, with a sampler that drops nothing and goes on where a resumed run stopped.

    BasicSR counts epochs with ceil and drops the last batch: 23 photos in batches of 16 train 11 of 20 iterations.
    """
    train = opt['datasets']['train']
    train['num_worker_per_gpu'] = min(train['num_worker_per_gpu'], os.cpu_count())  # more would fight for the cores
    per_gpu = train['batch_size_per_gpu']

    def sampler(train_set, world_size, rank, ratio):
        return IterationSampler(
            train_set,
            world_size,
            rank,
            ratio,
            seed=opt['manual_seed'],
            batch_size=per_gpu * (1 if opt['dist'] else max(opt['num_gpu'], 1)),
            start_iter=opt.get('resume_iter', 0),
            iters_per_epoch=math.ceil(len(train_set) * ratio / (per_gpu * world_size)),  # as BasicSR counts
        )

    with patch('basicsr.train.EnlargedSampler', sampler):
        return _create_train_val_dataloader(opt, logger)
