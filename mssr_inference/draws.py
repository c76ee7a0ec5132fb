"""Which pictures a set of draws consists of: names, keys, and the generator of each."""

import hashlib
import re
from bisect import bisect_right
from collections import Counter
from itertools import accumulate
from typing import NamedTuple

from mssr_compat.errors import UserError
from mssr_inference.noise_maps import keyed_number

_PLAIN = re.compile(r'[^A-Za-z0-9_-]')


class Draw(NamedTuple):
    """One LR photo to make."""

    name: str  #: of the files, without suffix: letters, digits, - and _ alone, as an LMDB key of BasicSR's must be
    photo: int  #: number of the HR photo
    number: int  #: of this draw among the photo's, from 0
    generator: int  #: number of the generator
    key: str  #: all that its noise depends on


def plan_draws(photos: list[str], seed: int, draws: int = 1, weights: list[float] | None = None) -> list[Draw]:
    """List the pictures to make.

    Args:
        photos: names below the input's root, with suffix and forward slashes.
        seed: seed of the set.
        draws: pictures of each photo.
        weights: how often each generator is chosen, in any unit; None: one generator. The choice is a function of
            seed, photo and draw, as all else.

    Raises:
        UserError: the weights are not positive.
    """
    weights = weights or [1.0]
    if min(weights) < 0 or not sum(weights) > 0:
        raise UserError(f'--weights are {weights}, but must be numbers from 0 up, not all 0.')
    bounds = list(accumulate(weights))
    result = []
    for photo, (name, path) in enumerate(zip(plain_names(photos), photos, strict=True)):
        for number in range(draws):
            key = f'{seed}/{_without_suffix(path)}/{number}'
            place = keyed_number(f'{key}/generator') / 2**63 * bounds[-1]
            generator = min(bisect_right(bounds, place), len(weights) - 1)
            result.append(Draw(name if draws == 1 else f'{name}_d{number}', photo, number, generator, key))
    return result


def plain_names(photos: list[str]) -> list[str]:
    """A different name for each photo, of characters that every trainer reads; a clash adds a hash of the path."""
    names = [_PLAIN.sub('_', _without_suffix(path)) for path in photos]
    count = Counter(names)
    return [name if count[name] == 1 else f'{name}_{hashlib.sha256(path.encode()).hexdigest()[:8]}'
            for name, path in zip(names, photos, strict=True)]


def _without_suffix(path: str) -> str:
    return path.rpartition('.')[0] if '.' in path.rpartition('/')[2] else path
