"""Time of one training iteration: the published step against the product's, in one process, in turn.

    python benchmarks/step_speed.py                          the paper's settings, on the GPU if there is one
    python benchmarks/step_speed.py --reduced                smaller networks and batches, for CPUs
    python benchmarks/step_speed.py --amp bf16 --compile     with switches of `performance:`

Both sides start from the same weights and take the same batches; an iteration of one follows an iteration of the other,
so that a machine that slows down slows both. On a CPU each setting has a process of its own: memory that the product
kept in one would spare the published step of the next the page faults that it has by itself. LPIPS is left out on both
sides: its weights are a download. Printed are medians. On a CPU each side has its own allocator setting, and peak
memory (--memory) is that of a process of its own.
On a GPU the share of the matrix peak is the product's arithmetic (counted) over its time, relative to a large matrix
product measured in the same process and precision.
"""

import argparse
import copy
import multiprocessing
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mssr_loss  # noqa: F401  (shims before BasicSR's first import)
import mssr_model  # noqa: F401

# isort: split
import torch
from basicsr.archs import build_network
from basicsr.models import build_model
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import Meter, add_arguments, matrix_peak, peak_of_process, prepare, resident_peak, write
from benchmarks.published_steps import PublishedStage1, PublishedStage2
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.allocator import keep_freed_memory
from mssr_compat.files import replacing
from mssr_options.reader import read_options

