"""What glibc does with memory that tensors give back."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # malloc.h
_LARGEST = 32 * 2**20  # of the threshold, and where glibc's own adaptation ends


def keep_freed_memory(keep: bool = True) -> bool:
    """Let the process reuse the memory of freed tensors instead of handing it to the system and asking for it anew.

    By default glibc returns every block of 32 MiB or more at once. A training step asks for hundreds of them, and the
    system fills each with zeros, page by page: on CPUs that takes as long as the convolutions. Kept memory stays with
    the process until it ends.

    Args:
        keep: False goes back to what glibc does by default, once it has adapted to large blocks.

    Returns:
        Whether there is a glibc to tell.
    """
    if platform.libc_ver()[0] != 'glibc':
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    values = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0} if keep else {
        _TRIM_THRESHOLD: 2 * _LARGEST, _MMAP_MAX: 65536, _MMAP_THRESHOLD: _LARGEST}
    told = [tell(name, value) for name, value in values.items()]
    return all(told)
