"""What pytorch_wavelets takes from ``pkg_resources``, which setuptools 82 removed."""

import sys
from importlib.resources import files
from types import ModuleType


def load_pytorch_wavelets() -> None:
    """Import pytorch_wavelets with a stand-in of the one function that it asks ``pkg_resources`` for. Idempotent.

    The stand-in is gone afterwards: whoever else asks gets the real package, or hears that there is none. Also where
    setuptools has ``pkg_resources`` still: its import takes long, and warns.
    """
    if 'pytorch_wavelets' in sys.modules:
        return
    name = 'pkg_resources'
    before = {name: sys.modules[name]} if name in sys.modules else {}
    sys.modules[name] = stand_in = ModuleType(name)
    stand_in.resource_stream = lambda package, file: (files(package) / file).open('rb')
    try:
        import pytorch_wavelets  # noqa: F401
    finally:
        del sys.modules[name]
        sys.modules.update(before)
