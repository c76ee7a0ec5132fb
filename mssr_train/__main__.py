"""``python -m mssr_train FOLDER -opt FILE ...`` is ``train.py -opt FILE ...`` with its results under FOLDER."""

import sys

import mssr_arch  # noqa: F401  (each import registers its classes with BasicSR)
import mssr_data  # noqa: F401
import mssr_loss  # noqa: F401
import mssr_metric  # noqa: F401
import mssr_model  # noqa: F401
from mssr_train import pipeline

if __name__ == '__main__':
    pipeline.train(sys.argv.pop(1))
