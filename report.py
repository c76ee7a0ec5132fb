"""Show what an experiment did: ``python report.py experiments/NAME``; ``mssr report`` is the same."""

import sys

from mssr_command.report import main

if __name__ == '__main__':
    sys.exit(main())