# option file, HR crop and batch; and the same reduced
SETTINGS = {
    'deresnet': ('train_degradation_aim.yml', (256, 8), (256, 2)),
    'han': ('train_degradation_aim_han.yml', (256, 4), (256, 1)),
    'stage2-b1': ('train_mssr_aim.yml', (128, 1), (128, 1)),
    'stage2-b16': ('train_mssr_aim.yml', (128, 16), (128, 4)),
}
FEWER = {'DegradationHAN': {'num_group': 2, 'num_block': 5}, 'RRDBNet': {'num_block': 6}}
TINY = {'DegradationHAN': {'num_feat': 16, 'num_group': 1, 'num_block': 1}, 'DeResnet': {'num_feat': 8, 'num_block': 1},
        'RRDBNet': {'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4}}
LAYOUTS = {'auto': 'auto', 'channels_last': True, 'contiguous': False}
PRECISIONS = {'bf16': torch.bfloat16, 'fp16': torch.float16}


def options(option_file, device, smaller, performance, checkpoint=False):
    """The shipped options, without what has to be downloaded; ``smaller``: type to keywords of smaller networks."""
    opt = read_options(ROOT / 'options' / option_file)
    opt.update(is_train=True, dist=False, rank=0, world_size=1, path={}, val={}, performance=performance)
    opt['num_gpu'] = 0 if device.type == 'cpu' else 1
    opt['train'].pop('perceptual_opt', None)
    for network in [opt['network_g'], *opt['network_g'].get('branches', []), *opt.get('degradations', [])]:
        network.pop('checkpoint', None)
        network.update(smaller.get(network['type'], {}))
    if checkpoint and opt['network_g']['type'] in ('DegradationHAN', 'SREnsemble'):
        opt['network_g']['use_checkpoint'] = True
    return opt


def make_model(opt, folder):
    """The model; generators get the weights in ``folder``, random ones where there are none yet."""
    opt = copy.deepcopy(opt)
    for k, network in enumerate(opt.get('degradations', [])):
        file = folder / f'{k}.pth'
        if not file.is_file():
            torch.manual_seed(k)
            with replacing(file) as aside:
                torch.save({'params': build_network(network).state_dict()}, aside)
        network['checkpoint'] = str(file)
    torch.manual_seed(0)  # the same weights each time
    model = build_model(opt)
    for branch in getattr(model.net_g, 'branches', ()):
        if hasattr(branch, 'conv_last'):
            branch.conv_last.bias.data.fill_(0.5)  # away from the clamp, whose gradient is zero
    return model


def make_sides(opt, size, batch, device, folder):
    """What makes the published step and the product's: callables that take an iteration's number and return losses."""
    torch.manual_seed(0)
    y, x = torch.rand(batch, 3, size, size, device=device), torch.rand(batch, 3, size // 4, size // 4, device=device)
    plain = {**opt, 'performance': {'channels_last': False, 'fused_adam': False, 'keep_memory': False}}
    plain['network_g'] = {key: value for key, value in opt['network_g'].items() if key != 'use_checkpoint'}
    in_stage2 = 'degradations' in opt

    def make_published():
        model = make_model(plain, folder)
        if not in_stage2:
            rates = (opt['train']['optim_g'][key] for key in ('lr', 'noise_lr'))
            published, y_down = PublishedStage1(model.net_g, model.net_d, *rates), bicubic_downsample(y, 4)
            return lambda i: published.step(y, x, y_down)
        published = PublishedStage2([one.net for one in model.degradations], model.net_g.branches)
        return lambda i: published.step(y, x, 1000 + i)

    def make_product():
        model, first = make_model(opt, folder), 1001 if in_stage2 else 1  # past the gate, so that all terms count

        def step(i):
            model.feed_data({'gt': y, 'lq': x})
            model.optimize_parameters(first + i)
            return model.steps.losses

        return step

    keep = opt['performance'].get('keep_memory', True)
    return {'published': lambda: with_allocator(make_published(), False, device),
            'product': lambda: with_allocator(make_product(), keep, device)}


def with_allocator(step, keep, device):
    """On a CPU, each side has its own setting of the allocator."""
    def run(i):
        keep_freed_memory(keep)
        return step(i)
    return run if device.type == 'cpu' else step


def measure(name, args):
    """The figures of one setting, as a dict."""
    device, _ = prepare(args)
    performance = switches(args)
    option_file, full, small = SETTINGS[name]
    crop, number = (32, 1) if args.tiny else small if args.reduced else full
    crop, number = args.crop or crop, args.batch or number
    opt = options(option_file, device, TINY if args.tiny else FEWER if args.reduced else {}, performance,
                  args.checkpoint)
    opt['datasets']['train'] |= {'gt_size': crop, 'batch_size_per_gpu': number}  # what layouts are tried at
    with tempfile.TemporaryDirectory() as folder:
        sides = make_sides(opt, crop, number, device, Path(folder))
        if args.only:
            step = sides[args.only]()
            for i in range(2):
                step(i)
            return resident_peak()
        steps = [make() for make in sides.values()]
    (old, new), peaks, ratios = Meter(device, args.clock).in_turn(steps, args.warmup, args.iterations)
    row = {'setting': name, 'crop': crop, 'batch': number, 'published': old, 'product': new, 'ratio': ratios[-1],
           'images_per_second': number / new, 'peak_bytes': peaks if any(peaks) else None}
    if device.type == 'cuda':
        with FlopCounterMode(display=False) as counter:
            steps[-1](args.warmup + args.iterations)
        peak = matrix_peak(device, PRECISIONS.get(performance['amp'], torch.float32))
        row['share_of_matrix_peak'] = counter.get_total_flops() / new / peak
    elif args.memory:
        row['peak_bytes'] = [peak_of_process('--only', side, '--setting', name) for side in ('published', 'product')]
    return row


def switches(args):
    return {'amp': args.amp, 'compile': args.compile, 'channels_last': LAYOUTS[args.layout],
            'keep_memory': not args.return_memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--setting', nargs='+', choices=SETTINGS, default=list(SETTINGS))
    add_arguments(parser, iterations=20)
    parser.add_argument('--reduced', action='store_true', help='smaller networks and batches')
    parser.add_argument('--tiny', action='store_true', help='networks of a few layers, to see that all runs')
    parser.add_argument('--crop', type=int, help='HR crop in pixels')
    parser.add_argument('--batch', type=int)
    parser.add_argument('--amp', choices=PRECISIONS)
    parser.add_argument('--compile', nargs='?', const=True, default=False, metavar='MODE')
    parser.add_argument('--layout', choices=LAYOUTS, default='auto',
                        help='of the networks of the product (default: auto, chosen as in training)')
    parser.add_argument('--return-memory', action='store_true', help='the product without keep_memory')

    parser.add_argument('--checkpoint', action='store_true',
                        help="the product with network_g.use_checkpoint, where its network has it")
    parser.add_argument('--memory', action='store_true', help='on a CPU: peak memory, in processes of their own')
    parser.add_argument('--only', choices=('published', 'product'), help='a few steps of one side; prints peak bytes')

    args = parser.parse_args()
    device, header = prepare(args)
    performance = switches(args)
    if args.only:
        print(measure(args.setting[-1], args))
        return
    sizes = 'tiny' if args.tiny else 'reduced' if args.reduced else 'published'
    print(f'{header}; {performance}; {sizes} networks')
    columns = ('setting', 'crop', 'batch', 'published', 'product', 'ratio', 'images/s', 'peak GiB', 'of peak')
    print('{:12} {:>5} {:>5} {:>12} {:>12} {:>7} {:>9} {:>15} {:>8}'.format(*columns))
    rows = []
    for name in args.setting:
        if device.type == 'cpu' and len(args.setting) > 1:
            # Nothing has been computed here: a fork has neither kept memory nor threads of another setting.
            with multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn').Pool(1) as pool:
                row = pool.apply(measure, (name, args))
        else:
            row = measure(name, args)
        rows.append(row)
        memory = ' / '.join(f'{peak / 2**30:.2f}' for peak in row['peak_bytes'] or ())
        share = f'{row["share_of_matrix_peak"]:.0%}' if 'share_of_matrix_peak' in row else ''
        times = f'{row["published"] * 1e3:9.1f} ms {row["product"] * 1e3:9.1f} ms {row["ratio"]:6.2f}x'
        print(f'{name:12} {row["crop"]:5} {row["batch"]:5} {times} {row["images_per_second"]:9.2f} {memory:>15} '
              f'{share:>8}', flush=True)
    if sizes == 'published' and not (args.crop or args.batch):
        for row in rows:
            opt = read_options(ROOT / 'options' / SETTINGS[row['setting']][0])
            if row['batch'] == opt['datasets']['train']['batch_size_per_gpu']:
                print(whole_run(opt, row['product']))
    write(args.json, f'{header}; {performance}; {sizes} networks', rows)


def whole_run(opt, seconds):
    """How long a shipped option file would train at so many seconds a step, less data loading and validation."""
    iterations = opt['train']['total_iter']
    return f'{opt["name"]}: {iterations:,} iterations, about {iterations * seconds / 3600:,.1f} h, LPIPS not counted'


if __name__ == '__main__':
    main()
