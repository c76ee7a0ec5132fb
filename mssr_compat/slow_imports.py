"""Imports of others that take seconds, for a function that hardly anybody calls: made where it is called."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from mssr_compat.import_hooks import Later

_DYNAMO, _STATISTICS = 'torch._dynamo.utils', 'scipy.stats'


def without_dynamo(execute: Callable[[], None]) -> None:
    """Execute ``torchvision.ops.roi_align`` without ``torch._dynamo``, of which it takes one function.

    It asks that whether RoI align on a GPU may be compiled. What compiles imports the package itself and, in PyTorch,
    so does the first optimizer.
    """
    with _stand_in(_DYNAMO, 'is_compile_supported', _import_dynamo):
        execute()


def with_roi_align(execute: Callable[[], None]) -> None:
    """Execute ``torch._dynamo.utils`` and give RoI align its function, before anything is compiled."""
    execute()
    roi_align = sys.modules.get('torchvision.ops.roi_align')
    if isinstance(getattr(roi_align, 'is_compile_supported', None), Later):
        roi_align.is_compile_supported = sys.modules[_DYNAMO].is_compile_supported


def without_statistics(execute: Callable[[], None]) -> None:
    """Execute ``basicsr.data.degradations`` without ``scipy.stats``, whose normal distribution one kernel needs."""
    with _stand_in(_STATISTICS, 'multivariate_normal', _import_statistics):
        execute()


@contextmanager
def _stand_in(name: str, needed: str, load: Callable[[], ModuleType]) -> Iterator[None]:
    """For what the block imports, a module that has one object without loading, unless it is loaded already.

    Whatever else is asked of it (by another version, or by what loads it in the block) has it loaded.
    """
    if name in sys.modules:
        yield
        return

    def other(attribute: str):
        if attribute.startswith('__'):  # asked by each import, and by whoever looks through all modules
            raise AttributeError(attribute)
        sys.modules.pop(name)
        return getattr(load(), attribute)

    sys.modules[name] = stand_in = ModuleType(name)
    vars(stand_in).update({needed: Later(lambda: getattr(load(), needed)), '__getattr__': other})
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


def _import_dynamo() -> ModuleType:
    import torch._dynamo.utils

    return torch._dynamo.utils


def _import_statistics() -> ModuleType:
    import scipy.stats

    return scipy.stats
