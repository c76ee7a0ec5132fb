"""Time of one training iteration of a single RRDBNet, which the peers train too, in one process, in turn.

    python benchmarks/peer_speed.py                      RRDBNet-23, crop 256, batch 12, on the GPU if there is one
    python benchmarks/peer_speed.py --reduced            RRDBNet-6, crop 128, batch 2, for CPUs
    python benchmarks/peer_speed.py --amp bf16 --compile the peers' switches, too

Each side learns by an L1 loss from the same LR and HR photos, with averaged weights; loading and degradation are not
timed. BasicSR: its ``SRModel`` as installed, whose step RealESRNet of Real-ESRGAN inherits. Peers: what the sources of
traiNNer-redux (traiNNer/models/sr_model.py at 001f5a3) and neosr (neosr/models/image.py at 06fa14d) do in a step,
written anew, since neither can be installed beside BasicSR: gradients clipped to a norm of 1, PyTorch's averaged model,
one value read from the device; with --amp autocast, ``channels_last`` and a gradient scaler. Product: the step of
``LearnedDegradationSRModel`` with options/train_learned_degradation.yml.
"""

import argparse
import copy
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import step_speed

# isort: split
import torch
from basicsr.models.sr_model import SRModel
from torch.nn.functional import l1_loss
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.measuring import Meter, prepare, write

PUBLISHED, REDUCED, TINY = (256, 12), (128, 2), (32, 1)  # HR crop and batch


class PeerStep:
    """The common part of the peers' steps."""

    def __init__(self, net, optimizer, decay, device, amp, compile_mode):
        self.device, self.amp = device, amp
        self.layout = torch.channels_last if amp else torch.preserve_format
        self.net = net.to(device, memory_format=self.layout)
        self.averaged = AveragedModel(self.net, device, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.averaged.n_averaged = self.averaged.n_averaged.cpu()
        self.optimizer = torch.optim.Adam(self.net.parameters(), **optimizer)
        self.scaler = torch.amp.GradScaler('cuda', enabled=bool(amp) and device.type == 'cuda')
        if compile_mode:
            self.net.compile(mode=compile_mode if isinstance(compile_mode, str) else None)

    def step(self, x, y):
        with torch.autocast(self.device.type, step_speed.PRECISIONS.get(self.amp), enabled=bool(self.amp)):
            loss = l1_loss(self.net(x.to(memory_format=self.layout)), y.to(memory_format=self.layout))
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.averaged.update_parameters(self.net)
        return loss.item()


def make_sides(args, device, performance, folder):
    """Name to a callable that takes an iteration's number."""
    smaller = step_speed.TINY if args.tiny else step_speed.FEWER if args.reduced else {}
    opt = step_speed.options('train_learned_degradation.yml', device, smaller, performance)
    size, batch = TINY if args.tiny else REDUCED if args.reduced else PUBLISHED
    size, batch = args.crop or size, args.batch or batch
    torch.manual_seed(0)
    y, x = torch.rand(batch, 3, size, size, device=device), torch.rand(batch, 3, size // 4, size // 4, device=device)
    product, basicsr = step_speed.make_model(opt, folder), SRModel(copy.deepcopy(opt))
    basicsr.net_g.load_state_dict(product.net_g.state_dict())
    optimizer = {key: value for key, value in opt['train']['optim_g'].items() if key != 'type'}
    peer = PeerStep(copy.deepcopy(basicsr.net_g), optimizer, opt['train']['ema_decay'], device, args.amp,
                    args.compile)
    layout = torch.channels_last if performance['channels_last'] else torch.contiguous_format

    def step_basicsr(i):
        basicsr.feed_data({'lq': x, 'gt': y})
        basicsr.optimize_parameters(i + 1)

    def step_product(i):
        product.lq, product.gt = (photos.contiguous(memory_format=layout) for photos in (x, y))
        product.optimize_parameters(i + 1)

    sides = {'BasicSR, Real-ESRGAN': (step_basicsr, False), "the peers' switches": (lambda i: peer.step(x, y), False),
             'product': (step_product, performance['keep_memory'])}
    return {name: step_speed.with_allocator(*side, device) for name, side in sides.items()}, size, batch


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    step_speed.size_arguments(parser)
    args = parser.parse_args()
    device, header = prepare(args)
    performance = step_speed.switches(args)
    with tempfile.TemporaryDirectory() as folder:
        sides, size, batch = make_sides(args, device, performance, Path(folder))
    seconds, peaks, ratios = Meter(device, args.clock).in_turn(list(sides.values()), args.warmup, args.iterations)
    header = f'{header}; {performance}; crop {size}, batch {batch}'
    print(header)
    rows = []
    for name, time, peak, ratio in zip(sides, seconds, peaks, ratios, strict=True):
        rows.append({'way': name, 'crop': size, 'batch': batch, 'seconds': time, 'ratio': ratio, 'peak_bytes': peak})
        print(f'{name:22} {time * 1e3:9.1f} ms {ratio:6.2f}x {batch / time:8.2f} images/s')
    write(args.json, header, rows)


if __name__ == '__main__':
    main()
