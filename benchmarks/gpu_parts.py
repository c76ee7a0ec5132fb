"""The parts of ``benchmarks/gpu.py``, each in a process of its own that this file starts.

    python benchmarks/gpu_parts.py PART [SETTING] --device cuda --size gpu --work FOLDER --rows FILE

Each row is written as it is known, as one line of JSON with the keys of :class:`Rows`.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import re
import signal
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'scripts')]

import mssr_compat.files  # noqa: F401  (shims before BasicSR's first import)

# isort: split
import torch

from benchmarks.gpu_golden import golden
from benchmarks.gpu_steps import GOALS, ITERATIONS, compiled, steps
from benchmarks.measuring import Meter, processor, use_tf32
from mssr_compat.files import plain


class Rows:
    """The rows of a part: ``case``, ``configuration``, ``figures``, ``goal``, ``reached``, ``note``, ``error``."""

    def __init__(self, file):
        self.file = file

    def tell(self, case, configuration='', goal=None, reached=None, note='', error=None, **figures):
        row = {'case': case, 'configuration': configuration, 'figures': figures, 'goal': goal, 'reached': reached,
               'note': note, 'error': error}
        self.file.write(json.dumps(plain(row, finite=True)) + '\n')
        self.file.flush()

    @contextlib.contextmanager
    def guarding(self, case, configuration=''):
        """What fails in the block is a row that says why; the next one has its turn."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            why = next(iter(str(error).strip().splitlines()), '')
            self.tell(case, configuration, error=f'{type(error).__name__}: {why}'[:300])


# --- machine --------------------------------------------------------------------------------------------------------


def machine(args, rows):
    """The card, versions and flags."""
    on_gpu = args.device == 'cuda'
    facts = {'GPU': 'none', 'GPU memory': 'none', 'compute capability': 'none', 'driver': 'none', 'NCCL': 'none',
             'processor': f'{processor()}, {os.cpu_count()} cores', 'system': platform.platform(),
             'Python': platform.python_version(), 'torch': torch.__version__, 'CUDA': torch.version.cuda or 'none',
             'cuDNN': torch.backends.cudnn.version() or 'none'}
    if on_gpu:
        card = torch.cuda.get_device_properties(0)
        facts |= {'GPU': card.name, 'GPU memory': f'{card.total_memory / 2**30:.1f} GiB',
                  'compute capability': f'{card.major}.{card.minor}',
                  'NCCL': '.'.join(map(str, torch.cuda.nccl.version()))}
        with rows.guarding('driver'):
            facts['driver'] = subprocess.run(['nvidia-smi', '--query-gpu=driver_version,clocks.max.sm,power.limit',
                                              '--format=csv,noheader', '--id=0'], check=True, capture_output=True,
                                             text=True, timeout=20).stdout.strip()
    flags = {name: os.environ[name] for name in sorted(os.environ)
             if name.startswith(('CUDA_', 'TORCH', 'PYTORCH_', 'NCCL_', 'OMP_'))}
    facts |= {'TF32 by default': f'convolutions {torch.backends.cudnn.allow_tf32}, products '
                                 f'{torch.backends.cuda.matmul.allow_tf32}',
              'environment': ' '.join(f'{name}={value}' for name, value in flags.items()) or 'no flags'}
    for name, fact in facts.items():
        rows.tell(name, note=str(fact))


# --- trainings ------------------------------------------------------------------------------------------------------


def train(args, rows, recipe, forced, launch=(), flags=()):
    """A recipe through the real trainer, in a process of its own: one row, or an error."""
    import make_demo_data

    from mssr_train.job import Job

    photos = args.folder / 'photos'
    make_demo_data.write_challenge(photos)
    total = 3 if args.size == 'toy' else 10 if launch else 100
    forced = [f'datasets:train:dataroot_gt={photos}/train-clean-images', f'train:total_iter={total}',
              f'datasets:train:dataroot_lq={photos}/train-noisy-images', f'logger:print_freq={max(1, total // 10)}',
              f'train:scheduler:decay_start={total // 2}', f'train:scheduler:total_iter={total}', *forced]
    forced += ['num_gpu=0'] * (args.device == 'cpu')
    if args.size == 'toy':
        forced += [f'datasets:train:gt_size={32 if recipe == "mssr" else 128}', 'datasets:train:batch_size_per_gpu=1']
    command = [sys.executable, *launch, '-m', 'mssr_train', str(args.folder), '-opt',
               str(ROOT / 'options' / 'recipes' / f'{recipe}.yml'), *flags, '--force_yml', *forced]
    job = Job(command, args.folder / f'{recipe}.log', torch.get_num_threads())
    status, seconds = job.process.wait(), job.seconds
    log = job.log.read_text(encoding='utf-8', errors='replace')
    print(log, flush=True)
    if status:
        raise RuntimeError(f'it ended with status {status}: {" | ".join(job.last_lines(2))}')
    losses, (iterations, _) = re.findall(r'\b(l_\w+): (\S+)', log), job.iteration()
    bad = [f'{name} {value}' for name, value in losses if not math.isfinite(float(value))]
    if bad or not losses or iterations != total:
        raise RuntimeError(f'{iterations} of {total} iterations, {len(losses)} losses, not finite: {bad[:3]}')
    note = 'the last losses: ' + ', '.join(f'{name} {value}' for name, value in dict(losses).items())
    if launch:
        library = re.search(r'NCCL version (\S+)', log)
        note = f'{f"NCCL {library[1]}" if library else "no word of NCCL" if args.device == "cuda" else "gloo"}; {note}'
    rows.tell(f'recipes/{recipe}.yml', f'{iterations} iterations', reached=True, note=note, seconds=seconds,
              finite_losses=len(losses))


