"""Show what an experiment did, as one HTML page: finished, running or broken off.

    mssr report experiments/degradation_aim_deresnet
    mssr report experiments/mssr_aim -o mssr_aim.html

The page holds all it needs, pictures too, and opens offline in any browser.

Exit code: 0, or 2 after a mistaken call.
"""

from pathlib import Path

from mssr_compat.commands import command_parser, door
from mssr_compat.errors import UserError
from mssr_compat.files import write_whole


@door()
def main(arguments: list[str] | None = None) -> int:
    parser = command_parser('report', __doc__)
    parser.add_argument('experiment', help='folder such as experiments/NAME')
    parser.add_argument('-o', '--output', help='HTML file to write (default: report.html in that folder)')
    args = parser.parse_args(arguments)
    import mssr_arch  # noqa: F401  (networks register)
    from mssr_report.html_report import build_page

    output = Path(args.output or Path(args.experiment) / 'report.html')
    page = build_page(args.experiment)
    try:
        write_whole(output, page)
    except OSError as error:
        raise UserError(f'{output} cannot be written: {error.strerror}') from error
    print(output)
    return 0

