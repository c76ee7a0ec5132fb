"""Means, deviations over seeds, and differences paired by image with their intervals."""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import stats

CONFIDENCE = 0.95

Figures = dict[str, list[float]]  # seed to the figure of each image; a row without seeds has the seed ''


@dataclass(frozen=True)
class Difference:
    """A mean difference, better minus worse, with its confidence interval."""

    mean: float
    low: float
    high: float
    images: int
    by_seed: tuple[float, ...] = ()  #: the mean of each seed

    @property
    def verdict(self) -> str:
        """``holds``: the interval and each seed are above zero; ``does not hold``: below; else ``not resolved``."""
        if self.low > 0 and min(self.by_seed, default=1) > 0:
            return 'holds'
        return 'does not hold' if self.high < 0 and max(self.by_seed, default=-1) < 0 else 'not resolved'

    def as_dict(self) -> dict:
        return {**asdict(self), 'verdict': self.verdict}


def over_seeds(figures: Figures) -> tuple[float, float]:
    """Mean over images and seeds, and the deviation between the seeds' means (nan for one seed)."""
    means = [float(np.mean(values)) for values in figures.values()]
    return float(np.mean(means)), float(np.std(means, ddof=1)) if len(means) > 1 else math.nan


def in_common(*rows: Figures) -> tuple[list[str], np.ndarray]:
    """The seeds that all rows have, and their figures (rows, seeds, images); a row without seeds has all of them."""
    seeds = [seed for seed in sorted(set().union(*rows)) if all(seed in row or '' in row for row in rows)]
    return seeds, np.array([[row.get(seed, row.get('')) for seed in seeds] for row in rows])


def paired(one: Figures, other: Figures, lower_is_better: bool = False) -> Difference | None:
    """``one`` minus ``other``, paired by image, seeds averaged first; Student's interval over the images.

    Seeds that only one of them has are left out, unless the other does not depend on a seed; None: they have none in
    common. With ``lower_is_better`` the sign is turned, so that above zero ``one`` is better.
    """
    seeds, values = in_common(one, other)
    if not seeds:
        return None
    differences = (values[1] - values[0]) if lower_is_better else (values[0] - values[1])
    return replace(interval(differences.mean(0)), by_seed=tuple(differences.mean(1).tolist()))


def interval(values: np.ndarray) -> Difference:
    """The mean of independent values and Student's interval; for a single value it is the whole line."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Difference(mean, -math.inf, math.inf, n)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return Difference(mean, mean - half, mean + half, n)


def gap_share(row: Figures, floor: Figures, oracle: Figures) -> dict | None:
    """The part of the gap from ``floor`` to ``oracle`` that a row closes, from mean figures, in PSNR.

    Its interval is that of a bootstrap over images (percentiles of 10,000 resamples, seed 0). Of the seeds, those count
    that all three have. None where the oracle is not better than the floor with an interval above zero: there is no gap
    to close a part of.
    """
    seeds, values = in_common(row, floor, oracle)
    if not seeds or interval((values[2] - values[1]).mean(0)).low <= 0:
        return None
    means = values.mean(1)  # of each image
    sample = np.random.default_rng(0).integers(means.shape[1], size=(10_000, means.shape[1]))
    drawn = means[:, sample].mean(-1)
    gaps = drawn[2] - drawn[1]
    shares = np.where(gaps > 0, (drawn[0] - drawn[1]) / np.where(gaps > 0, gaps, 1), np.nan)
    low, high = np.nanpercentile(shares, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    mean = means.mean(1)
    return {'share': float((mean[0] - mean[1]) / (mean[2] - mean[1])), 'low': float(low), 'high': float(high)}
