"""Photos that are degraded alike, such as those of one camera."""

import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.special import entr, logsumexp

from mssr_compat.errors import UserError
from mssr_compat.files import plain, write_whole
from mssr_diagnose.blur import PHOTOGRAPHS, Sharpness
from mssr_diagnose.photo import SMALLEST, Measured, measure_photo

FIGURES = ('blur', 'noise', 'jpeg')  # what photos are grouped by; see :attr:`PhotoGroups.centres`
FILE, VERSION = 'groups.json', 1
_UNITS = np.array([0.15, 0.25, 4])  # deviations among photos of a camera that is always set alike, about
_TRUSTED = 5  # photos whose deviation of one unit each group is taken to have had before: none collapses
_MOST = 5
_FEWEST = 5  # photos of a group
_STARTS, _STEPS = 5, 200
_LEAST_GAIN = 1e-5  # of the log likelihood of a photo, in a step that is not the last


@dataclass(frozen=True)
class PhotoGroups:
    """Groups of photos, each a normal distribution of what is measured; the largest group is the first."""

    #: (K, 3): blur, sigma in pixels; noise, log2(1 + 8-bit levels), what hides it behind JPEG where it is hidden; JPEG
    #: quality, 100 where there are no traces
    centres: np.ndarray
    spreads: np.ndarray  #: (K, 3), deviations
    shares: np.ndarray  #: (K,), of all photos
    counts: tuple[int, ...]  #: photos
    sharp: Sharpness = field(default=PHOTOGRAPHS)  #: what was not called blur

    def __len__(self) -> int:
        return len(self.counts)

    def group_of(self, photo: Measured) -> int | None:
        """The group (from 0) that a photo most likely belongs to; None: neither its blur nor its noise can be told.

        Args:
            photo: measured with :attr:`sharp`.
        """
        if photo.blur is None and photo.noise.level is None:
            return None
        return int(self.labels([photo])[0])

    def group_of_pixels(self, pixels: np.ndarray) -> int | None:
        """As :meth:`group_of`, of a photo (H, W, 3) RGB uint8; None also where it is smaller than 64 pixels a side."""
        if min(pixels.shape[:2]) < SMALLEST:
            return None
        return self.group_of(measure_photo(pixels, sharp=self.sharp))

    def labels(self, photos: list[Measured]) -> np.ndarray:
        """The likeliest group of each photo, (N,), from what can be told of it."""
        return _log_likelihoods(_places(photos), self.shares, self.centres, self.spreads**2).argmax(1)

    def save(self, path: str | Path) -> None:
        """Write the groups as JSON.

        Raises:
            OSError: the file cannot be written.
        """
        groups = [{'photos': count, 'share': share, **{name: {'centre': centre[k], 'spread': spread[k]}
                                                       for k, name in enumerate(FIGURES)}}
                  for count, share, centre, spread in zip(self.counts, self.shares, self.centres, self.spreads,
                                                          strict=True)]
        said = {'version': VERSION, 'sharp': {'slope': self.sharp.slope, 'rest': self.sharp.rest}, 'groups': groups}
        write_whole(path, json.dumps(plain(said), indent=1))

    @classmethod
    def load(cls, path: str | Path) -> 'PhotoGroups':
        """Read a file of :meth:`save`.

        Raises:
            UserError: it cannot be read, is of another version, or is damaged.
        """
        try:
            said = json.loads(Path(path).read_text(encoding='utf-8'))
            version = said['version']
            if version == VERSION:
                centres, spreads = (np.array([[float(group[name][part]) for name in FIGURES]
                                              for group in said['groups']]) for part in ('centre', 'spread'))
                shares = np.array([float(group['share']) for group in said['groups']])
                counts = tuple(int(group['photos']) for group in said['groups'])
                sharp = Sharpness(float(said['sharp']['slope']), float(said['sharp']['rest']))
        except OSError as error:
            raise UserError(f'{path} cannot be read ({error.strerror}); it is the groups.json that mssr diagnose '
                            'writes for photos of several groups.') from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{path} is no groups.json as mssr diagnose writes it, or is damaged.') from error
        if version != VERSION:
            raise UserError(f'{path} is of version {version}, but {VERSION} is read here; let mssr diagnose write it '
                            'anew.')
        positive = np.concatenate([spreads.ravel(), shares])
        if not counts or not np.isfinite([*centres.ravel(), *positive]).all() or min(positive) <= 0:
            raise UserError(f'{path} is damaged: each group needs finite centres, and spreads and a share above 0.')
        return cls(centres, spreads, shares, counts, sharp)


