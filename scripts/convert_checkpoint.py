"""Convert a checkpoint: ``python scripts/convert_checkpoint.py --help``; ``mssr convert`` is the same."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mssr_command.convert import main

if __name__ == '__main__':
    sys.exit(main())
