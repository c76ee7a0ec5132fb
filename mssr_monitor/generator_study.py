"""What a degradation generator does, in figures and pictures, on photos that stay the same throughout training."""

import torch
from torch import Tensor

from mssr_arch.imresize import bicubic_downsample
from mssr_data.photo_pool import read_photos
from mssr_degradation import LearnedDegradation
from mssr_metric.degradation_figures import SMALLEST, DegradationReference, Figures, diversity, effective_noise
from mssr_metric.photo_sets import as_8bit

HR_PHOTOS, REAL_PHOTOS = 32, 64
LR_SIDE = 64  # pixels a side of generated LR
REAL_SIDE = 192
DRAWS, DRAWN_PHOTOS = 4, 4  # several draws of some of the photos
SHOWN = 4


class GeneratorStudy:
    """Fixed HR photos and real LR photos; each :meth:`run` looks at a generator by them.

    The noise is drawn from a generator of its own with a fixed seed: figures of different iterations differ by the
    weights alone, and training's random numbers are not touched. All results are on the CPU.

    Args:
        train_set: the section ``datasets.train``, with ``dataroot_gt`` and ``dataroot_lq``.
        scale: HR size over LR size.

    Raises:
        UserError: photos are missing or too small.
    """

    def __init__(self, train_set: dict, scale: int) -> None:
        self.scale = scale
        self.real = read_photos(train_set, 'lq', REAL_PHOTOS, REAL_SIDE, SMALLEST)
        self.hr = read_photos(train_set, 'gt', HR_PHOTOS, LR_SIDE * scale, SMALLEST * scale, scale)
        self.bicubic = [as_8bit(bicubic_downsample(y[None], scale)[0]) for y in self.hr]
        self.reference = DegradationReference(self.real, self.bicubic)

    @torch.no_grad()
    def run(self, degradation: LearnedDegradation) -> tuple[Figures, dict[str, Tensor]]:
        """Look at a degradation at full strength, wherever it is; it is left in the mode in which it was.

        Returns:
            Figures, and pictures of the first photos, RGB in [0, 1]: ``hr`` (3, H, W), ``bicubic`` (3, h, w), ``draws``
            (D, 3, h, w); ``deviation`` (h, w) between them and ``injections`` (K, h, w), that with one injection's
            noise alone, both root mean square over the colours, in 8-bit levels; ``effect`` (K,), the whole
            photo's; ``effective_noise`` (K,); ``real`` and ``generated`` (n, 3, *, *); ``spectrum_real``,
            ``spectrum_bicubic``, ``spectrum_generated`` in dB; and what the generator says of itself
            (:meth:`mssr_arch.degradation_base.DegradationNetwork.describe`).
        """
        generator, random = degradation.generator, torch.Generator().manual_seed(0)
        was_training = generator.training
        generator.eval()
        try:
            generated = [self._draw(degradation, y, random) for y in self.hr]
            draws = [torch.stack([one] + [self._draw(degradation, y, random) for _ in range(DRAWS - 1)])
                     for y, one in zip(self.hr[:DRAWN_PHOTOS], generated, strict=False)]
            single = [torch.stack([self._draw(degradation, self.hr[0], random, only=k) for _ in range(DRAWS)])
                      for k in range(generator.num_noise)]
        finally:
            generator.train(was_training)
        noise = effective_noise(generator)
        figures = self.reference.measure(generated, draws, noise)
        pictures = {
            'hr': self.hr[0],
            'bicubic': self.bicubic[0],
            'draws': draws[0],
            'deviation': _deviation(draws[0]),
            'injections': torch.stack([_deviation(one) for one in single]) if single else torch.zeros(0, 1, 1),
            'effect': torch.tensor([diversity(one) for one in single]),
            'effective_noise': torch.tensor(noise),
            'real': _alike(self.real),
            'generated': _alike(generated),
            **generator.describe(),
            **{f'spectrum_{name}': spectrum for name, spectrum in self.reference.spectra.items()},
        }
        return figures, pictures

    @staticmethod
    def _draw(degradation, y, random, only=None):
        """One LR photo; with ``only``, of the noise maps that one alone, the others zero."""
        y = y[None].to(degradation.device)
        z = degradation.draw_noise(y, random)
        if only is not None:
            z = [n if k == only else torch.zeros_like(n) for k, n in enumerate(z)]
        return as_8bit(degradation.as_file(degradation.degrade(y, z), random)[0].float().cpu())


def _deviation(draws: Tensor) -> Tensor:
    """(D, 3, h, w) to the deviation between draws at each pixel, (h, w), in 8-bit levels."""
    return draws.var(0).mean(0).sqrt() * 255


def _alike(photos: list[Tensor]) -> Tensor:
    """The first photos, cut to the size of the smallest of them."""
    photos = photos[:SHOWN]
    height, width = (min(photo.shape[d] for photo in photos) for d in (1, 2))
    height, width = min(height, 2 * LR_SIDE), min(width, 2 * LR_SIDE)
    return torch.stack([photo[:, :height, :width] for photo in photos])
