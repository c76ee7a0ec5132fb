"""Upscale photos: ``python inference.py --help``; ``mssr upscale`` is the same."""

import sys

from mssr_command.upscale import main

if __name__ == '__main__':
    sys.exit(main())
