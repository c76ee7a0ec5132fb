"""What is wrong with my photos: ``python diagnose.py --help``; ``mssr diagnose`` is the same."""

import sys

from mssr_command.diagnose import main

if __name__ == '__main__':
    sys.exit(main())
