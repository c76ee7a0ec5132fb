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

from mssr_compat.commands import command_parser, door
from mssr_prepare.crop import Crop
from mssr_prepare.presets import MEANING, PRESETS, ROLES


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


@door()
def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    from mssr_prepare.preparation import prepare

    prepare(args)
    return 0


if __name__ == '__main__':
    sys.exit(main())
