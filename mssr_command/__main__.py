"""Unpaired real-world super-resolution: learn what a source does to its photos, and undo it.

    mssr diagnose   what is wrong with photos, as a page and as options for other trainers
    mssr prepare    photos in folders or archives to training data
    mssr adapt      two folders in, restored photos out: all that follows, in one command
    mssr train      a degradation generator (stage 1) or SR networks (stage 2), by an option file
    mssr test       PSNR, SSIM, ... of what was trained, by an option file
    mssr upscale    photos, with a trained network or any that spandrel knows
    mssr degrade    HR photos to a set of pairs, by a learned degradation
    mssr report     what an experiment did, as one HTML page
    mssr export     networks for other programs: spandrel, ONNX
    mssr convert    a checkpoint of any origin to BasicSR's form
    mssr page       a page in the browser to try networks on

"mssr COMMAND --help" says more of each. Option files that ship are found from any folder, such as those for about a
hundred photos and a CPU:

    mssr prepare --gt photos/clean --lq photos/real --out datasets/photos
    mssr train -opt recipes/degradation_deresnet.yml

Exit code of all: 0 if all went well, 1 if something could not be done, 2 after a mistaken call, 130 after Ctrl-C.
"""

import os
import sys


def main() -> int:
    """Run the command that ``sys.argv`` names, which then sees its own arguments alone."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ''
    # Each command imports what it needs: this page is there at once.
    match name:
        case 'diagnose':
            from mssr_command.diagnose import main as command
        case 'prepare':
            from mssr_prepare.__main__ import main as command
        case 'adapt':
            from mssr_command.adapt import main as command
        case 'train' | 'test':
            from mssr_command.train import test, train
            return (train if name == 'train' else test)(os.getcwd())
        case 'upscale':
            from mssr_command.upscale import main as command
        case 'degrade':
            from mssr_command.degrade import main as command
        case 'report':
            from mssr_command.report import main as command
        case 'export':
            from mssr_command.export import main as command
        case 'convert':
            from mssr_command.convert import main as command
        case 'page':
            from mssr_command.page import main as command
        case '' | '-h' | '--help':
            print(__doc__.strip())
            return 0 if name else 2
        case _:
            print(f"error: mssr has no command '{name}'; 'mssr --help' lists them.", file=sys.stderr)
            return 2
    return command()


if __name__ == '__main__':
    sys.exit(main())
