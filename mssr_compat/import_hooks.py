"""Shims at work when what they mend is imported, however late: a command that needs none of it starts without it."""

import sys
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec

Hook = Callable[[Callable[[], None]], None]  #: runs a module's code, which it is given, and mends what is round it


class ImportHooks:
    """A finder that has hooks run the code of the modules that they are for; all else of an import stays as it is.

    Args:
        hooks: for each module, by its full name.
    """

    def __init__(self, hooks: dict[str, Hook]):
        self.hooks = dict(hooks)

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        """What ``sys.meta_path`` asks for: the module as the other finders find it, with its hook."""
        if name not in self.hooks:
            return None
        later = sys.meta_path[sys.meta_path.index(self) + 1:]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in later)), None)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(self._execute, name, spec.loader.exec_module)
        return spec

    def _execute(self, name: str, execute: Callable, module) -> None:
        hook = self.hooks.pop(name, None)  # OpenCV imports itself in its own code
        if hook is None:
            execute(module)
            return
        try:
            hook(partial(execute, module))
        except BaseException:
            self.hooks[name] = hook
            raise


class Later:
    """Stands for an object that takes long to import, and is imported where it is used.

    Args:
        load: imports it.
    """

    def __init__(self, load: Callable):
        self._load = load

    def __call__(self, *args, **keywords):
        return self._load()(*args, **keywords)

    def __getattr__(self, name: str):
        return getattr(self._load(), name)
