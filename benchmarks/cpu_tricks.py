"""What three ways to spare a CPU work are worth: the product's step without one, over the step as it is, in turn.

    python benchmarks/cpu_tricks.py --reduced --threads 1 --clock cpu
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/cpu_tricks.py --reduced --threads 1 --clock cpu

Printed are medians of ratios of neighbouring steps: 1.05 means that a step takes 5 % longer without. Biases apart and
early convolution are switched between the steps of one model; memory that is kept is measured in processes of their
own, in turn, since it stays with a process.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import step_speed
from benchmarks.measuring import Meter, prepare
from mssr_arch.early_convolution import EarlyConvolvingRRDBNet
from mssr_model.bias_apart import BiasApartConv2d

METHODS = {'bias_apart': (BiasApartConv2d, '_conv_forward'), 'early_convolution': (EarlyConvolvingRRDBNet, 'forward')}


def without(trick, step):
    """The step while a class has its base's method."""
    owner, name = METHODS[trick]
    method = vars(owner)[name]

    def run(i):
        delattr(owner, name)
        try:
            step(i)
        finally:
            setattr(owner, name, method)
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--setting', nargs='+', choices=step_speed.SETTINGS, default=list(step_speed.SETTINGS))
    parser.add_argument('--rounds', type=int, default=5, help='pairs of processes (5)')
    step_speed.arguments(parser)
    args = parser.parse_args()
    device, header = prepare(args)
    print(header)
    performance = step_speed.switches(args)
    for setting in args.setting:
        option_file, full, small = step_speed.SETTINGS[setting]
        crop, batch = (32, 1) if args.tiny else small if args.reduced else full
        crop, batch = args.crop or crop, args.batch or batch
        smaller = step_speed.TINY if args.tiny else step_speed.FEWER if args.reduced else {}
        opt = step_speed.options(option_file, device, smaller, performance)
        ratios = {}
        with tempfile.TemporaryDirectory() as folder:
            step = step_speed.make_sides(opt, crop, batch, device, Path(folder))['product']()
        for trick in METHODS if setting.startswith('stage2') else ('bias_apart',):
            _, _, found = Meter(device, args.clock).in_turn([without(trick, step), step], args.warmup, args.iterations)
            ratios[trick] = found[-1]
        times = [[step_speed.measure_apart(setting, argparse.Namespace(**vars(args) | {'return_memory': returned}),
                                           product_alone=True)['product'] for returned in (True, False)]
                 for _ in range(args.rounds)]
        if times:
            ratios['keep_memory'] = statistics.median(one / other for one, other in times)
        shown = ', '.join(f'{trick} {ratio:.3f}' for trick, ratio in ratios.items())
        print(f'{setting}, crop {crop}, batch {batch}: {shown}', flush=True)


if __name__ == '__main__':
    main()
