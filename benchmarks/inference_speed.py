"""Throughput of 4x RRDBNet: the product, whole and in tiles, against Real-ESRGAN's way, in one process, in turn.

    python benchmarks/inference_speed.py                     RRDBNet-23 on 512 x 512, on a GPU if there is one
    python benchmarks/inference_speed.py --reduced           RRDBNet-6 on 128 x 128, for CPUs
    python benchmarks/inference_speed.py --precision fp16    both sides in half precision (GPU)

Real-ESRGAN's way is the network contiguous in memory, in fp32 or wholly in half precision, on the whole photo. Printed
are output megapixels a second, and peak memory: of the GPU, or (--memory) of a process of its own that does nothing
else. With tiles, memory is bounded by the tile: --size changes the photo, and the peak of tiles hardly follows.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import mssr_inference  # noqa: F401  (shims before BasicSR's first import)

# isort: split
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from measuring import Meter, add_arguments, prepare, resident_peak, write

from mssr_inference.networks import load_upscaler
from mssr_inference.tiling import TileRunner, stream_rows
from mssr_inference.upscaler import PRECISIONS, Upscaler

BLOCKS, SIZE = {'published': 23, 'reduced': 6, 'tiny': 1}, {'published': 512, 'reduced': 128, 'tiny': 40}


def real_esrgan(net, photo, device, precision):
    """The whole photo through the contiguous network, ended on the CPU."""
    half = PRECISIONS[precision]
    net = net.to(device, half).eval()

    @torch.no_grad()
    def run(_):
        net(photo.to(device, half)).float().clamp(0, 1).cpu()

    return run


def product(upscaler, photo, tile):
    """As ``inference.py`` runs a photo: rows of tiles, ended on the CPU; tile 0: the whole photo."""
    height, width = photo.shape[-2:]
    plan = upscaler.plan(height, width, tile)

    def read(top, bottom, left, right):
        return photo[..., top:bottom, left:right]

    def run(_):
        for _row, tiles in stream_rows(TileRunner(upscaler, upscaler.scale, read, height, width, plan)):
            for _column, _pixels in tiles:
                pass

    return run


def make_sides(args, device):
    scale = 'tiny' if args.tiny else 'reduced' if args.reduced else 'published'
    torch.manual_seed(0)
    net = RRDBNet(3, 3, num_block=args.blocks or BLOCKS[scale])
    size = args.size or SIZE[scale]
    photo = torch.rand(1, 3, size, size)
    with tempfile.TemporaryDirectory() as folder:
        torch.save({'params': net.state_dict(), 'network': {
            'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': args.blocks or BLOCKS[scale]}},
            Path(folder) / 'net.pth')
        upscaler = Upscaler(load_upscaler(Path(folder) / 'net.pth'), device, args.precision)
    tile = args.tile or size // 2
    sides = {'Real-ESRGAN, whole': lambda: real_esrgan(net, photo, device, args.precision),
             'product, whole': lambda: product(upscaler, photo, 0),
             f'product, tiles of {tile}': lambda: product(upscaler, photo, tile)}
    return sides, size


def memory_of_process(side):
    kept = [argument for argument in sys.argv[1:] if argument != '--memory']
    command = [sys.executable, __file__, *kept, '--only', side]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_arguments(parser, iterations=10)
    parser.add_argument('--reduced', action='store_true', help='a smaller network and photo')
    parser.add_argument('--tiny', action='store_true', help='one block, to see that all runs')
    parser.add_argument('--size', type=int, help='side of the photo in pixels')
    parser.add_argument('--blocks', type=int, help='blocks of the network')
    parser.add_argument('--tile', type=int, help='side of the tiles in pixels (half the photo)')
    parser.add_argument('--precision', choices=PRECISIONS, default='fp32')
    parser.add_argument('--memory', action='store_true', help='on a CPU: peak memory, in processes of their own')
    parser.add_argument('--only', help='run one side once; prints peak bytes')
    args = parser.parse_args()
    device, header = prepare(args)
    sides, size = make_sides(args, device)
    if args.only:
        sides[args.only]()(0)
        print(resident_peak())
        return
    header = f'{header}; {args.precision}; photo of {size} x {size}'
    seconds, peaks, ratios = Meter(device, args.clock).in_turn([make() for make in sides.values()], args.warmup,
                                                               args.iterations)
    if args.memory and device.type == 'cpu':
        peaks = [memory_of_process(side) for side in sides]
    print(header)
    print(f'{"":24} {"Mpixel/s":>9} {"ratio":>7} {"peak GiB":>9}')
    rows = []
    for name, time, peak, ratio in zip(sides, seconds, peaks, ratios, strict=True):
        rows.append({'way': name, 'size': size, 'megapixels_per_second': 16 * size**2 / time / 1e6, 'ratio': ratio,
                     'peak_bytes': peak})
        print(f'{name:24} {rows[-1]["megapixels_per_second"]:9.3f} {ratio:6.2f}x '
              f'{f"{peak / 2**30:.2f}" if peak else "":>9}')
    write(args.json, header, rows)


if __name__ == '__main__':
    main()
