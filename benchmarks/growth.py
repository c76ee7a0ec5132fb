"""How the time of a step grows: with the batch, the crop and the number of generators, drawn as charts.

    python benchmarks/growth.py --reduced                writes benchmarks/images/*.svg and growth.json
    python benchmarks/growth.py --out /tmp/growth        the paper's networks, for a GPU

Batch and crop: stage 1 with DeResnet, the published step and the product's. Generators: the product's stage 2 with as
many DeResnets as SR networks, at batch 1, whose collaborative term looks at every network on every generator's photos.
Each point has a process of its own, for the reason that step_speed.py gives.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import step_speed
from benchmarks.drawing import pyplot, write_chart
from benchmarks.measuring import prepare, write

BATCHES, CROPS, GENERATORS = (1, 2, 4, 8), (64, 128, 192, 256), (1, 2, 3, 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    step_speed.arguments(parser)
    parser.add_argument('--out', type=Path, default=ROOT / 'benchmarks' / 'images', help='folder')
    args = parser.parse_args()
    pyplot()  # what is missing is missed at once
    _, header = prepare(args)
    few = args.tiny
    small = 128 if args.reduced else 256

    def measured(name, **sizes):
        row = step_speed.measure_apart(name, args, **sizes)
        print({key: row[key] for key in ('setting', 'crop', 'batch', 'published', 'product')} | sizes, flush=True)
        return {**row, **sizes}

    by_batch = [measured('deresnet', size=32 if few else small, batch=n) for n in BATCHES[:2 if few else None]]
    by_crop = [measured('deresnet', size=n, batch=1) for n in CROPS[:2 if few else None]]
    by_number = [measured('stage2-b1', size=32 if few else 128, batch=1, generators=n)
                 for n in GENERATORS[:2 if few else None]]
    for file, rows, key, label in (('batch', by_batch, 'batch', 'photos in a batch'),
                                   ('crop', by_crop, 'crop', 'side of the HR crop (pixels)')):
        write_chart(args.out / f'{file}.svg', {side: [(row[key], row[side]) for row in rows]
                                               for side in ('published', 'product')},
                    label, 'stage 1: seconds an iteration', from_zero=True)
    write_chart(args.out / 'generators.svg', {'product': [(row['generators'], row['product']) for row in by_number]},
                'generators, and SR networks', 'stage 2: seconds an iteration', from_zero=True)
    write(args.out / 'growth.json', f'{header}; {step_speed.switches(args)}', [*by_batch, *by_crop, *by_number])


if __name__ == '__main__':
    main()
