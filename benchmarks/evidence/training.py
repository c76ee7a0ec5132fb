"""One process of the benchmark: the product's own training and test, with the known degradation registered.

    python -m benchmarks.evidence.training ROOT train a.yml test b.yml

is ``train.py -opt a.yml --auto_resume`` and then ``test.py -opt b.yml``, with results under ROOT.
"""

import sys

import mssr_arch  # noqa: F401  (each import registers its classes with BasicSR)
import mssr_data  # noqa: F401
import mssr_loss  # noqa: F401
import mssr_metric  # noqa: F401
import mssr_model  # noqa: F401
from benchmarks.evidence import known_degradation  # noqa: F401
from mssr_train import pipeline

if __name__ == '__main__':
    root, *steps = sys.argv[1:]
    for step, file in zip(steps[::2], steps[1::2], strict=True):
        sys.argv = [sys.argv[0], '-opt', file, *(['--auto_resume'] if step == 'train' else [])]
        {'train': pipeline.train, 'test': pipeline.test}[step](root)
