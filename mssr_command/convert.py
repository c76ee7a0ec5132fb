"""Convert a checkpoint of any origin to BasicSR's ``{params: ...}``, with the names that BasicSR and MSSR use.

    mssr convert epoch_500.tar weights/deresnet_aim.pth
    mssr convert epoch_500.tar weights/fsd_aim.pth --part discriminator
    mssr convert RRDB_PSNR_x4_old_arch.pth weights/RRDB_PSNR_x4.pth
    mssr convert net_g_latest.pth weights/branch_0.pth --param-key params_ema --branch 0

The training options take all of these files as they are; conversion is for other programs, and to take one part out.
Nothing in the input but tensors and plain values is read: a file that would run code is refused.

Exit code: 0, or 2 after a mistaken call.
"""

import argparse
from pathlib import Path

from mssr_compat.commands import command_parser, door


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser('convert', __doc__)
    parser.add_argument('input', type=Path, help='.pth, .tar, .ckpt or .safetensors')
    parser.add_argument('output', type=Path, help='.pth to write')
    parser.add_argument('--param-key', choices=('params', 'params_ema'), default='params',
                        help='which weights to take where the input has both (default: params)')
    parser.add_argument('--part', choices=('generator', 'discriminator'), default='generator',
                        help='which network of a stage-1 .tar to take (default: generator)')
    parser.add_argument('--index', type=int, help='which discriminator, where the input has several')
    parser.add_argument('--branch', type=int, help='take this branch of an SREnsemble, from 0')
    parser.add_argument('--force', action='store_true', help='replace an existing output')
    return parser.parse_args(arguments)


@door()
def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    from mssr_command.work.convert import convert

    return convert(args)
