"""The arguments of ``mssr train`` and ``mssr test``; reading them needs no PyTorch."""

import argparse

from mssr_compat.commands import command_parser

_TRAIN = """Train what an option file says: a degradation generator (stage 1) or SR networks (stage 2).

    mssr train -opt recipes/degradation_deresnet.yml --check
    mssr train -opt recipes/degradation_deresnet.yml
    mssr train -opt recipes/mssr.yml --auto_resume --force_yml train:total_iter=2000 '~val'
    torchrun --nproc_per_node=4 --no-python mssr train -opt my.yml --launcher pytorch

Results lie in experiments/NAME: of the current folder, or of the clone whose train.py is called. Where there is no
such option file, the one that ships is taken. Ctrl-C and SIGTERM stop after the iteration, which is saved;
--auto_resume goes on to the same weights.

Exit code: 0 if all went well, 1 after a failure, 2 after a mistake in call, options or data or where the disk takes no
more, 130 after Ctrl-C, 143 after SIGTERM.
"""
_TEST = """Measure what was trained, by the validation sets and metrics of an option file.

    mssr test -opt test_mssr_aim.yml

Results lie in results/NAME: of the current folder, or of the clone whose test.py is called. Where there is no such
option file, the one that ships is taken.

Exit code: 0 if all went well, 1 after a failure, 2 after a mistake in call, options or data or where the disk takes no
more, 130 after Ctrl-C.
"""


def parse_arguments(is_train: bool) -> tuple[argparse.Namespace, list[str]]:
    """Those of ours in ``sys.argv``, and the others, which are BasicSR's."""
    parser = command_parser(*(('train', _TRAIN) if is_train else ('test', _TEST)))
    parser.epilog = ("BasicSR's own, which work as they do there: --auto_resume, --debug, --launcher "
                     '{none,pytorch,slurm}.')
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file; docs/options.md lists its keys')
    parser.add_argument('--force_yml', nargs='+', metavar='KEY', help='change options for this run: section:key=VALUE '
                        "sets one (VALUE is YAML), and '~section:key' removes one, as if the file did not have it")
    parser.add_argument('--check', action='store_true', help='try options, data, checkpoints and one step, say what is '
                        'found, and leave nothing behind')
    return parser.parse_known_args()
