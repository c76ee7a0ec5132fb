"""What the benchmarks share: the machine in words, clocks, peaks, and running two sides in turn."""

import json
import platform
import statistics
import sys
import time
from pathlib import Path
from subprocess import run

import torch


def add_arguments(parser, iterations):
    """The arguments of every benchmark."""
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--iterations', type=int, default=iterations, help=f'timed, of each side ({iterations})')
    parser.add_argument('--warmup', type=int, default=2, help='untimed before them (2)')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--clock', choices=('wall', 'cpu'), default='wall',
                        help='cpu: processor time, for one thread on a machine that has other work')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there, too')


def prepare(args):
    """Apply the arguments; returns the device, and the machine and versions in one line."""
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    use_tf32(False)  # float32 means float32
    device = torch.device(args.device)
    if device.type == 'cuda':
        where = f'{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}'
    else:
        threads = torch.get_num_threads()
        clock = ', processor time' if args.clock == 'cpu' else ''
        where = f'{processor()}, {threads} thread{"s" if threads > 1 else ""}{clock}'
    return device, f'{where}; torch {torch.__version__}; Python {platform.python_version()}'


def use_tf32(wanted):
    """Whether float32 products and convolutions may round their factors to TF32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = wanted


def processor():
    """The CPU's name and its widest vectors."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((line.split(':')[1].strip() for line in lines if line.startswith('model name')), platform.machine())
    return f'{name} ({torch.backends.cpu.get_cpu_capability()})'


class Meter:
    """Seconds and, on a GPU, peak bytes of a call."""

    def __init__(self, device, clock='wall'):
        self.on_gpu = device.type == 'cuda'
        self.now = time.process_time if clock == 'cpu' else time.perf_counter

    def __call__(self, function, *args):
        if self.on_gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        start = self.now()
        function(*args)
        if self.on_gpu:
            torch.cuda.synchronize()
        return self.now() - start, torch.cuda.max_memory_allocated() if self.on_gpu else 0

    def in_turn(self, sides, warmup, iterations):
        """Each side's median seconds and largest peak, and the medians of the ratios of the first to each."""
        for i in range(warmup):
            for side in sides:
                side(i)
        rounds = [[self(side, i) for side in sides] for i in range(warmup, warmup + iterations)]
        seconds = [statistics.median(row[k][0] for row in rounds) for k in range(len(sides))]
        peaks = [max(row[k][1] for row in rounds) for k in range(len(sides))]
        return seconds, peaks, [statistics.median(row[0][0] / row[k][0] for row in rounds) for k in range(len(sides))]


def matrix_peak(device, dtype):
    """Measured FLOP/s of a large matrix product."""
    size = 8192
    a = torch.randn(size, size, device=device, dtype=dtype)
    for _ in range(3):
        a @ a
    seconds, _ = Meter(device)(lambda: [a @ a for _ in range(10)])
    return 10 * 2 * size**3 / seconds


def resident_peak():
    """The largest memory that this process has had, in bytes.

    Linux's ``ru_maxrss`` would be at least what the parent had when it started this process; VmHWM begins anew.
    """
    try:
        lines = Path('/proc/self/status').read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM')) * 1024
    except (OSError, StopIteration):
        import resource  # only Unix has it

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def peak_of_process(*arguments):
    """The last number that this programme prints, run anew with more arguments: its peak, in a process of its own."""
    kept = [argument for argument in sys.argv[1:] if argument != '--memory']
    command = [sys.executable, sys.argv[0], *kept, *arguments]
    return int(run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def write(path, header, rows):
    """The figures as JSON, if a path is given."""
    if path:
        path.write_text(json.dumps({'machine': header, 'rows': rows}, indent=1) + '\n')
