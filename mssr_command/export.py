"""Hand a trained ensemble on to other programs; every file is loaded again and compared.

    mssr export experiments/mssr_aim/models/net_g_latest.pth exported
    mssr export net_g.pth exported --val-lq datasets/AIM2019/valid-input-noisy \
        --val-gt datasets/AIM2019/valid-gt-clean

    exported/S1_RRDBNet.pth, .safetensors   each branch, for spandrel (chaiNNer, ComfyUI, traiNNer-redux) and BasicSR
    exported/S1_RRDBNet.onnx                each branch, with free height and width
    exported/ensemble.onnx                  the mean of the branches, likewise
    exported/averaged.pth, .safetensors     one network with the mean of the weights; its gap is measured on --val-lq

Exit code: 0 if all went well, 1 if a file computes something else (it is removed) or a network has no ONNX, 2 after a
mistaken call.
"""

import argparse
from pathlib import Path

from mssr_compat.commands import command_parser, door


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser('export', __doc__)
    parser.add_argument('checkpoint', help='.pth or .safetensors of an SR network')
    parser.add_argument('output', type=Path, help='folder')
    parser.add_argument('--opt', help='option file with network_g, for a checkpoint that does not carry its options')
    parser.add_argument('--perception', type=float, metavar='P', help="a restorer's knob, 0 to 1 (default: as chosen)")
    parser.add_argument('--no-onnx', action='store_true', help='weight files alone')
    parser.add_argument('--val-lq', help='folder of LR photos on which the averaged network is measured')
    parser.add_argument('--val-gt', help='folder of their HR photos, of the same names')
    parser.add_argument('--device', default='auto', help='for measuring (default: auto)')
    return parser.parse_args(arguments)


@door()
def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    from mssr_command.work.export import export

    return export(args)
