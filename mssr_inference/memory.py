"""How much memory there is, and how to tell that there was not enough."""

import math
import os
import re
from contextlib import suppress
from pathlib import Path

import torch

GIB = 2**30
CPU_CAP = GIB  # larger tiles are hardly faster there


def tile_budget(device: torch.device) -> int:
    """Bytes that a tile may take: most of a GPU's free memory; half of what the CPU has free, at most 1 GiB.

    Processes that torchrun started beside this one share what the CPU has.
    """
    if device.type == 'cuda':
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0] * 0.8)
    return int(min(free_on_cpu() / 2 / int(os.environ.get('LOCAL_WORLD_SIZE', 1)), CPU_CAP))


def free_on_cpu() -> float:
    """Free memory in bytes, as far as the system, a container's limit and the process's own limit tell; else inf."""
    found = [math.inf]
    with suppress(OSError, ValueError, IndexError):
        lines = Path('/proc/meminfo').read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable')]
    for folder, limit, used in (('', 'memory.max', 'memory.current'),
                                ('memory', 'memory.limit_in_bytes', 'memory.usage_in_bytes')):
        with suppress(OSError, ValueError, IndexError):
            folder = Path('/sys/fs/cgroup', folder)
            files = re.findall(r'^(?:in)?active_file (\d+)$', (folder / 'memory.stat').read_text(), re.MULTILINE)
            used = int((folder / used).read_text()) - sum(map(int, files))  # pages of files are given back
            found.append(int((folder / limit).read_text()) - used)
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            found.append(limit - int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGESIZE'))
    return max(min(found), 2**26)


def in_words(num_bytes: float) -> str:
    """``3.2 GiB``, or MiB below one."""
    return f'{num_bytes / GIB:.1f} GiB' if num_bytes >= GIB else f'{num_bytes / 2**20:.0f} MiB'


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch or Python says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ('out of memory' in text or "can't allocate memory" in text
                                                or 'not enough memory' in text or 'could not create a memory' in text)
