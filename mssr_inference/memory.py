"""How much memory there is, how much a network needs, and how to tell that there was not enough."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

GIB = 2**30
CPU_CAP = GIB  # larger tiles are hardly faster there
OVERHEAD = 2.5  # tensors alive beside the largest layer's input and output, and the convolutions' own buffers


def budget(device: torch.device) -> int:
    """Bytes that tiles may take: most of a GPU's free memory; half of what the CPU has free, at most 1 GiB."""
    if device.type == 'cuda':
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0] * 0.8)
    return min(_free_on_cpu() // 2, CPU_CAP)


def _free_on_cpu() -> int:
    """Free memory in bytes, as far as the system, a container's limit and the process's own limit tell."""
    found = [4 * GIB]
    with suppress(OSError, ValueError, IndexError):
        lines = Path('/proc/meminfo').read_text().splitlines()
        found = [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable')]
    for limit, used in (('memory.max', 'memory.current'),
                        ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes')):
        with suppress(OSError, ValueError):
            folder = Path('/sys/fs/cgroup')
            found.append(int((folder / limit).read_text()) - int((folder / used).read_text()))
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            found.append(limit - int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGESIZE'))
    return max(min(found), 2**26)


@torch.inference_mode()
def bytes_per_pixel(function: Callable[[Tensor], Tensor], net: nn.Module, device: torch.device | str) -> int:
    """About how many bytes ``function``, which runs ``net``, needs for each pixel of (1, 3, H, W) inputs."""
    side = 32
    largest = 0

    def measure(module: nn.Module, inputs: tuple, output) -> None:
        nonlocal largest
        tensors = [t for t in (*inputs, output) if isinstance(t, Tensor)]
        largest = max(largest, sum(t.numel() * t.element_size() for t in tensors))

    layers = [module for module in net.modules() if not any(module.children())]
    hooks = [layer.register_forward_hook(measure) for layer in layers]
    try:
        output = function(torch.zeros(1, 3, side, side, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    largest = max(largest, 2 * output.numel() * output.element_size())
    return int(OVERHEAD * largest / side**2)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch or Python says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ('out of memory' in text or "can't allocate memory" in text
                                                or 'not enough memory' in text or 'could not create a memory' in text)
