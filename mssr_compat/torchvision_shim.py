"""Two repairs of torchvision that BasicSR 1.4.2 needs before it is imported."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

_LIBRARY = None  # keeps the fallback operator definitions alive


def load_torchvision(execute: Callable[[], None]) -> None:
    """Execute torchvision so that it, and BasicSR's imports from it, work."""
    try:
        execute()
    except RuntimeError as error:
        if 'torchvision::nms' not in str(error):
            raise
        _define_missing_operators()
        execute()
    alias_functional_tensor()


def _define_missing_operators() -> None:
    """Declare ``torchvision::nms`` and ``qnms`` where torchvision's compiled operators cannot load.

    torchvision's wheels on PyPI are CUDA builds: beside a CPU build of torch their operators do not load, and
    torchvision then fails on import because it registers shape functions for operators that do not exist.
    Nothing in this project calls them; only the schema must be there.
    """
    global _LIBRARY
    import torch

    for name in [name for name in sys.modules if name.startswith('torchvision.')]:  # half loaded
        del sys.modules[name]
    _LIBRARY = torch.library.Library('torchvision', 'DEF')
    _LIBRARY.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    _LIBRARY.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')


def alias_functional_tensor() -> None:
    """BasicSR imports ``rgb_to_grayscale`` from a module that torchvision 0.17 removed. Idempotent."""
    name = 'torchvision.transforms.functional_tensor'
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        from torchvision.transforms.functional import rgb_to_grayscale

        module = ModuleType(name)
        module.rgb_to_grayscale = rgb_to_grayscale
        sys.modules[name] = module
