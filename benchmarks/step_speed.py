"""Time of one training iteration: the published step against the product's, in one process, in turn.

    python benchmarks/step_speed.py                          the paper's settings, on the GPU if there is one
    python benchmarks/step_speed.py --reduced                smaller networks and batches, for CPUs
    python benchmarks/step_speed.py --amp bf16 --compile     with switches of `performance:`

Both sides start from the same weights and take the same batches; an iteration of one follows an iteration of the other,
so that a machine that slows down slows both. LPIPS is left out on both sides: its weights are a download. Printed are
medians. On a GPU the share of the matrix peak is the product's convolution work (counted) over its time, relative to a
large matrix product measured in the same process and precision.
"""

import argparse
import copy
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import torch
from basicsr.archs import build_network
from basicsr.models import build_model
from published_steps import PublishedStage1, PublishedStage2
from torch.utils.flop_counter import FlopCounterMode

import mssr_loss  # noqa: F401
import mssr_model  # noqa: F401
from mssr_arch.imresize import bicubic_downsample
from mssr_options.reader import read_options

# option file, HR crop, batch; and the same reduced
SETTINGS = {
    'deresnet': ('train_degradation_aim.yml', (256, 8), (128, 2)),
    'han': ('train_degradation_aim_han.yml', (256, 4), (128, 1)),
    'stage2-b1': ('train_mssr_aim.yml', (128, 1), (128, 1)),
    'stage2-b16': ('train_mssr_aim.yml', (128, 16), (128, 4)),
}


def options(option_file, device, reduced, performance):
    """The shipped options, without what has to be downloaded."""
    opt = read_options(ROOT / 'options' / option_file)
    opt.update(is_train=True, dist=False, rank=0, world_size=1, path={}, val={}, performance=performance)
    opt['num_gpu'] = 0 if device.type == 'cpu' else 1
    opt['train'].pop('perceptual_opt', None)
    networks = [opt['network_g'], *opt['network_g'].get('branches', []), *opt.get('degradations', [])]
    for network in networks:
        network.pop('checkpoint', None)
        if reduced and network['type'] == 'DegradationHAN':
            network.update(num_group=2, num_block=5)
        if reduced and network['type'] == 'RRDBNet':
            network.update(num_block=6)
    return opt


def make_stage2(opt, folder):
    """The model on generators with random weights, which BasicSR's way of building wants as files."""
    for k, network in enumerate(opt['degradations']):
        net = build_network(network)
        torch.save({'params': net.state_dict()}, folder / f'{k}.pth')
        network['checkpoint'] = str(folder / f'{k}.pth')
    model = build_model(opt)
    for branch in model.net_g.branches:
        branch.conv_last.bias.data.fill_(0.5)  # away from the clamp, whose gradient is zero
    return model


def contiguous(nets):
    """Copies as the published code has them."""
    nets = [copy.deepcopy(net) for net in nets]
    for net in nets:
        for p in net.parameters():
            p.data = p.data.contiguous()
    return nets


def sides(name, device, reduced, performance, folder):
    """Two callables that take an iteration's number: the published step and the product's; and the batch size."""
    option_file, full, small = SETTINGS[name]
    opt = options(option_file, device, reduced, performance)
    size, batch = small if reduced else full
    y, x = torch.rand(batch, 3, size, size, device=device), torch.rand(batch, 3, size // 4, size // 4, device=device)
    plain = {**opt, 'performance': {'channels_last': False, 'fused_adam': False}}
    if name.startswith('stage2'):
        published = make_stage2(copy.deepcopy(plain), folder)
        published = PublishedStage2(published.degradations, contiguous(published.net_g.branches))
        model = make_stage2(copy.deepcopy(opt), folder)
        first = 1000  # past the gate, so that all terms count

        def published_step(i):
            published.step(y, x, first + i)
    else:
        published = build_model(copy.deepcopy(plain))
        published = PublishedStage1(*contiguous([published.net_g, published.net_d]))
        model = build_model(copy.deepcopy(opt))
        y_down, first = bicubic_downsample(y, 4), 1

        def published_step(i):
            published.step(y, x, y_down)

    def product_step(i):
        model.feed_data({'gt': y, 'lq': x})
        model.optimize_parameters(first + i)

    return published_step, product_step, batch


def timed(step, i, device):
    """Seconds and peak bytes (GPU only) of one iteration."""
    if device.type == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    step(i)
    if device.type == 'cuda':
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return seconds, torch.cuda.max_memory_allocated() if device.type == 'cuda' else 0


def matrix_peak(device, dtype):
    """Measured FLOP/s of a large matrix product."""
    a = torch.randn(8192, 8192, device=device, dtype=dtype)
    for _ in range(3):
        a @ a
    seconds, _ = timed(lambda _: [a @ a for _ in range(10)], 0, device)
    return 10 * 2 * 8192**3 / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--setting', nargs='+', choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument('--reduced', action='store_true', help='smaller networks and batches')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--iterations', type=int, default=20, help='timed iterations of each side')
    parser.add_argument('--warmup', type=int, default=3)
    parser.add_argument('--amp', choices=('bf16', 'fp16'))
    parser.add_argument('--compile', nargs='?', const=True, default=False, metavar='MODE')
    parser.add_argument('--contiguous', action='store_true', help='the product without channels_last')
    parser.add_argument('--threads', type=int, help='CPU threads')
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = True
    performance = {'amp': args.amp, 'compile': args.compile, 'channels_last': not args.contiguous}

    where = torch.cuda.get_device_name() if device.type == 'cuda' else f'CPU, {torch.get_num_threads()} threads'
    print(f'{where}; torch {torch.__version__}; {performance}; {"reduced" if args.reduced else "published"} sizes')
    columns = ('setting', 'published', 'product', 'ratio', 'images/s', 'peak GiB', 'of peak')
    print('{:12} {:>12} {:>12} {:>7} {:>9} {:>15} {:>8}'.format(*columns))
    for name in args.setting:
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            published, product, batch = sides(name, device, args.reduced, performance, Path(folder))
        for i in range(args.warmup):
            published(i), product(i)
        pairs = []
        for i in range(args.warmup, args.warmup + args.iterations):
            pairs.append((timed(published, i, device), timed(product, i, device)))
        old, new = (statistics.median(pair[k][0] for pair in pairs) for k in (0, 1))
        ratio = statistics.median(pair[0][0] / pair[1][0] for pair in pairs)
        memory = share = ''
        if device.type == 'cuda':
            memory = ' / '.join(f'{max(pair[k][1] for pair in pairs) / 2**30:.2f}' for k in (0, 1))
            with FlopCounterMode(display=False) as counter:
                product(args.warmup + args.iterations)
            peak = matrix_peak(device, {'bf16': torch.bfloat16, 'fp16': torch.float16}.get(args.amp, torch.float32))
            share = f'{counter.get_total_flops() / new / peak:.0%}'
        times = f'{old * 1e3:9.1f} ms {new * 1e3:9.1f} ms {ratio:6.2f}x {batch / new:9.2f}'
        print(f'{name:12} {times} {memory:>15} {share:>8}', flush=True)


if __name__ == '__main__':
    main()
