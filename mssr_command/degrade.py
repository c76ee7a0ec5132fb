"""Make paired training data with a learned degradation: HR photos and a stage-1 checkpoint in, a set of pairs out.

It also writes the degradation itself as one file that may be given away, which -c takes in turn (--save).

    mssr degrade -c experiments/degradation_aim_deresnet/models/net_g_latest.pth -i datasets/DF2K -o datasets/pairs
    mssr degrade -c deresnet.pth han.pth --weights 2 1 --draws 4 -i photos -o pairs --lmdb
    mssr degrade -c net_g.pth --strength 0 0.7 --noise-like real_lr -i photos -o pairs   # as the recipes train
    mssr degrade -c net_g.pth --strength 0 0.7 --noise-like real_lr -i photos --save my_camera.safetensors
    torchrun --nproc_per_node=8 --no-python mssr degrade -c net_g.pth -i datasets/DF2K -o datasets/DF2K_aim

A draw is a function of --seed, the photo's name and the number of the draw. A run that was stopped is continued by the
same call. Exit code: 0 if all went well, 1 if some photos could not be degraded (they are listed), 2 after a mistaken
call, 130 after Ctrl-C.
"""

import argparse

from mssr_compat.commands import command_parser, door, share, whole


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser('degrade', __doc__)
    parser.add_argument('-c', '--checkpoint', nargs='+', required=True,
                        help='one or several generators of stage 1, or files of --save')
    parser.add_argument('-i', '--input', help='HR photos: a folder (with sub-folders) or an .lmdb')
    parser.add_argument('-o', '--output', help='folder of the set')
    parser.add_argument('--save', metavar='FILE', help='write generator, strength, noise and JPEG to one .safetensors '
                        'file to give away; without -o, that alone')
    parser.add_argument('--opt', nargs='+', help='option file of each checkpoint that does not carry its options')
    parser.add_argument('--draws', type=whole(1), default=1, help='LR photos of each HR photo (default: 1)')
    parser.add_argument('--weights', nargs='+', type=float, help='how often each generator is used (default: equally)')
    parser.add_argument('--strength', nargs=2, type=share, metavar=('LOW', 'HIGH'),
                        help='share of what a generator does beyond bicubic downsampling, drawn for each LR photo: 0 '
                             'is bicubic, 1 all of it (default: as the file of -c says, or 1 1)')
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument('--noise', nargs=2, type=share, metavar=('LOW', 'HIGH'),
                       help="share of a generator's noise, likewise (default: as the file says, or that of --strength)")
    noise.add_argument('--noise-like', metavar='REAL',
                       help='real LR photos, a folder or an .lmdb: as much noise as makes the LR photos as noisy')
    parser.add_argument('--seed', type=whole(0), default=0, help='default: 0')
    parser.add_argument('--lmdb', action='store_true', help='also as databases gt.lmdb and lq.lmdb')
    parser.add_argument('--no-hr', action='store_true', help='LR photos alone')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, ...; auto under torchrun: one GPU a process')
    args = parser.parse_args(arguments)
    if not args.output and not args.save:
        parser.error('-o is missing: the folder of the set (or --save FILE)')
    if not args.input and (args.output or args.noise_like):
        parser.error('-i is missing: HR photos')
    if args.save and len(args.checkpoint) > 1:
        parser.error('--save writes one degradation: give one -c')
    return args


@door('the same command goes on')
def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    from mssr_command.work.degrade import degrade

    return degrade(args)