def checkpoint(args, name):
    return args.folder / 'experiments' / f'recipe_degradation_{name}' / 'models' / 'net_g_latest.pth'


def recipes(args, rows):
    """Both generators, then two SR networks on what they draw, on the bundled photographs."""
    starts = [f'degradations:{k}:checkpoint={checkpoint(args, name)}' for k, name in enumerate(('deresnet', 'han'))]
    for recipe, forced in (('degradation_deresnet', []), ('degradation_han', []),
                           ('mssr', [*starts, 'train:collab_start_iter=0'])):
        with rows.guarding(f'recipes/{recipe}.yml'):
            train(args, rows, recipe, forced)


def nccl(args, rows):
    """Both stages under torchrun with one process: NCCL on a GPU, gloo on a CPU."""
    for name, value in {'NCCL_DEBUG': 'VERSION', 'GLOO_SOCKET_IFNAME': 'lo', 'NCCL_SOCKET_IFNAME': 'lo'}.items():
        os.environ.setdefault(name, value)  # a bare machine may not know its own name
    launch = ['-m', 'torch.distributed.run', '--nnodes=1', '--nproc_per_node=1', '--rdzv-backend=c10d',
              '--rdzv-endpoint=localhost:0']
    one = ['~degradations:1', f'degradations:0:checkpoint={checkpoint(args, "deresnet")}', 'train:collab_start_iter=0']
    for recipe, forced in (('degradation_deresnet', []), ('mssr', one))[:1 if args.size == 'toy' else 2]:
        with rows.guarding(f'recipes/{recipe}.yml'):
            train(args, rows, recipe, forced, launch, ['--launcher', 'pytorch'])


# --- inference ------------------------------------------------------------------------------------------------------


def inference(args, rows):
    """4x RRDBNet-23 on one photo: the product's ``Upscaler`` against spandrel's plain call, on the device."""
    from basicsr.archs.rrdbnet_arch import RRDBNet

    from benchmarks.inference_speed import product
    from mssr_inference.networks import load_upscaler
    from mssr_inference.upscaler import Upscaler

    device, toy = torch.device(args.device), args.size == 'toy'
    sizes = {'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 1 if toy else 23}
    torch.manual_seed(0)
    file, size = args.folder / 'net.pth', 32 if toy else 512
    torch.save({'params': RRDBNet(**sizes).state_dict(), 'network': {'type': 'RRDBNet', **sizes}}, file)
    photo = torch.rand(1, 3, size, size)
    torch.backends.cudnn.benchmark = True
    for name, tf32, precision in (('float32', False, 'fp32'), ('TF32', True, 'fp32'), ('bf16', True, 'bf16')):
        use_tf32(tf32)
        with rows.guarding(f'photo of {size} x {size}', name):
            upscaler, there = Upscaler(load_upscaler(file), device, precision), photo.to(device)
            sides = {'Upscaler': lambda i, up=upscaler, x=there: up(x),
                     'Upscaler, into bytes on the CPU': product(upscaler, photo, 0)}
            note = 'spandrel is not installed'
            with contextlib.suppress(ModuleNotFoundError):
                plain_call = spandrel_call(file, device, precision, there)
                sides = {"spandrel's plain call": plain_call, **sides}
                difference = float((plain_call(0).float().clamp(0, 1) - upscaler(there)).abs().max())
                note = f'outputs differ by up to {difference:.1e}'
            seconds, peaks, ratios = Meter(device).in_turn(sides.values(), *ITERATIONS[args.size])
            for way, time, peak, ratio in zip(sides, seconds, peaks, ratios, strict=True):
                goal = 2.0 if way == 'Upscaler' and len(sides) == 3 else None
                rows.tell(f'{name}, photo of {size} x {size}', way, goal, goal and ratio >= goal,
                          note if way == 'Upscaler' else '', megapixels_per_second=16 * size**2 / time / 1e6,
                          **({'times_spandrel': ratio} if len(sides) == 3 else {}),
                          **({'peak_gib': peak / 2**30} if peak else {}))


def spandrel_call(file, device, precision, photo):
    """As spandrel's users call a network, with its weights wholly in the precision."""
    from spandrel import ModelLoader

    from mssr_inference.upscaler import PRECISIONS

    model = ModelLoader(device).load_from_file(file).eval().to(PRECISIONS[precision])
    photo = photo.to(PRECISIONS[precision])

    @torch.inference_mode()
    def run(_):
        return model(photo)

    return run


PARTS = {function.__name__: function for function in (machine, golden, recipes, steps, compiled, nccl, inference)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('part', choices=PARTS)
    parser.add_argument('setting', nargs='?', choices=GOALS)
    parser.add_argument('--device', choices=('cuda', 'cpu'), required=True)
    parser.add_argument('--size', choices=ITERATIONS, required=True)
    parser.add_argument('--work', type=Path, required=True, help='folder for what it needs')
    parser.add_argument('--rows', type=Path, required=True, help='file that takes the rows')
    parser.add_argument('--limit', type=int, default=0, help='seconds after which it ends itself, come what may')
    args = parser.parse_args()
    if args.limit:
        signal.alarm(args.limit)
    args.folder = args.work / args.part  # settings share theirs, and the weights in it
    args.folder.mkdir(exist_ok=True)
    with open(args.rows, 'a', encoding='utf-8') as file:
        PARTS[args.part](args, Rows(file))


if __name__ == '__main__':
    main()
