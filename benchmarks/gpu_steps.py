"""The parts ``steps`` and ``compiled`` of ``benchmarks/gpu.py``: a training step, published against the product's."""

import functools
import gc
import math
import statistics

import torch
from torch._dynamo.utils import counters

from benchmarks import step_speed
from benchmarks.measuring import Meter, use_tf32

GOALS = {'stage2-b1': 6.0, 'stage2-b16': 3.0, 'deresnet': 3.0, 'han': 3.0}  # times the published step in float32
ITERATIONS = {'gpu': (4, 12), 'toy': (1, 2)}  # untimed and timed; losses are compared over all of them
BF16 = {'amp': 'bf16', 'channels_last': True}
# name: TF32 or not, and the product's switches (None: the published step); the ones that matter most come first
REFERENCE = 'published, float32'
PLAIN = {
    'published, TF32': (True, None),
    'TF32, channels_last': (True, {'channels_last': True}),
    'bf16, channels_last': (True, BF16),
    'float32, channels_last': (False, {'channels_last': True}),
    'float32': (False, {'channels_last': False}),
    'bf16': (True, {'amp': 'bf16', 'channels_last': False}),
    f'{REFERENCE}, again': (False, None),
}
COMPILED = {
    'bf16, channels_last, CUDA graphs': (True, {**BF16, 'compile': 'reduce-overhead'}),
    'bf16, channels_last, compile': (True, {**BF16, 'compile': True}),
    'TF32, channels_last, CUDA graphs': (True, {'channels_last': True, 'compile': 'reduce-overhead'}),
}


def steps(args, rows):
    """The published step, and the product's with each set of switches, alone on the device, one after another."""
    for setting in [args.setting] if args.setting else GOALS:
        compare(args, rows, setting, PLAIN)


def compiled(args, rows):
    """The same for compiled networks, whose compilation takes minutes."""
    wanted = dict(COMPILED)
    if args.size == 'toy':  # what a CPU has to compile takes minutes, too
        torch.compile = functools.partial(torch.compile, backend='eager')
        wanted = dict([wanted.popitem()])
    compare(args, rows, args.setting, wanted)


def compare(args, rows, setting, configurations):
    """A row for each configuration; those of the published step too, where it is not measured for the ratio alone."""
    losses, published = None, {}  # the published step's: losses, and seconds by TF32
    for name, (tf32, switches) in {REFERENCE: (False, None), **configurations}.items():
        with rows.guarding(setting, name):
            found, curve = run(args, setting, tf32, switches)
            if switches is None:
                losses = curve if losses is None else losses
                published.setdefault(tf32, found['milliseconds'])
                if name == REFERENCE and configurations is not PLAIN:
                    continue
            notes = ['traced, not compiled' if args.size == 'toy' else 'compiled'] if found.get('graphs') else []
            if found.get('graphs') == 0 or found.get('frames_not_compiled'):
                notes = ['NOT COMPILED, or not wholly: see the log']
            for against, figure in ((False, 'times_published'), (True, 'times_published_tf32')):
                if against in published:
                    found[figure] = published[against] / found['milliseconds']
            if losses is not None and curve is not losses:
                found['losses_apart'], worst = farthest(curve, losses)
                notes += [f'losses differ most in {worst}'] * bool(found['losses_apart'])
            goal = GOALS[setting] if switches and False in published else None
            rows.tell(setting, name, goal, goal and found['times_published'] >= goal, '; '.join(notes), **found)


def run(args, setting, tf32, switches):
    """Figures of one configuration alone, and its losses, a dict for each iteration."""
    use_tf32(tf32)
    torch.backends.cudnn.benchmark = True  # as BasicSR sets it
    torch.compiler.reset()
    counters.clear()
    gc.collect()
    device, toy = torch.device(args.device), args.size == 'toy'
    if device.type == 'cuda':
        torch.cuda.empty_cache()
    option_file, (crop, batch), _ = step_speed.SETTINGS[setting]
    crop, batch = (32, min(batch, 2)) if toy else (crop, batch)
    opt = step_speed.options(option_file, device, step_speed.TINY if toy else {}, switches or {})
    make = step_speed.make_sides(opt, crop, batch, device, args.folder)['product' if switches else 'published']
    step, meter, curve, measured = make(), Meter(device), [], []
    warmup, timed = ITERATIONS[args.size]
    for i in range(warmup + timed):
        torch.manual_seed(i)
        measured.append(meter(lambda i=i: curve.append(step(i))))
        curve[-1] = {name: float(value) for name, value in curve[-1].items() if name.startswith('l_')}
    seconds = statistics.median(seconds for seconds, _ in measured[warmup:])
    found = {'milliseconds': 1e3 * seconds, 'images_per_second': batch / seconds, 'first_step_seconds': measured[0][0]}
    if device.type == 'cuda':
        found['peak_gib'] = max(peak for _, peak in measured) / 2**30
    if (switches or {}).get('compile'):
        frames = counters['frames']
        found |= {'graphs': counters['stats']['unique_graphs'], 'graph_breaks': sum(counters['graph_break'].values()),
                  'frames_not_compiled': frames['total'] - frames['ok'],
                  'cuda_graphs_skipped': counters['inductor']['cudagraph_skips']}
    return found, curve


def farthest(curve, reference):
    """The largest relative difference of any loss in any iteration, and which loss it was."""
    differences = [(abs(losses[name] / value - 1) if value else abs(losses[name]), name)
                   for losses, expected in zip(curve, reference, strict=True) for name, value in expected.items()]
    return next((found for found in differences if math.isnan(found[0])), max(differences))
