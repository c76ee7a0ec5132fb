"""What is registered with BasicSR, by us or by others, and sections made from the signatures of it."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, Union, get_origin

from basicsr import archs, data, losses, metrics, models
from basicsr.utils import registry
from pydantic import Field, create_model

import mssr_arch
import mssr_data
import mssr_loss
import mssr_metric
from mssr_options.fields import Natural, Section, Text, Whole
from mssr_options.parts import ListedNetwork

_REGISTERED = (archs, data, losses, metrics, models, mssr_arch, mssr_data, mssr_loss, mssr_metric)  # by importing them
_SUFFIX = '_basicsr'  # BasicSR marks those of its own that others replace
_REGISTRIES = {'network': registry.ARCH_REGISTRY, 'loss': registry.LOSS_REGISTRY, 'metric': registry.METRIC_REGISTRY,
               'data set': registry.DATASET_REGISTRY, 'model': registry.MODEL_REGISTRY}
_DEPTH = Annotated[int, Field(ge=1, le=1000)]  # bounded, because all of it is built when the options are checked
# Arguments of BasicSR's and our own networks, losses and metrics whose signatures do not tell what they take.
_ARGUMENTS = {
    'gan_type': Literal['vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge'],
    'reduction': Literal['none', 'mean', 'sum'],
    'criterion': Literal['l1', 'l2', 'fro'],
    'crop_border': Whole, 'layer_weights': dict, 'num_in_ch': Natural, 'num_out_ch': Natural, 'num_feat': Natural,
    'num_block': _DEPTH, 'num_group': _DEPTH, 'num_conv': _DEPTH, 'num_layer': _DEPTH,
}
_TYPES = {'int': int, 'float': float, 'bool': bool, 'str': Text, 'None': None, 'dict': dict, 'list': list,
          'tuple': list}
_HANDED = {'img', 'img2'}  # to a metric, by the caller


class Open(Section, extra='allow'):
    """The arguments of what takes any keyword."""


def find(kind: str, name: Any) -> Callable | None:
    """The class or function that is registered as a ``network``, ``loss``, ``metric``, ``data set`` or ``model``."""
    entries = _REGISTRIES[kind]._obj_map
    return (entries.get(name) or entries.get(name + _SUFFIX)) if isinstance(name, str) else None


def names(kind: str) -> list[str]:
    """All names of a kind, as an option file writes them."""
    return sorted({name.removesuffix(_SUFFIX) for name in _REGISTRIES[kind]._obj_map})


def is_own(target: Callable) -> bool:
    """Whether a class or function is BasicSR's or this project's."""
    return getattr(target, '__module__', '').startswith(('basicsr.', 'mssr_'))


@cache
def keywords(target: Callable) -> tuple[dict[str, inspect.Parameter], bool]:
    """Keyword arguments of a constructor or function that an option file gives.

    Returns:
        Parameters by name, and whether it takes others; BasicSR's and this project's use no ``**kwargs`` that they
        take. Where constructors hand it on, the parents' parameters are included.
    """
    found: dict[str, inspect.Parameter] = {}
    is_class = inspect.isclass(target)
    for function in [cls.__init__ for cls in target.__mro__ if '__init__' in vars(cls)] if is_class else [target]:
        try:
            parameters = list(inspect.signature(function).parameters.values())[is_class:]
        except (TypeError, ValueError):  # written in C
            return found, True
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if is_own(function) or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return found, False
    return found, True


@cache
def section_of(target: Callable, extra: type[Section] = Section) -> type[Section]:
    """The section that hands arguments to a registered class or function: a field for each keyword.

    Args:
        target: what is registered.
        extra: further keys of that section.
    """
    parameters, takes_others = keywords(target)
    fields = {'type': (Text, Field(alias='type'))}
    for i, parameter in enumerate(parameters.values()):
        if parameter.name not in _HANDED:
            default = ... if parameter.default is parameter.empty else parameter.default
            if not isinstance(default, (bool, int, float, str, list, tuple, type(...))):
                default = None
            fields[f'argument_{i}'] = (_annotation(parameter, is_own(target)), Field(default, alias=parameter.name))
    bases = (Open,) if extra is Section else (extra, Open)
    return create_model(target.__name__, __base__=bases if takes_others else extra, **fields)


def _annotation(parameter: inspect.Parameter, own: bool) -> Any:
    """The kind of value that a parameter takes, as far as its annotation, its default or (``own``) its name tells.

    A default of 1 stands for any number: code that means 0.1 there is common.
    """
    default, annotation, named = parameter.default, parameter.annotation, own and _ARGUMENTS.get(parameter.name)
    if own and parameter.name == 'branches':
        return Annotated[list[ListedNetwork], Field(min_length=1)]
    if named and default is None:
        return named | None
    if named and (default is parameter.empty or isinstance(default, str) == (get_origin(named) is Literal)):
        return named  # and not another thing of that name, such as the reduction of channel attention
    if annotation is not parameter.empty:
        text = getattr(annotation, '__name__', str(annotation)) if inspect.isclass(annotation) else str(annotation)
        parts = [part.strip().partition('[')[0] for part in text.split('|')]
        return Union[tuple(_TYPES[part] for part in parts)] if set(parts) <= set(_TYPES) else Any  # noqa: UP007
    for kind, taken in ((bool, bool), ((int, float), float), (str, Text | None), ((list, tuple), list | None)):
        if isinstance(default, kind):
            return taken
    return Any
