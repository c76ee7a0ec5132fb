"""Several processes: start-up on any machine, and the few things that they must agree on."""

import os
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mssr_compat.errors import UserError

_LETTING_GO = 0.2  # seconds
_control = None  # a gloo group for small messages; None is the default group


def init_dist(launcher: str, backend: str = 'nccl', port: int | None = None, use_gpu: bool = True) -> None:
    """Join the other processes: BasicSR's, which knows GPUs only (it divides by their number), for any machine.

    Tensors go over NCCL on GPUs and over gloo on CPUs. Small messages always go over gloo: it notices a lost process
    at once, and needs no GPU.

    Args:
        launcher: ``pytorch`` (torchrun) or ``slurm`` (srun).
        backend: of the GPUs; CPUs have gloo.
        port: of the first process, for Slurm; by default ``MASTER_PORT`` of the environment, or 29500.
        use_gpu: whether the run uses GPUs, if there are any.

    Raises:
        UserError: the launcher did not start this process, or Slurm does not tell its nodes.
    """
    global _control
    if launcher == 'slurm':
        _slurm_environment(port)
    elif 'RANK' not in os.environ:
        raise UserError(f'--launcher {launcher}: this process was not started by torchrun; start it so: '
                        'torchrun --nproc_per_node=N --no-python mssr train -opt OPTIONS --launcher pytorch')
    use_gpu = use_gpu and torch.cuda.is_available()
    if use_gpu:
        if mp.get_start_method(allow_none=True) is None:
            mp.set_start_method('spawn')  # a fork beside NCCL's threads can hang
        local = int(os.environ.get('LOCAL_RANK', os.environ['RANK']))
        torch.cuda.set_device(local % torch.cuda.device_count())
    # After a restart by torchrun the store still holds the addresses of the processes before: keep them apart.
    store, rank, number = next(dist.rendezvous('env://'))
    store = dist.PrefixStore(f'attempt_{os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)}', store)
    dist.init_process_group(backend if use_gpu else 'gloo', store=store, rank=rank, world_size=number)
    _control = dist.new_group(backend='gloo') if use_gpu and backend != 'gloo' else None


def _slurm_environment(port: int | None) -> None:
    """What torchrun would have set, from what Slurm sets."""
    try:
        ranks = {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'}
        os.environ.update({name: os.environ[source] for name, source in ranks.items()})
        nodes = os.environ['SLURM_NODELIST']
    except KeyError as error:
        raise UserError(f'--launcher slurm: {error} is not set; start it so: '
                        'srun mssr train -opt OPTIONS --launcher slurm') from error
    if port is not None:
        os.environ['MASTER_PORT'] = str(port)
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        try:
            names = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True)
            os.environ['MASTER_ADDR'] = names.stdout.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError) as error:  # a container often has no scontrol
            raise UserError(f'--launcher slurm: scontrol does not tell the first of the nodes {nodes}; set MASTER_ADDR '
                            'to its name in the job script: export MASTER_ADDR=$(scontrol show hostnames '
                            '"$SLURM_NODELIST" | head -n 1)') from error


def join_others() -> None:
    """Join the processes that torchrun started beside this one, if any: for small messages, and for waiting alone."""
    if int(os.environ.get('WORLD_SIZE', 1)) > 1:
        dist.init_process_group('gloo', timeout=timedelta(days=7))  # however long the slowest one takes


def together(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in every process; where it fails by a user's mistake in one, all raise that, and none waits.

    Raises:
        UserError: the mistake of the first process that has one, with ``everywhere`` set.
    """
    result = mistake = None
    try:
        result = function(*arguments)
    except UserError as error:
        mistake = str(error)
    mistakes = [found for found in gathered(mistake) if found]
    if mistakes:
        error = UserError(mistakes[0])
        error.everywhere = True
        raise error
    return result


def leave_dist() -> None:
    """Part from the other processes at the regular end of a run.

    A thread of gloo may still hold the last message, and needs Python's lock to let go of it: ending the threads, with
    the lock held, would wait for ever, and one that asks for it while Python shuts down aborts the process. So they
    get some time without the lock before.
    """
    global _control
    if dist.is_initialized():
        time.sleep(_LETTING_GO)
        dist.destroy_process_group()
    _control = None


def world() -> tuple[int, int]:
    """(number of this process, number of processes); (0, 1) where there is one only."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def is_first() -> bool:
    """Whether this is process 0, or will be."""
    return world()[0] == 0 and (dist.is_initialized() or int(os.environ.get('RANK') or 0) == 0)


def is_restart() -> bool:
    """Whether torchrun (``--max_restarts``) or Slurm (requeueing) starts this run again after a failure."""
    return any(int(os.environ.get(name) or 0) > 0 for name in ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT'))


def highest(number: int) -> int:
    """The highest ``number`` of all processes, in all of them."""
    if world()[1] == 1:
        return number
    found = torch.tensor(number)
    dist.all_reduce(found, dist.ReduceOp.MAX, _control)
    return int(found)


def total(numbers: list[float]) -> list[float]:
    """The sums of ``numbers`` over all processes, in all of them."""
    return [sum(column) for column in zip(*gathered(numbers), strict=True)]


def gathered(value: Any) -> list[Any]:
    """The ``value`` of each process, by number, in all of them; any value that pickle takes."""
    if world()[1] == 1:
        return [value]
    values = [None] * world()[1]
    dist.all_gather_object(values, value, _control)
    return values


def from_first(value: Any) -> Any:
    """The ``value`` of process 0, in all of them."""
    return gathered(value)[0]
