"""Shared by all tests: one thread each (two OpenMP pools on few cores slow each other tenfold), fixed seeds."""

import os
import signal
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('GOMP_SPINCOUNT', '0')  # as for all trainings that are started: one environment for all
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'scripts')]  # the scripts' helper modules are tested too

import pytest

import ready_python

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it


def pytest_configure(config):
    """Get ready to test; with xdist, the process that hands out tests starts the one that forks for all workers."""
    if getattr(config.option, 'numprocesses', None) and not hasattr(config, 'workerinput'):
        ready_python.server()
        return
    import torch

    import mssr_compat  # noqa: F401  (shims before BasicSR's first import by any test)

    torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Files with slow tests go first: no worker shall end with a long one while the others have nothing left."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _seed():
    import torch

    torch.manual_seed(0)
