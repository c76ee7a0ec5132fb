"""How long parts will take, judged by a few steps of each."""

import copy
import statistics
import tempfile
import time
from pathlib import Path

import torch
from _evidence_plan import Part
from basicsr.archs import build_network
from basicsr.data import build_dataset
from basicsr.models import build_model
from torch.utils.data import default_collate

import mssr_data  # noqa: F401  (each import registers its classes with BasicSR)
import mssr_loss  # noqa: F401
import mssr_model  # noqa: F401
from mssr_options.quiet import quiet

START = 12  # seconds that a process takes to start, to test and to end, roughly
STEPS = 3


def estimate(parts: list[Part], done: dict[str, int], abreast: int, threads: int) -> tuple[float, dict[str, float]]:
    """Seconds until all parts are done, and of each.

    Parts that differ by their seed alone are measured once. Neighbours that run side by side slow each other by more or
    less, which this cannot know.

    Args:
        parts: what is left.
        done: iterations of each that are behind it.
        abreast: parts that run at a time without sharing a core or a GPU.
        threads: CPU threads of each.

    Raises:
        UserError: data or options cannot be used.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    kinds, seconds = {}, {}
    try:
        for part in parts:
            kind = part.name.rpartition('_s')[0]
            if kind not in kinds:
                kinds[kind] = seconds_per_iteration(part)
            seconds[part.name] = START + kinds[kind] * (part.iterations - done[part.name])
    finally:
        torch.set_num_threads(before)
    return max(sum(seconds.values()) / abreast, max(seconds.values(), default=0.0)), seconds


def seconds_per_iteration(part: Part) -> float:
    """The median of a few steps on real data, with random generators; loading counts where no worker hides it."""
    opt = copy.deepcopy(part.opt)
    opt.update(is_train=True, dist=False, rank=0, world_size=1, auto_resume=False, path={}, val={})
    if opt['num_gpu'] == 'auto':
        opt['num_gpu'] = torch.cuda.device_count()
    with tempfile.TemporaryDirectory() as folder, quiet():
        for k, network in enumerate(opt.get('degradations', ())):
            if network.get('checkpoint') and not Path(network['checkpoint']).is_file():
                net = build_network({key: value for key, value in network.items() if key != 'checkpoint'})
                network['checkpoint'] = f'{folder}/{k}.pth'
                torch.save({'params': net.state_dict()}, network['checkpoint'])
        if opt['train'].get('lq_noise') == 'auto':
            opt['train']['lq_noise'] = [1, 1]  # takes as long, without a look at the photos first
        data = {**opt['datasets']['train'], 'phase': 'train', 'scale': opt['scale']}
        train_set, batch = build_dataset(data), data['batch_size_per_gpu']
        model, loading, steps = build_model(opt), [], []
        for i in range(STEPS + 1):
            start = time.perf_counter()
            samples = default_collate([train_set[(i * batch + n) % len(train_set)] for n in range(batch)])
            loaded = time.perf_counter()
            model.feed_data(samples)
            model.optimize_parameters(part.iterations)  # the last iteration: all terms count
            for value in model.get_current_log().values():
                float(value)  # waits for the device
            loading.append(loaded - start)
            steps.append(time.perf_counter() - loaded)
    load, step = (statistics.median(values[1:]) for values in (loading, steps))  # the first one warms up
    workers = data.get('num_worker_per_gpu', 0)
    return max(step, load / workers) if workers else step + load
