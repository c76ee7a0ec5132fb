"""How far the fine texture of some photos is from that of real ones, where no photo of one has a partner in the other.

What makes this hard is the scenes: of two sets of clean photos, one has more foliage and less sky, and differs in fine
texture more than a little noise or blur would make it differ. So patches are compared with patches of like coarse
structure: photographs look alike at all scales, degradations do not.
"""

import numpy as np
import torch
from torch import Tensor

from mssr_metric.photo_sets import Photos, haar_bands, halves, luma, windows

PATCH = 5  # side of a patch, in coefficients: ten pixels of the photo
SMALLEST = 2 * PATCH  # pixels a side that a photo needs
_PATCHES = 8192  # of each set
_GROUPS = 8  # of patches of like coarse structure, from flat to busy
_DIRECTIONS = 128
_SPLITS = 4
_NEIGHBOURS = 8  # a patch is matched with one so many ranks away at most, lest one patch is matched with all


class HaarReference:
    """Real photos that others are compared with; what depends on them alone is computed once.

    A patch is ``LH, HL, HH`` of all colours (the bands that the paper's discriminator sees) at 5 x 5 places. For every
    real patch one is taken from the other photos whose coarse structure is as strong: the deviation of ``LL`` there.
    Then both are compared by the sliced Wasserstein distance (Rabin et al., 2011; on patches as in Karras et al.,
    ICLR 2018), in eight groups from flat to busy. Patches are not standardised, for strength of noise and sharpness are
    what is asked for. In each group the distance is divided by that between halves of the real photos, which show
    different scenes as well, and the mean over the groups is the figure.

    Args:
        real: (3, H, W) photos, RGB in [0, 1]; any number and sizes from ten pixels a side (a single photo: twenty on
            one of them).

    Raises:
        UserError: a photo is too small.
    """

    def __init__(self, real: Photos) -> None:
        directions = np.random.default_rng(0).standard_normal((9 * PATCH**2, _DIRECTIONS), dtype=np.float32)
        self._directions = torch.from_numpy(directions / np.linalg.norm(directions, axis=0)).T.contiguous()
        self._real = _patches(real)
        pairs = [halves(real, seed) for seed in range(_SPLITS if len(real) > 2 else 1)]
        units = torch.stack([self._gaps(_patches(a), _patches(b)) for a, b in pairs]).mean(0)
        #: distance between halves of the real photos in each group, in units of the coefficients
        self.unit = units.clamp(min=1e-5)

    def distance(self, photos: Photos) -> float:
        """Of photos from the real ones; about 0 for the same ones, 1 for other real ones; lower is better."""
        return (self._gaps(_patches(photos), self._real) / self.unit).mean().item()

    def _gaps(self, a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
        """Sliced Wasserstein-1 distance in each group of ``b``'s patches, (_GROUPS,)."""
        (patches_a, strength_a), (patches_b, strength_b) = a, b
        order_a, order_b = strength_a.argsort(), strength_b.argsort()
        like = torch.searchsorted(strength_a[order_a], strength_b[order_b])
        jitter = np.random.default_rng(1).integers(-_NEIGHBOURS, _NEIGHBOURS + 1, len(like))
        like = order_a[(like + torch.from_numpy(jitter)).clamp(0, len(order_a) - 1)]
        found = []
        for one, other in zip(patches_a[like].chunk(_GROUPS), patches_b[order_b].chunk(_GROUPS), strict=True):
            # NumPy sorts rows of numbers many times faster than torch.
            one, other = (np.sort((self._directions @ some.T).numpy(), axis=1) for some in (one, other))
            found.append(float(np.abs(one - other).mean()))
        return torch.tensor(found)


def _patches(photos: Photos) -> tuple[Tensor, Tensor]:
    """Patches, as many of each photo, (_PATCHES, 9 * PATCH ** 2), and how strong their coarse structure is."""
    shares = np.diff(np.linspace(0, _PATCHES, len(photos) + 1).round().astype(int))
    found = []
    for k, (photo, share) in enumerate(zip(photos, shares, strict=True)):
        low, high = haar_bands(photo)
        found.append(windows(torch.cat([high.flatten(0, 1), luma(low)[None]]), PATCH, int(share), seed=k))
    found = torch.cat(found)
    return found[:, :9].flatten(1), found[:, 9].flatten(1).std(1)
