"""Measure what was trained: ``python test.py -opt options/test_mssr_aim.yml``."""

from pathlib import Path

import mssr_arch  # noqa: F401  (each import registers its classes with BasicSR)
import mssr_data  # noqa: F401
import mssr_loss  # noqa: F401
import mssr_metric  # noqa: F401
import mssr_model  # noqa: F401
from mssr_train.pipeline import test

if __name__ == '__main__':
    test(str(Path(__file__).resolve().parent))
