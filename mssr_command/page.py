"""A page in the browser: drop a photo and see it upscaled, or drop an HR photo and see how it is degraded.

    mssr page net_g_latest.pth deresnet.pth
    mssr page weights --port 7861

Checkpoints are given as files or folders; what each of them is, they say themselves. The page is for this machine alone
unless --host says otherwise; Ctrl-C ends it. Needs Gradio: pip install "gradio>=6"

Exit code: 2 after a mistaken call, or where the port is taken; 0 or 130 after Ctrl-C.
"""

import argparse
from pathlib import Path

from mssr_compat.commands import command_parser, door, whole


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser('page', __doc__)
    parser.add_argument('weights', nargs='+', type=Path, help='checkpoints, or folders of them')
    parser.add_argument('--host', default='127.0.0.1', help='0.0.0.0: for the whole network (default: this machine)')
    parser.add_argument('--port', type=whole(1), help='default: the first free one from 7860')
    parser.add_argument('--max-megapixels', type=float, default=4, help='of a photo (default: 4)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, ... (default: auto)')
    return parser.parse_args(arguments)


@door()
def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    from mssr_command.work.page import page

    return page(args)
