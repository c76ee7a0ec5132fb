"""What is wrong with photos: blur, noise, JPEG and more, read from a folder of them.

    mssr diagnose PHOTOS
    mssr diagnose PHOTOS --clean CLEAN --scale 4 --out diagnosis

It writes diagnosis.html, measurements.json, and option files with what was found: for stage 1, Real-ESRGAN,
traiNNer-redux and neosr. Photos of several groups, such as cameras, get a training of stage 1 each (mssr_1.yml, ...),
the lists that it reads (groups/group_1.txt, ...), and groups.json, by which mssr upscale --groups tells them apart.

Exit code: 0, or 2 after a mistaken call.
"""

import sys
from pathlib import Path

from mssr_compat.commands import command_parser, door
from mssr_compat.errors import UserError


@door()
def main(arguments: list[str] | None = None) -> int:
    parser = command_parser('diagnose', __doc__)
    parser.add_argument('photos', metavar='PHOTOS', help='folder (with sub-folders) or .lmdb')
    parser.add_argument('--clean', help='clean photos of the same kind of scenes: what sharp means, else that of '
                        'photographs in general')
    parser.add_argument('--scale', type=int, default=4, choices=range(1, 9), metavar='S',
                        help='factor by which the photos shall be enlarged, 1 to 8 (default: 4)')
    parser.add_argument('--out', default='diagnosis', help='folder (default: diagnosis)')
    args = parser.parse_args(arguments)
    from mssr_diagnose.diagnosis import diagnose

    try:
        left_out = diagnose(args.photos, args.clean, args.scale, Path(args.out))
    except OSError as error:
        raise UserError(f'{args.out} cannot be written: {error.strerror or error}') from error
    for name, why in left_out:
        print(f'left out: {name}: {why}', file=sys.stderr)
    print(Path(args.out) / 'diagnosis.html')
    return 0
