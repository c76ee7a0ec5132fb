"""A learned degradation against the known one, on the same photos."""

import math

import torch
from _evidence_world import SCALE, World, read_tensor
from known_degradation import KnownDegradation
from torch import Tensor, nn

from mssr_arch.degradation_base import what_is_read
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.checkpoint import load_into, read_weights
from mssr_metric.degradation_figures import diversity
from mssr_metric.noise_level import noise_level
from mssr_metric.photo_sets import as_8bit, haar_bands
from mssr_metric.spectrum import radial_spectrum, spectrum_gap

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


def load_camera(world: World) -> KnownDegradation:
    """The known degradation of a world."""
    camera = KnownDegradation(SCALE)
    load_into(camera, read_weights(world.camera), world.camera)
    return camera.eval()


@torch.no_grad()
def compare_with_truth(net: nn.Module, world: World, coding: nn.Module | None = None) -> dict[str, dict[str, float]]:
    """Figures (see :data:`TRUTH_FIGURES`) of a generator, of bicubic LR, and of other draws of the truth.

    ``coding`` is what the generator's LR goes through.

    The photos are the middles of the validation photos, which no stage was trained on. The figures of the truth are
    what a perfect generator would get with as few draws.

    Raises:
        UserError: a photo is under 32 LR pixels a side.
    """
    photos = [_middle(hr) for hr, _ in world.pairs.values()]
    camera = load_camera(world)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        judges = [[_draws(camera, y) for y in photos] for _ in range(2)]
        truth, generated = [_draws(camera, y) for y in photos], [_draws(net, y, coding) for y in photos]
    bicubic = [as_8bit(bicubic_downsample(y[None], SCALE)).expand(DRAWS, -1, -1, -1) for y in photos]
    columns = {'generated': generated, 'bicubic': bicubic, 'truth': truth}
    return {name: _figures(draws, *judges) for name, draws in columns.items()}


def _middle(path) -> Tensor:
    photo = read_tensor(path)
    height, width = (min(side // SCALE, SIDE) * SCALE for side in photo.shape[1:])
    top, left = (photo.shape[1] - height) // 2, (photo.shape[2] - width) // 2
    return photo[:, top:top + height, left:left + width]


def generated_lr(net: nn.Module, y: Tensor, coding: nn.Module | None = None) -> Tensor:
    """One draw of HR photos (N, 3, H, W); a generator that does not downsample reads the bicubic LR."""
    x = net(what_is_read(net, y, SCALE))
    return coding(x) if coding else x


def _draws(net: nn.Module, y: Tensor, coding: nn.Module | None = None) -> Tensor:
    """(D, 3, h, w), 8-bit values."""
    return torch.cat([as_8bit(generated_lr(net, y[None], coding)) for _ in range(DRAWS)])


def _figures(draws: list[Tensor], truth: list[Tensor], other: list[Tensor]) -> dict[str, float]:
    """Of draws of each photo, judged by two independent sets of the truth's."""
    photos, true_photos = [[draw for some in all_draws for draw in some] for all_draws in (draws, truth)]
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
