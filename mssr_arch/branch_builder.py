"""Building the ensemble's branches from their options, with errors that name the branch and what would be right."""

import inspect
from collections.abc import Collection, Mapping
from copy import deepcopy
from difflib import get_close_matches

from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from mssr_arch.degradation_base import DegradationNetwork
from mssr_compat.errors import UserError


def build_branch(k: int, options: Mapping) -> nn.Module:
    """Build branch ``k`` from its options: ``type``, the network's keywords, and perhaps ``checkpoint``, left aside.

    Raises:
        UserError: An unknown network or keyword, a missing keyword, or a value that the network refuses.
    """
    where = f'network_g.branches[{k}]'
    if not isinstance(options, Mapping) or not isinstance(options.get('type'), str):
        raise UserError(f'{where} needs a "type", the name of a registered SR network such as RRDBNet.')
    name = options['type']
    # BasicSR registers a few of its own networks with this suffix, and finds them without it.
    registered = name if name in ARCH_REGISTRY else f'{name}_basicsr'
    if registered not in ARCH_REGISTRY:
        raise UserError(f'{where}.type is {name}, which is not a registered network; '
                        f'{_hint(name, ARCH_REGISTRY.keys())}.')
    arch = ARCH_REGISTRY.get(registered)
    if inspect.isclass(arch) and issubclass(arch, DegradationNetwork):
        raise UserError(f'{where}.type is {name}, a degradation network, but a branch must be an SR network.')

    keywords = deepcopy({key: value for key, value in options.items() if key not in ('type', 'checkpoint')})
    _check_keywords(f'{where} ({name})', inspect.signature(arch).parameters, keywords)
    try:
        return arch(**keywords)
    except Exception as error:  # the options alone decide whether a network can be built
        raise UserError(f'{where} ({name}) cannot be built with these options: {error!r}.') from error


def _check_keywords(where: str, parameters: Mapping[str, inspect.Parameter], keywords: Mapping) -> None:
    named = {key: parameter for key, parameter in parameters.items()
             if parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)}
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in keywords:
        if key not in named and not takes_any:
            raise UserError(f'{where} has no keyword {key}; {_hint(str(key), named)}.')
    missing = [key for key, p in named.items() if p.default is inspect.Parameter.empty and key not in keywords]
    if missing:
        raise UserError(f'{where} lacks {", ".join(missing)}.')


def _hint(word: str, known: Collection[str]) -> str:
    """The names nearest to ``word``, or all of them where none is near."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=3, cutoff=0.5)
    if near:
        return 'near names: ' + ', '.join(by_lower[name] for name in near)
    return 'there are ' + ', '.join(sorted(known))
