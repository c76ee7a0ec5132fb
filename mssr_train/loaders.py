"""Training data that no restart, no number of workers and no epoch length changes."""

import math
import os
from functools import partial
from unittest.mock import patch

import basicsr.train
import cv2
import torch

from mssr_data.sampler import IterationSampler
from mssr_train.signals import ignore_stop_requests

KEYED = ('UnpairedImageDataset', 'CleanImageDataset')  # whose items depend on the sampler's index alone
_create_train_val_dataloader = basicsr.train.create_train_val_dataloader


def create_train_val_dataloader(opt, logger):
    """As BasicSR's, with a sampler that drops nothing and goes on where a resumed run stopped.

    BasicSR counts epochs with ceil and drops the last batch: 23 photos in batches of 16 train 11 of 20 iterations.
    """
    train = opt['datasets']['train']
    train['num_worker_per_gpu'] = min(train['num_worker_per_gpu'], os.cpu_count())  # more would fight for the cores
    if train.get('pin_memory') is None:
        train['pin_memory'] = opt['num_gpu'] != 0 and torch.cuda.is_available()
    if train.get('persistent_workers') is None:  # new ones at each epoch cost seconds; these data sets keep no state
        train['persistent_workers'] = train['num_worker_per_gpu'] > 0 and train['type'] in KEYED
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
        train_loader, *others = _create_train_val_dataloader(opt, logger)
    # A loader draws its workers' seed at each start; not from the global generator, which the networks' noise is from.
    train_loader.generator = torch.Generator().manual_seed(opt['manual_seed'] + opt['rank'])
    train_loader.worker_init_fn = partial(_start_worker, train_loader.worker_init_fn)
    return train_loader, *others


def _start_worker(seed_worker, number):
    ignore_stop_requests()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # as many threads as cores in each worker would fight with the others
    if seed_worker is not None:
        seed_worker(number)
