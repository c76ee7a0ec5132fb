"""Shared by all tests: one thread each (two OpenMP pools on few cores slow each other tenfold), fixed seeds."""

import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytest
import torch

import mssr_compat  # noqa: F401  (shims before BasicSR's first import by any test)

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
