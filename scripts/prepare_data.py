"""Prepare photos for training: ``python scripts/prepare_data.py --help``; ``mssr prepare`` is the same."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mssr_prepare.__main__ import main

if __name__ == '__main__':
    sys.exit(main())
