"""All figures of a degradation generator that need no aligned LR photo, over whole sets of photos."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mssr_arch.degradation_base import DegradationNetwork
from mssr_metric.haar_distance import HaarReference
from mssr_metric.noise_level import noise_level
from mssr_metric.photo_sets import LEVELS, Photos, halves
from mssr_metric.spectrum import WINDOW, radial_spectrum, spectrum_gap

SMALLEST = max(WINDOW, 20)  # pixels a side that a photo needs to be measured
BLOCK = 8  # pixels a side over which a colour is averaged

#: name: unit, direction and meaning, for logs, reports and documentation
FIGURES = {
    'haar_distance': ('', 'lower', 'distance of fine texture from real LR; 1: as near as real photos to each other'),
    'spectrum_distance': ('dB', 'lower', 'difference of radial power spectra from real LR'),
    'noise_level': ('levels', 'near real', 'noise on flat regions'),
    'noise_distance': ('levels', 'lower', 'difference of the noise on flat regions from real LR'),
    'color_shift': ('levels', 'lower', 'shift of the mean colour of all photos from that of bicubic LR'),
    'color_drift': ('levels', 'lower', 'distance of local colours from those of bicubic LR'),
    'diversity': ('levels', 'above 0', 'deviation of a pixel between draws'),
    'effective_noise': ('features', 'above 0', 'mean of |w| * std over channels and injections'),
    'bicubic_distance': ('levels', 'above 0', 'mean absolute difference from bicubic LR'),
}


@dataclass
class Figures:
    """Figures of a generator and, where that means something, of bicubic LR and between halves of the real photos."""

    generated: dict[str, float]
    bicubic: dict[str, float] = field(default_factory=dict)
    real: dict[str, float] = field(default_factory=dict)


class DegradationReference:
    """Real LR photos, and HR photos with their bicubic LR, which generated LR is measured against.

    What does not depend on the generator is measured once.

    Args:
        real: (3, h, w) real LR photos, RGB in [0, 1], rounded to 8 bits as all photos here; 32 pixels a side or more.
        bicubic: (3, h, w) bicubic LR of the HR photos that the generator will be given; likewise.

    Raises:
        UserError: a photo is too small.
    """

    def __init__(self, real: Photos, bicubic: Photos) -> None:
        self._haar = HaarReference(real)
        self.bicubic_photos = bicubic
        #: spectra in dB, for charts; see :func:`mssr_metric.spectrum.radial_spectrum`
        self.spectra = {'real': radial_spectrum(real), 'bicubic': radial_spectrum(bicubic)}
        self._real_noise = noise_level(real)
        one, other = halves(real, seed=0)
        halved = min(min(photo.shape[1:]) for photo in (*one, *other)) >= WINDOW
        self.real = {
            'haar_distance': 1.0,
            'spectrum_distance': spectrum_gap(radial_spectrum(one), radial_spectrum(other)) if halved else math.nan,
            'noise_level': self._real_noise,
        }
        self.bicubic = self._against_real(bicubic, self.spectra['bicubic'])

    def measure(self, generated: Photos, draws: list[Tensor] = (), noise: list[float] = ()) -> Figures:
        """All figures of a generator.

        Args:
            generated: (3, h, w) one draw for each HR photo, in the order of ``bicubic``.
            draws: (D, 3, h, w) several draws of some of them.
            noise: effective noise of each injection.

        Returns:
            Figures; nan where the generator made something that is no number, or where there are no draws.
        """
        if not all(photo.isfinite().all() for photo in generated):
            return Figures(dict.fromkeys(FIGURES, math.nan), self.bicubic, self.real)
        self.spectra['generated'] = radial_spectrum(generated)
        found = self._against_real(generated, self.spectra['generated'])
        found['color_shift'] = color_shift(generated, self.bicubic_photos)
        found['color_drift'] = color_drift(generated, self.bicubic_photos)
        spread = [diversity(some) ** 2 for some in draws]
        found['diversity'] = math.sqrt(sum(spread) / len(spread)) if spread else math.nan
        found['effective_noise'] = sum(noise) / len(noise) if len(noise) else 0.0
        found['bicubic_distance'] = mean_difference(generated, self.bicubic_photos)
        return Figures(found, self.bicubic, self.real)

    def _against_real(self, photos: Photos, spectrum: Tensor) -> dict[str, float]:
        level = noise_level(photos)
        return {
            'haar_distance': self._haar.distance(photos),
            'spectrum_distance': spectrum_gap(spectrum, self.spectra['real']),
            'noise_level': level,
            'noise_distance': abs(level - self._real_noise),
        }


def effective_noise(net: DegradationNetwork) -> list[float]:
    """How much each noise map of a degradation network weighs: of an injection ``|w| * std``, mean over its channels,
    in units of its features.

    An untrained generator has zeros; where they stay, its draws do not differ. A network without noise gives an empty
    list.
    """
    return net.effective_noise()


def color_shift(photos: Photos, others: Photos) -> float:
    """Euclidean distance of the mean colours of two sets, in 8-bit levels; each photo counts the same."""
    mean = [torch.stack([photo.mean((1, 2)) for photo in some]).mean(0) for some in (photos, others)]
    return (mean[0] - mean[1]).norm().item() * LEVELS


def color_drift(photos: Photos, others: Photos) -> float:
    """Mean Euclidean distance of the colours of aligned blocks of 8 x 8 pixels, in 8-bit levels.

    It also sees what leaves the mean colour of a photo alone: colours that fade, or that turn green in the dark and red
    in the light.
    """
    distances = [avg_pool2d(a - b, BLOCK).norm(dim=0).mean() for a, b in zip(photos, others, strict=True)]
    return torch.stack(distances).mean().item() * LEVELS


def mean_difference(photos: Photos, others: Photos) -> float:
    """Mean absolute difference of aligned photos, in 8-bit levels."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(photos, others, strict=True)]).mean().item() * LEVELS


def diversity(draws: Tensor) -> float:
    """Deviation between draws (D, 3, H, W) of each value, root mean square over all, in 8-bit levels."""
    return draws.var(0).mean().sqrt().item() * LEVELS
