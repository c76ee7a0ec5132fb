"""Where the knob stands, and how much of what was learned is added: chosen without pairs."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from mssr_adapt.ends import Weights, make_restorer
from mssr_adapt.starts import Start
from mssr_adapt.ways import Way, restoring
from mssr_arch.sharpening import gaussian_blur
from mssr_degradation import LearnedDegradation
from mssr_inference.restorer import Restorer
from mssr_metric.noise_level import noise_level
from mssr_metric.octaves import ContrastReference
from mssr_metric.photo_sets import LEVELS, Photos, as_8bit

SHARES = (0.15, 0.3, 0.5, 1.0)  # of what was learned, that are tried
SETTINGS = (0.5, 0.7, 0.8, 0.85, 0.9, 1.0)  # of the knob
STRENGTH = 0.5  # of the learned degradation that results are degraded by again
UNSEEN = 0.5  # 8-bit levels, of noise or of misfit more, that nobody sees
NOISE_SIGMA = 1.0  # LR pixels: a blur in which the photo's noise goes down, which the result should not have


class Figures(NamedTuple):
    """What can be measured of restored photos without ground truth."""

    cycle: float  #: 8-bit levels: mean difference of the result, degraded again, from the photo, both a little blurred
    detail: float  #: octaves of power beyond that of clean photos of like contrast, in the finest three octaves
    noise: float  #: 8-bit levels, on flat regions


class Tried(NamedTuple):
    """A share of what was learned and a setting of the knob, and what they give."""

    share: float
    setting: float
    figures: Figures
    allowed: float  #: noise that is no fault: that of clean photos or of the end of fidelity, and what nobody sees

    @property
    def cost(self) -> float:
        """8-bit levels: misfit, and noise beyond what is allowed."""
        return self.figures.cycle + max(self.figures.noise - self.allowed, 0)


class Judge:
    """Measures restored photos on real LR photos.

    Args:
        photos: (3, h, w) real LR photos, RGB in [0, 1].
        degradation: learned from such photos.
        clean: (3, H, W) clean photos.
    """

    def __init__(self, photos: Photos, degradation: LearnedDegradation, clean: Photos) -> None:
        self.photos, self.degradation, self.reference = photos, degradation, ContrastReference(clean)
        self.clean_noise = noise_level(clean)

    @torch.no_grad()
    def measure(self, restore: Way) -> Figures:
        """Figures of what makes HR photos (1, 3, s * h, s * w) of LR photos (1, 3, h, w)."""
        results = [restore(photo[None]).clamp(0, 1) for photo in self.photos]
        files = [as_8bit(result[0]) for result in results]
        return Figures(
            sum(self._cycle(y, x) for y, x in zip(results, self.photos, strict=True)) / len(results),
            float(self.reference.excess(files).mean()), noise_level(files))

    def _cycle(self, y: Tensor, x: Tensor) -> float:
        z = self.degradation.draw_noise(y, torch.Generator().manual_seed(0))
        again = self.degradation.degrade(y, z, STRENGTH, torch.zeros(1, 1, 1, 1))
        return gaussian_blur(again - x[None], NOISE_SIGMA).abs().mean().item() * LEVELS


def choose(start: Start, F: Weights, B: Weights | None, judge: Judge, progress: Callable[[int, int], None]
           ) -> tuple[Restorer, Tried, list[Tried]]:
    """Try shares and settings on real LR photos, and take what fits them well and keeps little of their noise.

    Weights between two networks, or beyond, distort contrast more or less; where they do least, the result, degraded
    again, is nearest to its photo. Noise that a network keeps, or sharpens, fits the photo, too, and is therefore
    counted as well, beyond that of clean photos or of the end of fidelity. What is near that end fits better still, and
    blurs: it is not among what is tried. Of what fits as well as the best, but for what nobody sees, the smallest
    share is taken, with the setting nearest to fidelity: more of what was learned sharpens more than it restores.

    Args:
        start: the start.
        F: its weights after training on draws.
        B: after training on bicubic LR; None where the start is one of fidelity.
        judge: what measures.
        progress: called with the number of trials done and of all.

    Returns:
        The restorer, what was chosen, and all that was tried.
    """
    tried = []
    plain = judge.measure(restoring(make_restorer(start, F, B, 1.0, 0.0)))
    allowed, pairs = max(plain.noise, judge.clean_noise) + UNSEEN, list(product(SHARES, SETTINGS))
    for k, (share, setting) in enumerate(pairs):
        restorer = make_restorer(start, F, B, share, setting)
        tried.append(Tried(share, setting, judge.measure(restoring(restorer)), allowed))
        progress(k + 1, len(pairs))
    chosen = fitting_well(tried)
    return make_restorer(start, F, B, chosen.share, chosen.setting), chosen, tried


def fitting_well(tried: list[Tried]) -> Tried:
    """Of those whose cost is that of the best, but for what nobody sees, the one nearest to the start of fidelity."""
    least = min(one.cost for one in tried)
    return min((one for one in tried if one.cost <= least + UNSEEN), key=lambda one: (one.share, one.setting))
