"""Make paired data with a learned degradation: ``python degrade.py --help``; ``mssr degrade`` is the same."""

import sys

from mssr_command.degrade import main

if __name__ == '__main__':
    sys.exit(main())
