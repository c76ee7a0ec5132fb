"""Two folders in, restored photos out: adapt a pretrained upscaler to photos of one source, and restore them.

    mssr adapt --clean photos/clean --real photos/real --out adapted
    mssr adapt --real photos/real --out adapted --start RealESRGAN_x4plus.pth --minutes 30
    mssr adapt --clean clean --real real --out adapted --start SPAN_x4.pth 4x-ClearReality.pth
    mssr adapt --clean clean --real photos_of_many_cameras --out adapted --by-group

    adapted/restored               the real photos, enlarged and restored
    adapted/restorer.safetensors   for mssr upscale -c, with --perception from 0 (fewest errors) to 1 (sharpest)
    adapted/degradation.safetensors   what was learned of the photos, for mssr degrade
    adapted/report.html            before and after, the knob, figures
    adapted/options                the option file of every training

--clean holds sharp photos of any scenes, --real the photos that are to be restored; about a hundred of each are best.
Stopped (Ctrl-C), it goes on where the same command is given again.

Exit code: 0 if all went well, 1 if some photos could not be restored, 2 after a mistaken call,
130 when stopped.
"""

import argparse
import signal
from pathlib import Path

from mssr_compat.commands import command_parser, door, whole


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser('adapt', __doc__)
    parser.add_argument('--real', type=Path, required=True, help='folder of the photos to restore')
    parser.add_argument('--clean', type=Path, help='folder of clean photos of other scenes (default: seven that '
                        'scikit-image brings along, which teach less)')
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument('--start', type=Path, nargs='+', default=[], metavar='FILE', help='pretrained upscaler to '
                        'start from: any file that spandrel knows; or two of one ancestry, one trained for fidelity '
                        'and one to look sharp; or a restorer (default: the small one that ships)')
    parser.add_argument('--minutes', type=minutes, metavar='N', help='for all of it, within a tenth (default: as '
                        'long as the recipes take)')
    parser.add_argument('--perception', type=float, metavar='P', help='0 (fewest errors) to 1 (sharpest; default: '
                        'chosen by what the photos allow)')
    parser.add_argument('--scale', type=whole(2), default=4, help='result size over photo size (default: 4)')
    parser.add_argument('--pairs', type=Path, nargs=2, metavar=('GT', 'LQ'), help='folders of ground truth and LR '
                        'photos of the same names, to measure on')
    parser.add_argument('--peers', type=Path, nargs='+', default=[], metavar='FILE', help='other upscalers, of any '
                        'kind that --start takes, to compare with in the report')
    parser.add_argument('--by-group', action='store_true', help='photos of several cameras or archives: look for '
                        'groups of like photos, and make a restorer for each, in OUT/group_1, ...')
    parser.add_argument('--seed', type=whole(0), default=0, help='of what is drawn by chance (default: 0)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, ... (default: auto)')
    args = parser.parse_args(arguments)
    if len(args.start) > 2:
        parser.error('--start takes one file or two')
    if args.by_group and args.pairs:
        parser.error('--pairs measures one restorer, and --by-group makes several: give one of them')
    if args.perception is not None and not 0 <= args.perception <= 1:
        parser.error(f'--perception is {args.perception:g}, but must be from 0 to 1')
    return args


def minutes(text: str) -> float:
    """A positive number of minutes."""
    value = float(text)
    if not 0 < value < 1e5:
        raise argparse.ArgumentTypeError(f"'{text}' is no time in minutes")
    return value


def stop(number, _):
    """SIGTERM as Ctrl-C: what runs is stopped in good order."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@door('the same command goes on')
def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    from mssr_command.work.adapt import adapt

    signal.signal(signal.SIGTERM, stop)
    return adapt(args)