def group_photos(photos: list[Measured], sharp: Sharpness = PHOTOGRAPHS) -> tuple[PhotoGroups, np.ndarray]:
    """Find groups: as many as the integrated completed likelihood (Biernacki et al., 2000) of a mixture of normal
    distributions favours, with five photos each at least.

    That is the Bayesian information criterion, which weighs likelihood against number of parameters, less the
    uncertainty about which photo belongs where: what blends into each other stays one group. Groups may be wide or
    narrow, each in its own way, as cameras and measurements are. What cannot be told of a photo does not count.

    Args:
        photos: what was measured.
        sharp: what was not called blur.

    Returns:
        The groups, one at least, and the group of each photo, (N,), 0 for the largest.
    """
    points = _places(photos) / _UNITS
    best = _one(points)
    highest = _criterion(points, best)
    for count in range(2, min(_MOST, len(points) // _FEWEST) + 1):
        found = max((_mixture(points, count, seed) for seed in range(_STARTS)), key=lambda found: found[0])[1:]
        sizes = np.bincount(_log_likelihoods(points, *found).argmax(1), minlength=count)
        score = _criterion(points, found) if sizes.min() >= _FEWEST else -np.inf
        if score > highest:
            best, highest = found, score
    shares, means, variances = best
    labels = _log_likelihoods(points, *best).argmax(1)
    counts = np.bincount(labels, minlength=len(shares))
    order = np.argsort(-counts, kind='stable')
    groups = PhotoGroups(means[order] * _UNITS, variances[order] ** 0.5 * _UNITS, shares[order],
                         tuple(map(int, counts[order])), sharp)
    return groups, np.argsort(order)[labels]


def _places(photos: list[Measured]) -> np.ndarray:
    """(N, 3): FIGURES of each photo, nan where it cannot be told."""
    return np.array([(photo.blur.width if photo.blur else np.nan,
                      np.log2(1 + (photo.noise.floor if photo.noise.level is None else photo.noise.level)),
                      photo.jpeg.quality if photo.jpeg else 100) for photo in photos], float).reshape(-1, 3)


def _one(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _best_fit(points, np.ones((len(points), 1)))


def _mixture(points: np.ndarray, count: int, seed: int) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Expectation maximization from k-means: log likelihood, shares (K,), means and variances (K, 3)."""
    middle = _one(points)[1]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about a cluster without photos, which the caller refuses
        _, labels = kmeans2(np.where(np.isnan(points), middle, points), count, minit='++',
                            seed=np.random.default_rng(seed))
    belongs, last = np.eye(count)[labels], -np.inf
    for _ in range(_STEPS):
        found = _best_fit(points, belongs)
        logs = _log_likelihoods(points, *found)
        each = logsumexp(logs, axis=1)
        belongs, total = np.exp(logs - each[:, None]), float(each.sum())
        if total - last < _LEAST_GAIN * len(points):
            break
        last = total
    return total, *found


def _best_fit(points: np.ndarray, belongs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares (K,), means and variances (K, 3) for photos that belong to groups by ``belongs`` (N, K)."""
    told = ~np.isnan(points)
    values, number = np.where(told, points, 0), belongs.T @ told + 1e-9
    means = belongs.T @ values / number
    squares = belongs.T @ values**2 - number * means**2
    variances = (squares.clip(0) + _TRUSTED) / (number + _TRUSTED)
    return (belongs.sum(0) + 1e-9) / (len(points) + 1e-9 * belongs.shape[1]), means, variances


def _log_likelihoods(points: np.ndarray, shares: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """(N, K): of each photo with each group, times the group's share; what is not told counts for none."""
    deviations = (points[:, None] - means) ** 2 / variances + np.log(2 * np.pi * variances)
    return np.log(shares) - 0.5 * np.where(np.isnan(deviations), 0, deviations).sum(2)


def _criterion(points: np.ndarray, found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    logs = _log_likelihoods(points, *found)
    each = logsumexp(logs, axis=1)
    uncertain = entr(np.exp(logs - each[:, None])).sum()
    free = 2 * found[1].size + len(found[0]) - 1
    return float(each.sum() - free / 2 * np.log(len(points)) - uncertain)
