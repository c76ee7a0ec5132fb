"""What pytorch_wavelets takes from ``pkg_resources``, which setuptools 82 removed."""

import sys
from collections.abc import Callable
from importlib.resources import files
from types import ModuleType


def load_pytorch_wavelets(execute: Callable[[], None]) -> None:
    """Execute pytorch_wavelets with a stand-in of the one function that it asks ``pkg_resources`` for.

    The stand-in is gone afterwards: whoever else asks gets the real package, or hears that there is none. Also where
    setuptools has ``pkg_resources`` still: its import takes long, and warns.
    """
    name = 'pkg_resources'
    before = {name: sys.modules[name]} if name in sys.modules else {}
    sys.modules[name] = stand_in = ModuleType(name)
    stand_in.resource_stream = lambda package, file: (files(package) / file).open('rb')
    try:
        execute()
    finally:
        del sys.modules[name]
        sys.modules.update(before)
