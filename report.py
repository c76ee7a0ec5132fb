"""Show what an experiment did, as one HTML page: ``python report.py experiments/NAME``."""

import argparse
import sys
from pathlib import Path

import mssr_arch  # noqa: F401  (each import registers its classes with BasicSR)
import mssr_report  # noqa: F401
from mssr_compat.errors import UserError
from mssr_compat.files import write_whole
from mssr_report.html_report import build_page


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description='Write one self-contained HTML page about an experiment: finished, running or broken off. It opens '
        'offline in any browser. Exit code: 0, or 2 after a mistaken call.')
    parser.add_argument('experiment', help='folder such as experiments/NAME')
    parser.add_argument('-o', '--output', help='HTML file to write (default: report.html in that folder)')
    args = parser.parse_args(arguments)
    output = Path(args.output or Path(args.experiment) / 'report.html')
    try:
        page = build_page(args.experiment)
        try:
            write_whole(output, page)
        except OSError as error:
            raise UserError(f'{output} cannot be written: {error.strerror}') from error
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(output)
    return 0


if __name__ == '__main__':
    sys.exit(main())
