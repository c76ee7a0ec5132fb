"""Two folders in, restored photos out: ``python adapt.py --help``; ``mssr adapt`` is the same."""

import os
import sys

os.environ.setdefault('GOMP_SPINCOUNT', '0')  # OpenMP's threads do not burn what trainings beside them need

from mssr_command.adapt import main

if __name__ == '__main__':
    sys.exit(main())
