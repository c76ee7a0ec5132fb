"""Throughput of 4x RRDBNet: the product, whole and in tiles, against Real-ESRGAN's way, in one process, in turn.

    python benchmarks/inference_speed.py                     RRDBNet-23 on 512 x 512, on a GPU if there is one
    python benchmarks/inference_speed.py --reduced           RRDBNet-6 on 128 x 128, for CPUs
    python benchmarks/inference_speed.py --precision fp16    both sides in half precision (GPU)

Real-ESRGAN's way is the network contiguous in memory, in fp32 or wholly in half precision, on the whole photo. Where
its package is installed (pip install --no-deps realesrgan), its own ``RealESRGANer`` takes part too, whole and in tiles
with a margin of 10 pixels, its default, which leaves seams; the product's tiles overlap by all that counts, unless told
otherwise. Printed are output megapixels a second, and peak memory: of the GPU, or (--memory) of a process of its own
that does nothing else. With tiles, memory is bounded by the tile and the result's bytes: --size changes the photo, and
the peak of tiles hardly follows.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mssr_inference  # noqa: F401  (shims before BasicSR's first import)

# isort: split
import numpy as np
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet

from benchmarks.measuring import Meter, add_arguments, peak_of_process, prepare, resident_peak, write
from mssr_inference.networks import load_upscaler
from mssr_inference.tiling import TileRunner
from mssr_inference.upscaler import PRECISIONS, Upscaler

MARGIN = 10  # pixels, Real-ESRGAN's default
BLOCKS, SIZE = {'published': 23, 'reduced': 6, 'tiny': 1}, {'published': 512, 'reduced': 128, 'tiny': 40}


def real_esrgan(net, photo, device, precision):
    """The whole photo through the contiguous network, ended on the CPU."""
    half = PRECISIONS[precision]
    net = net.to(device, half).eval()

    @torch.no_grad()
    def run(_):
        net(photo.to(device, half)).float().clamp(0, 1).cpu()

    return run


def real_esrgan_itself(file, net, photo, device, precision, tile):
    """The installed package, from a photo of bytes to a photo of bytes; tile 0: the whole photo."""
    from realesrgan import RealESRGANer

    upsampler = RealESRGANer(4, str(file), model=net, tile=tile, pre_pad=0, half=precision == 'fp16', device=device)
    image = (photo[0] * 255).byte().permute(1, 2, 0).numpy()

    def run(_):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints each tile
            upsampler.enhance(image)

    return run


def product(upscaler, photo, tile, overlap='auto'):
    """As ``inference.py`` runs a photo: tiles in one picture of bytes on the CPU; tile 0: the whole photo."""
    height, width = photo.shape[-2:]
    plan = upscaler.plan(height, width, tile, overlap)

    def read(top, bottom, left, right):
        return photo[..., top:bottom, left:right]

    def run(_):
        result = np.empty((height * upscaler.scale, width * upscaler.scale, 3), np.uint8)
        TileRunner(upscaler, upscaler.scale, read, height, width, plan).into(result)

    return run


def make_sides(args, device, folder):
    scale = 'tiny' if args.tiny else 'reduced' if args.reduced else 'published'
    torch.manual_seed(0)
    sizes = {'num_in_ch': 3, 'num_out_ch': 3, 'num_block': args.blocks or BLOCKS[scale]}
    net = RRDBNet(**sizes)
    size = args.size or SIZE[scale]
    photo = torch.rand(1, 3, size, size)
    torch.save({'params': net.state_dict(), 'network': {'type': 'RRDBNet', **sizes}}, folder / 'net.pth')
    upscaler = Upscaler(load_upscaler(folder / 'net.pth'), device, args.precision)
    tile = args.tile or size // 2
    sides = {"Real-ESRGAN's way, whole": lambda: real_esrgan(net, photo, device, args.precision),
             'product, whole': lambda: product(upscaler, photo, 0),
             f'product, tiles of {tile}': lambda: product(upscaler, photo, tile),
             f'product, the same, margin {MARGIN}': lambda: product(upscaler, photo, tile, MARGIN)}
    if importlib.util.find_spec('realesrgan') and args.precision != 'bf16':
        name = f'realesrgan {importlib.metadata.version("realesrgan")}'
        for kind, side in (('whole', 0), (f'tiles of {tile}', tile)):
            sides[f'{name}, {kind}'] = lambda side=side: real_esrgan_itself(
                folder / 'net.pth', RRDBNet(**sizes), photo, device, args.precision, side)
    return sides, size


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
    with tempfile.TemporaryDirectory() as folder:
        sides, size = make_sides(args, device, Path(folder))
        if args.only:
            sides[args.only]()(0)
            print(resident_peak())
            return
        ways = [make() for make in sides.values()]
    header = f'{header}; {args.precision}; photo of {size} x {size}'
    seconds, peaks, ratios = Meter(device, args.clock).in_turn(ways, args.warmup, args.iterations)
    if args.memory and device.type == 'cpu':
        peaks = [peak_of_process('--only', side) for side in sides]
    print(header)
    print(f'{"":28} {"Mpixel/s":>9} {"ratio":>7} {"peak GiB":>9}')
    rows = []
    for name, time, peak, ratio in zip(sides, seconds, peaks, ratios, strict=True):
        rows.append({'way': name, 'size': size, 'megapixels_per_second': 16 * size**2 / time / 1e6, 'ratio': ratio,
                     'peak_bytes': peak})
        print(f'{name:28} {rows[-1]["megapixels_per_second"]:9.3f} {ratio:6.2f}x '
              f'{f"{peak / 2**30:.2f}" if peak else "":>9}')
    write(args.json, header, rows)


if __name__ == '__main__':
    main()
