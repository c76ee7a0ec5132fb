"""Losses of bf16 (or fp16) against float32 over some hundred iterations of both stages, drawn as charts.

    python benchmarks/precision_curves.py                 small networks, 300 iterations, benchmarks/images/*.svg
    python benchmarks/precision_curves.py --amp fp16 --device cuda

Both precisions start from the same weights and take the same batches and noise: random pictures with edges, clean for
HR, noisy for real LR. The generators of stage 2 are untrained: a DeResnet's LR is then nearly one gray, from which S_1
has nothing to learn, so that stage 2 is to be judged by S_2, on HAN's. Printed is the mean loss of the last fifth in
both, and how far apart they are.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch

from benchmarks import step_speed
from benchmarks.drawing import pyplot, write_chart
from benchmarks.measuring import add_arguments, prepare, write

NETWORKS = {'DeResnet': {'num_feat': 32, 'num_block': 3}, 'DegradationHAN': {
    'num_feat': 32, 'num_group': 2, 'num_block': 2}, 'RRDBNet': {'num_feat': 32, 'num_block': 2, 'num_grow_ch': 16}}
STAGES = {'stage1': ('deresnet', ('l_g_color', 'l_g_gan', 'l_d')), 'stage2': ('stage2-b1', ('l_sup_1', 'l_sup_2'))}


def batch(number, device, n=4, size=32):
    """HR crops of random rectangles, and noisy LR crops of other ones; the same for the same number."""
    generator = torch.Generator().manual_seed(number)
    coarse = torch.rand(2, n, 3, 8, 8, generator=generator).repeat_interleave(size // 8, -1).repeat_interleave(
        size // 8, -2)
    y, x = coarse[0], coarse[1, ..., ::4, ::4]
    x = (x + 0.05 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    return {'gt': y.to(device), 'lq': x.to(device)}


def curves(stage, amp, iterations, device):
    """Name of a loss to its value at each iteration."""
    setting, names = STAGES[stage]
    opt = step_speed.options(step_speed.SETTINGS[setting][0], device, NETWORKS, {'channels_last': True, 'amp': amp})
    for key in ('optim_g', 'optim_d'):
        if key in opt['train']:
            opt['train'][key]['lr'] = 2e-4
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = step_speed.make_model(opt, Path(folder))
    torch.manual_seed(1)
    found = {name: [] for name in names}
    for i in range(1, iterations + 1):
        model.feed_data(batch(i, device))
        model.optimize_parameters(i)
        for name in names:
            found[name].append(model.steps.losses[name].detach().float())
    return {name: torch.stack(values).tolist() for name, values in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_arguments(parser, iterations=300)
    parser.add_argument('--amp', choices=step_speed.PRECISIONS, default='bf16')
    parser.add_argument('--out', type=Path, default=ROOT / 'benchmarks' / 'images', help='folder')
    args = parser.parse_args()
    pyplot()  # what is missing is missed at once
    device, header = prepare(args)
    print(f'{header}; {args.iterations} iterations')
    print(f'{"mean loss of the last fifth":28} {"fp32":>10} {args.amp:>10} {"apart":>7}')
    rows, smooth = [], max(args.iterations // 30, 1)
    for stage in STAGES:
        both = {precision or 'fp32': curves(stage, precision, args.iterations, device)
                for precision in (None, args.amp)}
        for name in both['fp32']:
            last = {precision: sum(found[name][-(args.iterations // 5 or 1):]) / (args.iterations // 5 or 1)
                    for precision, found in both.items()}
            apart = last[args.amp] / last['fp32'] - 1
            rows.append({'stage': stage, 'loss': name, **last, 'apart': apart})
            print(f'{f"{stage} {name}":28} {last["fp32"]:10.5f} {last[args.amp]:10.5f} {apart:7.1%}')
            lines = {precision: [(k, sum(found[name][k:k + smooth]) / smooth)
                                 for k in range(0, args.iterations - smooth + 1, smooth)]
                     for precision, found in both.items()}
            write_chart(args.out / f'{args.amp}_{stage}_{name}.svg', lines, 'iteration', name)
    write(args.json, header, rows)


if __name__ == '__main__':
    main()
