"""Hand networks on to other programs: ``python scripts/export.py --help``; ``mssr export`` is the same."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mssr_command.export import main

if __name__ == '__main__':
    sys.exit(main())
