"""Distributed start-up on machines without a GPU, which BasicSR 1.4.2 lacks."""

import os

import torch
from basicsr.utils.dist_util import init_dist as basicsr_init_dist


def init_dist(launcher, backend='nccl', **kwargs):
    """As BasicSR's; without a GPU the ranks talk over gloo (BasicSR divides by the number of GPUs)."""
    if torch.cuda.is_available():
        basicsr_init_dist(launcher, backend=backend, **kwargs)
        return
    if launcher == 'slurm':
        os.environ.setdefault('RANK', os.environ['SLURM_PROCID'])
        os.environ.setdefault('WORLD_SIZE', os.environ['SLURM_NTASKS'])
    torch.distributed.init_process_group('gloo')
