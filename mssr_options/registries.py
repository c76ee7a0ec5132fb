"""What is registered with BasicSR, by us or by others, and which keywords it takes."""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Callable
from functools import cache

from basicsr.utils import registry as basicsr_registries

_SUFFIX = '_basicsr'  # BasicSR marks those of its own that others replace
_IMPORTS = ('basicsr.archs', 'basicsr.data', 'basicsr.losses', 'basicsr.metrics', 'basicsr.models',
            'mssr_arch', 'mssr_data', 'mssr_loss', 'mssr_metric', 'mssr_model')


class Catalogue:
    """One of BasicSR's registries, asked without its prints and exceptions.

    Args:
        kind: ``network``, ``dataset``, ``loss``, ``metric`` or ``model``.
    """

    def __init__(self, kind: str):
        for name in _IMPORTS:
            importlib.import_module(name)
        self.kind = kind
        attribute = f'{"arch" if kind == "network" else kind}_registry'.upper()
        self.entries: dict[str, Callable] = getattr(basicsr_registries, attribute)._obj_map

    def get(self, name) -> Callable | None:
        """The class or function of that name, or None."""
        return (self.entries.get(name) or self.entries.get(name + _SUFFIX)) if isinstance(name, str) else None

    def names(self) -> list[str]:
        """All names, as an option file writes them."""
        return sorted({name.removesuffix(_SUFFIX) for name in self.entries})


@cache
def catalogue(kind: str) -> Catalogue:
    """The catalogue of a kind, made once; see :class:`Catalogue`."""
    return Catalogue(kind)


@cache
def keywords(target: Callable, skip: int = 0) -> tuple[dict[str, inspect.Parameter], bool]:
    """Keyword arguments of a constructor or function.

    Args:
        target: a class or a function.
        skip: leading positional parameters that are not options (an optimizer's ``params``).

    Returns:
        Parameters by name, and whether it really takes others: ``**kwargs`` counts only if the code uses it. Where
        constructors hand it on, the parents' parameters are included.
    """
    found: dict[str, inspect.Parameter] = {}
    functions = [target]
    if inspect.isclass(target):
        functions = [cls.__init__ for cls in target.__mro__ if '__init__' in vars(cls)]
    for function in functions:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # written in C
            return found, True
        if inspect.isclass(target):
            parameters = parameters[1:]
        for parameter in parameters[skip:]:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        rest = [p.name for p in parameters if p.kind is p.VAR_KEYWORD]
        if not rest or not _uses(function, rest[0]):
            return found, False
    return found, True


def _uses(function: Callable, name: str) -> bool:
    """Whether the code of a function reads the variable ``name``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return True
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


@cache
def keys_in_source(cls: type) -> frozenset[str]:
    """Option keys that the body of one class reads: ``opt['key']``, ``train_opt.get('key')``, ``'key' in self.opt``.

    This is how models and data sets of other plugins are checked without a table of theirs.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return frozenset()
    keys = set()
    for node in ast.walk(tree):
        holder = key = None
        if isinstance(node, ast.Subscript):
            holder, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in ('get', 'pop', 'setdefault'):
                holder, key = node.func.value, node.args[0]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            holder, key = node.comparators[0], node.left
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and 'opt' in ast.unparse(holder):
            keys.add(key.value)
    return frozenset(keys)


def listed_and_extra(cls: type, table: dict[str, tuple]) -> tuple[str | None, frozenset[str]]:
    """The nearest class of ``cls`` and its parents that a table lists, and the keys of the unlisted ones before it."""
    extra: set[str] = set()
    for parent in cls.__mro__:
        if parent.__name__ in table:
            return parent.__name__, frozenset(extra)
        if parent is not object:
            extra |= keys_in_source(parent)
    return None, frozenset(extra)
