"""One training iteration on the real device, leaving nothing behind: the part of ``train.py --check`` that computes."""

import copy
import math
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import torch
from basicsr.data import build_dataset
from basicsr.models import build_model
from torch import nn
from torch.utils.data import default_collate

from mssr_options.quiet import quiet

_PATIENCE = 10.0  # seconds; after a slower step there is no second one
_FOLDERS = ('experiments_root', 'results_root', 'models', 'training_states', 'log', 'visualization')


class Trial(NamedTuple):
    """Seconds of an iteration with the whole batch, and samples in the training set."""

    seconds: float
    samples: int


def try_iteration(opt: dict, say: Callable[[str], None]) -> Trial | None:
    """Build the model as training does, and take two steps: the first, and one in which all terms count.

    On the CPU the batch is one sample, and a slow first step stays the only one, so that the trial of a large network
    does not take minutes.

    Args:
        opt: complete options, as BasicSR's ``parse_options`` gives them.
        say: takes a line of the report.

    Returns:
        Time and samples; on the CPU the time is that of one sample times the batch. None for options of a test, of
        which only the networks are built.

    Raises:
        UserError: options, data or checkpoints cannot be used.
        ValueError: a loss is not finite.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        opt = copy.deepcopy(opt)
        opt['root_path'] = folder
        opt['path'].update((key, folder) for key in _FOLDERS if key in opt['path'])
        train_opt = opt['datasets'].get('train')
        train_set = build_dataset(train_opt) if opt['is_train'] else None
        model = build_model(opt)
        on_gpu = model.device.type == 'cuda'
        for name, net in networks(model):
            say(f'  {name}: {type(net).__name__}, {sum(p.numel() for p in net.parameters()):,} parameters')

        if train_set is None:
            return None
        batch = train_opt['batch_size_per_gpu'] * max(opt['num_gpu'], 1) if on_gpu else 1
        data = default_collate([train_set[i % len(train_set)] for i in range(batch)])
        shapes = ', '.join(f'{key} {tuple(value.shape)}' for key, value in data.items() if torch.is_tensor(value))
        say(f'  a batch on {_device_name(model.device)}: {shapes}')
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(model.device)
        for iteration in (1, int(opt['train']['total_iter'])):
            start = time.perf_counter()
            model.feed_data(data)
            model.optimize_parameters(iteration)
            losses = {name: float(value) for name, value in model.get_current_log().items()}  # waits for the device
            seconds = time.perf_counter() - start
            say(
                f'  losses, iteration {iteration}: {", ".join(f"{name} {value:.4g}" for name, value in losses.items())}'
            )
            wrong = [name for name, value in losses.items() if not math.isfinite(value)]
            if wrong:
                raise ValueError(f'{wrong[0]} is {losses[wrong[0]]} in iteration {iteration}')
            if seconds > _PATIENCE:
                break
        if on_gpu:
            peak, total = torch.cuda.max_memory_allocated(model.device), torch.cuda.mem_get_info(model.device)[1]
            say(f'  peak GPU memory: {peak / 2**30:.2f} of {total / 2**30:.1f} GiB')
        else:
            with suppress(ImportError):  # Windows has no such module
                import resource

                unit = 1 if sys.platform == 'darwin' else 1024
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
                say(f'  peak memory of this process: {peak / 2**30:.2f} GiB')
        return Trial(seconds * (1 if on_gpu else train_opt['batch_size_per_gpu']), len(train_set))


def networks(model) -> list[tuple[str, nn.Module]]:
    """(name, network) of all that a model holds, branches of an ensemble and lists of networks included."""
    found = []
    for name, value in vars(model).items():
        if name.startswith('net_') and isinstance(value, nn.Module):
            net = model.get_bare_model(value)
            found.append((name, net))
            found += [(f'{name}.branches[{k}]', branch) for k, branch in enumerate(getattr(net, 'branches', ()))]
        elif isinstance(value, list | tuple) and value and all(isinstance(item, nn.Module) for item in value):
            found += [(f'{name}[{k}]', item) for k, item in enumerate(value)]
    return found


def _device_name(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device) if device.type == 'cuda' else f'the CPU ({torch.get_num_threads()} threads)'
    )
