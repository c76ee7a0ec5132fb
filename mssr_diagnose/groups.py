"""Photos that are degraded alike, such as those of one camera."""

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from mssr_diagnose.photo import Measured

_APART = 0.7  # silhouette, from which groups are apart; two halves of one even spread have 0.62
_MOST = 5
_FEWEST = 5  # photos of a group


def group_photos(photos: list[Measured]) -> np.ndarray:
    """The group of each photo, (N,), 0 for the largest; their number is that of the highest silhouette (Rousseeuw,
    1987), or 1 where none is clear."""
    points = np.array([_place(photo) for photo in photos])
    best, highest = np.zeros(len(points), int), _APART
    for count in range(2, min(_MOST, len(points) // _FEWEST) + 1):
        _, labels = kmeans2(points, count, minit='++', seed=np.random.default_rng(count))
        if np.bincount(labels, minlength=count).min() >= _FEWEST:
            score = _silhouette(points, labels, count)
            if score > highest:
                best, highest = labels, score
    order = np.argsort(-np.bincount(best))
    return np.argsort(order)[best]


def _place(photo: Measured) -> tuple[float, float, float]:
    """Blur, noise and JPEG, in units of about what photos of one camera differ by."""
    level = photo.noise.floor if photo.noise.level is None else photo.noise.level
    return ((photo.blur.width if photo.blur else 1.0) / 0.3, np.log2(1 + level) / 0.5,
            (photo.jpeg.quality if photo.jpeg else 100) / 8)


def _silhouette(points: np.ndarray, labels: np.ndarray, count: int) -> float:
    distances = cdist(points, points)
    sizes = np.bincount(labels, minlength=count)
    sums = np.stack([distances[:, labels == k].sum(1) for k in range(count)], 1)
    own = np.eye(count, dtype=bool)[labels]
    inner = sums[own] / (sizes[labels] - 1)
    outer = np.where(own, np.inf, sums / sizes).min(1)
    return float(((outer - inner) / np.maximum(np.maximum(inner, outer), 1e-9)).mean())
