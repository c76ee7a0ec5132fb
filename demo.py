"""A page in the browser: ``python demo.py --help``; ``mssr page`` is the same."""

import sys

from mssr_command.page import main

if __name__ == '__main__':
    sys.exit(main())
