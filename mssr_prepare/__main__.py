"""Turn photos, in folders or archives, into the training data that the options expect.

    mssr prepare --gt photos/clean --lq photos/real --out datasets/mine
    mssr prepare --preset aim2019 --root downloads --out datasets/AIM2019 --format lmdb

Roles: gt (clean HR photos), lq (real LR photos of other scenes), and aligned validation pairs. Large photos are cut
into overlapping sub-images, so that training need not decode a whole photo for one crop. Every image becomes an 8-bit
RGB PNG: gray and palette images are expanded, alpha is dropped, CMYK is converted without a colour profile, 16-bit
values v become round(v / 257), and the EXIF orientation is applied. The originals are only read. A second run does
what is left, so an interrupted one is simply repeated.

Exit code: 0 if all went well, 2 after a mistaken call (or any note, with --strict), 130 after Ctrl-C.
"""

import argparse
import os
import sys
from pathlib import Path

import cv2

from mssr_compat.commands import command_parser, door
from mssr_compat.errors import UserError
from mssr_prepare.images import Crop
from mssr_prepare.presets import MEANING, PRESETS, ROLES, check_places, photos_of_roles
from mssr_prepare.report import check_pairs, check_sizes, report, yaml_lines
from mssr_prepare.role import RolePreparation, Target


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = command_parser('prepare', __doc__)
    parser.add_argument('--preset', choices=PRESETS, help='a published data set, looked for below --root')
    parser.add_argument('--root', type=Path, help='folder with the archives or unpacked folders of the preset')
    for role in ROLES:
        parser.add_argument(f"--{role.replace('_', '-')}", type=Path, metavar='PATH', help=f'{MEANING[role]}: a folder '
                            'or an archive (.zip, .tar, .tar.gz, ...); goes before the preset')
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument('--format', choices=['folder', 'lmdb'], default='folder')
    parser.add_argument('--scale', type=int, default=4, help='size of HR over size of LR (default: 4)')
    for role in ('gt', 'lq'):
        parser.add_argument(f'--{role}-crop', type=crop, default='480,240,0', metavar='SIZE,STEP,THRESHOLD',
                            help=f'sub-images of the {MEANING[role]}: side and distance in pixels, and how many left '
                            'over pixels to ignore; or none (default: 480,240,0); validation photos stay whole')
    parser.add_argument('--workers', type=int, default=min(os.cpu_count() or 1, 16), help='photos at a time')
    parser.add_argument('--strict', action='store_true', help='unreadable photos, unmatched pairs and foreign '
                        'files in the output are errors')
    return parser.parse_args(arguments)


def crop(text: str) -> Crop | None:
    """``size,step,threshold`` or ``none``."""
    if text == 'none':
        return None
    try:
        size, step, threshold = (int(number) for number in text.split(','))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not SIZE,STEP,THRESHOLD (such as 480,240,0) or none") from error
    if size < 1 or not 1 <= step <= size or not threshold >= 0:
        raise argparse.ArgumentTypeError(f"'{text}': it must be size >= 1, 1 <= step <= size, threshold >= 0")
    return Crop(size, step, threshold)


def prepare(arguments: argparse.Namespace) -> None:
    """Do all that the command line asks for, and say what was done.

    Raises:
        UserError: one sentence that says what is wrong and what would be right.
    """
    found, notes = photos_of_roles(arguments)
    out = arguments.out
    check_places(found, out, arguments)
    roles = {}
    for role, photos in found.items():
        cut = getattr(arguments, f'{role}_crop', None)
        target = Target(out, arguments.format == 'lmdb', cut, max(arguments.workers, 1))
        roles[role] = RolePreparation(ROLES[role], photos, target)
    for role, preparation in roles.items():
        preparation.run()
        if not preparation.done:
            raise UserError(f'none of the {len(preparation.keys)} {MEANING[role]} can be read; the first: '
                            f'{next(iter(preparation.unreadable.values()))}.')
    notes += check_pairs(roles, arguments.scale)
    for preparation in roles.values():
        preparation.finish()
        notes += report(preparation)
    notes += check_sizes(roles)
    for note in notes:
        print(f'note: {note}')
    if notes and arguments.strict:
        raise UserError(f'--strict: {len(notes)} of the notes above must be mended first, beginning with: {notes[0]}.')
    print(yaml_lines(roles))


@door()
def main(arguments: list[str] | None = None) -> int:
    cv2.setNumThreads(1)  # photos are worked on side by side instead
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the report names what cannot be read
    prepare(parse_arguments(arguments))
    return 0


if __name__ == '__main__':
    sys.exit(main())
