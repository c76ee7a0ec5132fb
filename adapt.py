"""Two folders in, restored photos out: ``python adapt.py --help``; ``mssr adapt`` is the same."""

import sys

from mssr_command.adapt import main

if __name__ == '__main__':
    sys.exit(main())
