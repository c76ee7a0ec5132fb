"""What can be measured of a degradation without pairs, and of SR that has learned from it: candidates for a figure that
predicts how well SR does on real photos."""

import math

import numpy as np
import scipy.fft
import scipy.stats
import torch
from basicsr.metrics import calculate_niqe
from basicsr.utils import tensor2img
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mssr_adapt.choice import Judge
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.sharpening import gaussian_blur
from mssr_arch.wavelet_discriminator_arch import WaveletDiscriminator
from mssr_data.photo_pool import read_photos
from mssr_degradation import LearnedDegradation
from mssr_metric.degradation_figures import SMALLEST, DegradationReference, diversity
from mssr_metric.haar_distance import HaarReference
from mssr_metric.photo_sets import LEVELS, Photos, as_8bit, luma, windows

#: figure: meaning; of every figure, less is claimed to be better
FIGURES = {
    'haar_distance': 'distance of fine texture from real LR (`val.select` of the recipes)',
    'spectrum_distance': 'difference of radial power spectra from real LR',
    'noise_distance': 'difference of the noise on flat regions from real LR',
    'color_drift': 'distance of local colours from those of bicubic LR',
    'sameness': 'minus the deviation between draws',
    'classifier': 'how well a discriminator, trained anew on frozen draws, tells crops of other photos apart (AUC)',
    'coefficients': 'divergence of the coefficients of 8 x 8 blocks, at like contrast, from real LR',
    'restored_distance': 'as haar_distance, of what the start makes of draws and of real LR: what SR sees',
    'cycle': 'SR on real LR, degraded again, against its input, both a little blurred',
    'structure': 'how much the rest of that follows the edges of the photo',
    'niqe': 'NIQE of SR on real LR',
    'softness': 'octaves of power that SR on real LR lacks, beside clean photos of like contrast',
    'noise_left': 'noise on flat regions of SR on real LR',
}
OF_SR = ('cycle', 'structure', 'niqe', 'softness', 'noise_left')  #: of the SR, not of the degradation
SIDE, HR_PHOTOS, REAL_PHOTOS, RESULTS = 64, 48, 64, 12
CROP, STEPS, BATCH, POOL = 32, 120, 16, 768  # of the classifier
BLOCK, GROUPS, BLOCKS = 8, 8, 12_000  # of the coefficients
_COARSE = 2  # u + v of coefficients that tell a block's contrast


