"""What a degradation does to each frequency: of real LR, by validation pairs, and of a generator on the same photos."""

import torch
from _evidence_truth import generated_lr
from _evidence_world import SCALE, World, read_tensor
from torch import Tensor, nn

from mssr_arch.imresize import bicubic_downsample
from mssr_metric.photo_sets import as_8bit

BANDS = 6  #: of equal width up to half a cycle in an LR pixel


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
        a, b = (_spectrum(x[..., :side, :side].double()) for x in (lq, bicubic))
        frequency = torch.fft.fftfreq(side, dtype=torch.float64)
        band = (torch.hypot(frequency[:, None], frequency) * 2 * BANDS).long()
        for k in range(BANDS):
            inside = band == k
            cross[k] += (a * b.conj()).real[:, inside].sum()
            before[k] += b.abs().square()[:, inside].sum()
            after[k] += a.abs().square()[:, inside].sum()
    gain = cross / before
    return gain.tolist(), (after / before - gain.square()).clamp(min=0).tolist()


def _spectrum(x: Tensor) -> Tensor:
    window = torch.hann_window(x.shape[-1], dtype=x.dtype)
    return torch.fft.fft2((x - x.mean((-2, -1), keepdim=True)) * window[:, None] * window)


@torch.no_grad()
def compare_with_pairs(net: nn.Module, world: World, coding: nn.Module | None = None) -> dict[str, dict[str, list]]:
    """``transfer`` and ``residual`` of one draw of each validation photo, and of its real LR.

    Args:
        net: a generator.
        world: whose pairs are looked at.
        coding: what the generator's LR goes through.
    """
    photos = {'generated': [], 'real': []}
    bicubics = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for hr, lq in world.pairs.values():
            y = read_tensor(hr)[None]
            bicubics.append(bicubic_downsample(y, SCALE)[0])
            photos['real'].append(read_tensor(lq))
            photos['generated'].append(as_8bit(generated_lr(net, y, coding))[0])
    found = {name: transfer(lqs, bicubics) for name, lqs in photos.items()}
    return {name: {'transfer': gain, 'residual': rest} for name, (gain, rest) in found.items()}
