"""Lets BasicSR 1.4.2 build on Python 3.13 and newer; on PYTHONPATH for that one build, and never installed.

Its ``setup.py`` executes ``version.py`` inside a function and then reads ``locals()['__version__']``. Since Python 3.13
(PEP 667) a bare ``exec`` in a function writes to a copy of the locals, and the build ends with ``KeyError:
'__version__'``. Here a bare ``exec`` writes to the function's own locals, as it did before; the release is built
unchanged. Python imports a module of this name when it starts.
"""

import builtins
import sys

if sys.version_info >= (3, 13):
    plain = builtins.exec

    def exec_in_caller(source, globals=None, locals=None, /, **keywords):
        if globals is None and locals is None:
            frame = sys._getframe(1)
            globals, locals = frame.f_globals, frame.f_locals
        plain(source, globals, locals, **keywords)

    builtins.exec = exec_in_caller
