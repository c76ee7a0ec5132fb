"""Join two networks of one ancestry, one trained for fidelity and one to look sharp, to a restorer with a knob.

    python scripts/join_ends.py SPAN_x4.pth 4x-ClearReality.pth restorer.safetensors --setting 0.8
    python scripts/join_ends.py experiments/start_fidelity/models/net_g_latest.pth \
        experiments/start_perception/models/net_g_latest.pth start.safetensors --half

The result is for inference.py -c, with --perception from 0 to 1, and for adapt.py --start.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

import mssr_inference  # noqa: F401  (shims, and networks register)
from mssr_adapt.starts import related
from mssr_compat.commands import command_parser, door
from mssr_compat.errors import UserError
from mssr_inference.restorer import Restorer


@door()
def main(arguments: list[str] | None = None) -> int:
    parser = command_parser('join_ends', __doc__)
    parser.add_argument('fidelity', type=Path, help='network that was trained by a pixel loss')
    parser.add_argument('perception', type=Path, help='network of the same ancestry that looks sharp')
    parser.add_argument('output', type=Path, help='.safetensors file to write')
    parser.add_argument('--setting', type=float, default=0.8, help='of the knob, 0 to 1, until it is turned (default: '
                        '0.8)')
    parser.add_argument('--half', action='store_true', help='half precision: half the size, and less than a level off')
    args = parser.parse_args(arguments)
    try:
        options, scale, nets, origins = related([args.fidelity, args.perception])
        restorer = Restorer(options, scale, *(net.state_dict() for net in nets), args.setting, origins)
        restorer.at()  # the setting is looked at
        restorer.save(args.output, torch.float16 if args.half else torch.float32)
    except OSError as error:
        raise UserError(str(error)) from error
    print(f'{args.output}: {args.output.stat().st_size / 1e6:.2f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
