"""Upscale photos with a trained network; the checkpoint is all it needs.

    mssr upscale -c experiments/mssr_aim/models/net_g_latest.pth -i photos -o results
    mssr upscale -c net_g.pth -i 'photos/**/*.jpg' --format png --precision fp16 --self-ensemble
    mssr upscale -c RealESRGAN_x4plus.pth -i photo.png -o large.png
    mssr upscale -c restorer.safetensors -i photos -o restored --perception 0.5
    mssr upscale -c net_g.pth --groups diagnosis/groups.json -i photos -o results
    torchrun --nproc_per_node=8 --no-python mssr upscale -c net_g.pth -i photos -o results --skip-existing

Results are written whole: after an interruption, --skip-existing does what is left. Processes of torchrun share the
photos of a folder, and write the same files as one.

--groups is for an ensemble whose branch k was trained for group k of the photos (mssr diagnose): each photo is measured
and upscaled by its group's branch alone, or by the mean of all branches where it cannot be measured.

Exit code: 0 if all went well, 1 if some photos could not be upscaled (they are listed), 2 after a mistaken call, 130
after Ctrl-C.
"""

import argparse

from mssr_compat.commands import command_parser, door, whole


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser('upscale', __doc__)
    parser.add_argument('-c', '--checkpoint', required=True, help='.pth or .safetensors of an SR network')
    parser.add_argument('-i', '--input', required=True, help='photo, folder, or pattern in quotes')
    parser.add_argument('-o', '--output', default='results', help='folder, or file for one photo (default: results)')
    parser.add_argument('--opt', help='option file with network_g, for a checkpoint that does not carry its options')
    parser.add_argument('--branch', type=whole(1), help='one branch of the ensemble alone, from 1')
    parser.add_argument('--groups', metavar='FILE', help='groups.json of mssr diagnose: each photo by the branch of '
                        'its group alone')
    parser.add_argument('--self-ensemble', action='store_true', help='mean over flips and quarter turns: 8 x the work')
    parser.add_argument('--perception', type=float, metavar='P', help="a restorer's knob, from 0 (fewest errors) to 1 "
                        '(sharpest; default: what mssr adapt chose)')
    parser.add_argument('--color-lock', action=argparse.BooleanOptionalAction, help="keep the photo's low frequencies "
                        '(colours; default: for restorers)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1, ... (default: auto; under '
                        'torchrun: one GPU a process)')
    parser.add_argument('--precision', choices=('fp32', 'bf16', 'fp16'), default='fp32', help='default: fp32')
    parser.add_argument('--tile', type=whole(0), help='side of tiles in pixels; 0: none (default: by free memory)')
    parser.add_argument('--overlap', type=whole(0, 'auto', 'exact'), default='auto',
                        help='pixels that a tile sees beyond its own; auto: enough for less than one 8-bit level; '
                             'exact: all that the network can see (default: auto)')
    parser.add_argument('--max-memory', type=float, metavar='GIB', help='for tiles (default: by free memory)')
    parser.add_argument('--format', choices=('same', 'png', 'jpg', 'webp', 'tif'), default='same',
                        help='of the results (default: same as the photo, or png where that cannot be written)')
    parser.add_argument('--quality', type=whole(1), default=95, help='of JPEG and WebP, 1 to 100 (default: 95)')
    parser.add_argument('--suffix', default='', help='put at the end of the names')
    parser.add_argument('--skip-existing', action='store_true', help='leave photos whose result exists')
    return parser.parse_args(arguments)


@door('the same command with --skip-existing goes on')
def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    from mssr_command.work.upscale import upscale

    return upscale(args)