class WithoutPairs:
    """Measures on fixed photos of a training set; the same photos and random numbers for all.

    Args:
        train_set: the section ``datasets.train``.
        scale: HR size over LR size.
        start: what SR starts from: from (1, 3, h, w) to (1, 3, s * h, s * w).
    """

    def __init__(self, train_set: dict, scale: int, start) -> None:
        self.scale, self.start = scale, start
        self.real = read_photos(train_set, 'lq', REAL_PHOTOS, 2 * SIDE, SMALLEST)
        self.hr = read_photos(train_set, 'gt', HR_PHOTOS, 2 * SIDE * scale, SMALLEST * scale, scale)
        bicubic = [as_8bit(bicubic_downsample(y[None], scale)[0]) for y in self.hr]
        self.reference = DegradationReference(self.real, bicubic)
        self.results = [photo[:, :SIDE, :SIDE] for photo in self.real[::max(len(self.real) // RESULTS, 1)]][:RESULTS]
        self.restored = HaarReference(self._start_on(self.real))

    @torch.no_grad()
    def of_degradation(self, degradation: LearnedDegradation) -> dict[str, float]:
        """Of its draws."""
        random = torch.Generator().manual_seed(0)
        drawn = [as_8bit(degradation(y[None], random)[0]) for y in self.hr]
        some = [torch.cat([degradation(y[None], random) for _ in range(4)]) for y in self.hr[:4]]
        figures = self.reference.measure(drawn, some).generated
        return {
            **{name: figures[name] for name in ('haar_distance', 'spectrum_distance', 'noise_distance', 'color_drift')},
            'sameness': -float(np.mean([diversity(one) for one in some])),
            'classifier': classified(self.real, drawn),
            'coefficients': divergence(self.real, drawn),
            'restored_distance': self.restored.distance(self._start_on(drawn)),
        }

    @torch.no_grad()
    def of_sr(self, degradation: LearnedDegradation, restore) -> dict[str, float]:
        """Of what SR makes of real LR; ``restore`` as ``start``."""
        judge = Judge(self.results, degradation, self.hr)
        measured, structure, quality = judge.measure(restore), [], []
        for x in self.results:
            y = restore(x[None]).clamp(0, 1)
            z = degradation.draw_noise(y, torch.Generator().manual_seed(0))
            rest = gaussian_blur(degradation.degrade(y, z, 0.5, torch.zeros(1, 1, 1, 1)) - x[None], 1.0)[0]
            edges = gaussian_blur((x[None] - gaussian_blur(x[None], 1.0)).abs(), 1.0)[0]
            structure.append(scipy.stats.spearmanr(rest.abs().flatten(), edges.flatten()).statistic)
            quality.append(calculate_niqe(tensor2img(y), crop_border=0))
        return {'cycle': measured.cycle, 'structure': float(np.mean(structure)), 'niqe': float(np.mean(quality)),
                'softness': -measured.detail, 'noise_left': measured.noise}

    @torch.no_grad()
    def _start_on(self, photos: Photos) -> list[Tensor]:
        return [as_8bit(self.start(photo[None, :, :SIDE, :SIDE])[0]) for photo in photos]


@torch.enable_grad()
def classified(real: Photos, drawn: Photos) -> float:
    """Area under the curve of a discriminator of stage 1, trained anew, on crops of photos that it has not seen.

    Of each real crop, the drawn one that is nearest in coarse contrast is its counterpart, so that other scenes do not
    count.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = WaveletDiscriminator(filter='average', kernel_size=5, net='patch_s1', norm=None, num_feat=16, gain=40)
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        seen, unseen = (_counterparts(real[k::2], drawn[k::2]) for k in (0, 1))
        for _ in range(STEPS):
            index = torch.randint(len(seen[0]), (BATCH,))
            crops = torch.cat([some[index] for some in seen])
            crops = crops.flip(-1) if torch.rand(()) < 0.5 else crops
            crops = crops.transpose(-1, -2) if torch.rand(()) < 0.5 else crops
            wanted = torch.cat([torch.ones(BATCH), torch.zeros(BATCH)])
            loss = binary_cross_entropy_with_logits(net(crops).mean((1, 2, 3)), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            one, other = (torch.cat([net(part).mean((1, 2, 3)) for part in some[:256].split(64)]) for some in unseen)
    return float(scipy.stats.mannwhitneyu(one, other).statistic / len(one) / len(other))


def _counterparts(real: Photos, drawn: Photos) -> tuple[Tensor, Tensor]:
    """Crops of either kind, (n, 3, CROP, CROP), pair by pair alike in coarse contrast."""
    pools = []
    for photos in (real, drawn):
        share = -(-POOL // len(photos))
        crops = torch.cat([windows(photo, CROP, share, seed=k) for k, photo in enumerate(photos)])
        coarse = torch.nn.functional.avg_pool2d(luma(crops)[:, None], 8).flatten(1).std(1)
        pools.append((crops[coarse.argsort()], coarse.sort().values))
    (one, strength), (other, others) = pools
    near = torch.searchsorted(others, strength).clamp(max=len(others) - 1)
    return one, other[near]


def divergence(real: Photos, drawn: Photos) -> float:
    """Kullback-Leibler divergence of Laplace distributions with the scales of real and of drawn coefficients, the mean
    over the finer ones of 8 x 8 DCT blocks, in groups of like coarse contrast."""
    (a, strength_a), (b, strength_b) = (_coefficients(photos) for photos in (real, drawn))
    bounds = np.quantile(strength_a, np.linspace(0, 1, GROUPS + 1)[1:-1])
    groups_a, groups_b = (np.searchsorted(bounds, strength) for strength in (strength_a, strength_b))
    found = []
    for k in range(GROUPS):
        if (groups_b == k).sum() >= 30:
            ratio = (a[groups_a == k].mean(0) + 0.05) / (b[groups_b == k].mean(0) + 0.05)
            found.append((ratio - 1 - np.log(ratio)).mean())
    return float(np.mean(found)) if found else math.nan


def _coefficients(photos: Photos) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes of the finer coefficients in 8-bit levels, (n, coefficients), and the contrast of the coarse ones."""
    shares = np.diff(np.linspace(0, BLOCKS, len(photos) + 1).round().astype(int))
    planes = torch.cat([windows(luma(photo)[None], BLOCK, int(share), seed=k)[:, 0]
                        for k, (photo, share) in enumerate(zip(photos, shares, strict=True))])
    found = np.abs(scipy.fft.dctn(planes.numpy() * LEVELS, axes=(1, 2), norm='ortho'))
    order = np.add.outer(np.arange(BLOCK), np.arange(BLOCK))
    coarse = (order > 0) & (order <= _COARSE)
    return found[:, order > _COARSE], np.sqrt((found[:, coarse] ** 2).sum(1))
