"""A learned degradation on the validation photos, which no stage saw: beside their real LR, and beside the truth.

A degradation is anything that takes HR photos (N, 3, H, W), RGB in [0, 1], and draws LR photos of 8-bit values.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.evidence.known_degradation import KnownDegradation
from benchmarks.evidence.world import SCALE, World, middle, read_tensor
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.checkpoint import load_into, read_weights
from mssr_metric.degradation_figures import diversity
from mssr_metric.noise_level import noise_level
from mssr_metric.photo_sets import as_8bit, haar_bands
from mssr_metric.spectrum import radial_spectrum, spectrum_gap

BANDS = 6  #: of equal width up to half a cycle in an LR pixel
DRAWS = 8  # of each photo
SIDE = 64  # LR pixels of the middle of each photo

#: figure: unit and meaning
TRUTH_FIGURES = {
    'noise_level': ('levels', 'noise on flat regions'),
    'spectrum_distance': ('dB', 'difference of the radial power spectrum from the truth'),
    'mean_difference': ('levels', 'difference between the mean of many draws and that of many true photos, root mean '
                        'square, by halves, so that noise does not enter: colour and blur'),
    'detail': ('', 'contrast of fine detail in the mean of the draws; the truth is 1, more is sharper'),
    'diversity': ('levels', 'deviation of a pixel between draws'),
}


@torch.no_grad()
def compare_with_pairs(degrade: Callable[[Tensor], Tensor], world: World) -> dict[str, dict[str, list]]:
    """``transfer`` and ``residual`` of one draw of each validation photo, and of its real LR."""
    hr = [read_tensor(path)[None] for path, _ in world.pairs.values()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        photos = {'generated': [degrade(y)[0] for y in hr], 'real': [read_tensor(lq) for _, lq in world.pairs.values()]}
    bicubics = [bicubic_downsample(y, SCALE)[0] for y in hr]
    return {name: dict(zip(('transfer', 'residual'), transfer(lqs, bicubics), strict=True))
            for name, lqs in photos.items()}


def transfer(lqs: list[Tensor], bicubics: list[Tensor]) -> tuple[list[float], list[float]]:
    """The filter nearest to what was done to bicubic LR, and what it leaves unexplained, band by band.

    Cross spectrum over power spectrum, both summed over photos, colours and directions, with a Hann window.

    Args:
        lqs: LR photos (3, h, w).
        bicubics: bicubic LR photos of the same scenes, of the same sizes.

    Returns:
        The gain in each band (1: as sharp as bicubic LR), and the power of the rest (noise, texture, JPEG, shifts)
        over that of the bicubic LR.
    """
    cross, before, after = torch.zeros(3, BANDS, dtype=torch.float64)
    for lq, bicubic in zip(lqs, bicubics, strict=True):
        side = min(lq.shape[-2:])
        window = torch.hann_window(side, dtype=torch.float64)
        pair = torch.stack([lq[..., :side, :side], bicubic[..., :side, :side]]).double()
        a, b = torch.fft.fft2((pair - pair.mean((-2, -1), keepdim=True)) * window[:, None] * window)
        frequency = torch.fft.fftfreq(side, dtype=torch.float64)
        band = (torch.hypot(frequency[:, None], frequency) * 2 * BANDS).long()
        for k in range(BANDS):
            inside = band == k
            cross[k] += (a * b.conj()).real[:, inside].sum()
            before[k] += b.abs().square()[:, inside].sum()
            after[k] += a.abs().square()[:, inside].sum()
    gain = cross / before
    return gain.tolist(), (after / before - gain.square()).clamp(min=0).tolist()


@torch.no_grad()
def compare_with_truth(degrade: Callable[[Tensor], Tensor], world: World) -> dict[str, dict[str, float]]:
    """Figures (see :data:`TRUTH_FIGURES`) of a degradation, of bicubic LR, and of other draws of the truth.

    The photos are the middles of the validation photos. The figures of the truth are what a perfect generator would
    get with as few draws.

    Raises:
        UserError: a photo is under 32 LR pixels a side.
    """
    photos = [middle(hr, SIDE * SCALE)[None] for hr, _ in world.pairs.values()]
    camera = KnownDegradation(SCALE)
    load_into(camera, read_weights(world.camera), world.camera)

    def draws(degrade):
        """(D, 3, h, w) of each photo."""
        return [torch.cat([degrade(y) for _ in range(DRAWS)]) for y in photos]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        judges = [draws(camera), draws(camera)]
        columns = {'truth': draws(camera), 'generated': draws(degrade)}
    columns['bicubic'] = [as_8bit(bicubic_downsample(y, SCALE)).expand(DRAWS, -1, -1, -1) for y in photos]
    return {name: _figures(columns[name], *judges) for name in ('generated', 'bicubic', 'truth')}


def _figures(draws: list[Tensor], truth: list[Tensor], other: list[Tensor]) -> dict[str, float]:
    """Of draws of each photo, judged by two independent sets of the truth's."""
    photos, true_photos = ([draw for some in of_each for draw in some] for of_each in (draws, truth))
    squares = above = below = 0.0
    for some, one, two in zip(draws, truth, other, strict=True):
        half, rest = some.chunk(2)
        squares += ((half.mean(0) - one.mean(0)) * (rest.mean(0) - two.mean(0))).mean().item()
        ours, theirs, judge = (haar_bands(mean)[1] for mean in (some.mean(0), one.mean(0), two.mean(0)))
        above, below = above + (ours * judge).sum().item(), below + (theirs * judge).sum().item()
    return {
        'noise_level': noise_level(photos),
        'spectrum_distance': spectrum_gap(radial_spectrum(photos), radial_spectrum(true_photos)),
        'mean_difference': 255 * math.sqrt(max(squares, 0) / len(draws)),
        'detail': above / below if below else math.nan,
        'diversity': math.sqrt(sum(diversity(some) ** 2 for some in draws) / len(draws)),
    }
