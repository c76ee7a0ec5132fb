"""Figures of what was trained: of restored pictures against the truth, and of generators against real LR."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from basicsr.utils.matlab_functions import imresize

from benchmarks.evidence.generators import compare_with_pairs, compare_with_truth
from benchmarks.evidence.plan import GENERATORS, ROWS, Part, Planner
from benchmarks.evidence.world import SCALE, read_rgb, read_tensor, write_rgb
from mssr_compat.errors import UserError
from mssr_compat.files import write_whole
from mssr_inference.networks import load_generator
from mssr_loss.backbone import BACKBONES, local_weights
from mssr_metric import calculate_dists, calculate_lpips, calculate_psnr_protocol, calculate_ssim_protocol
from mssr_metric.octaves import band_power
from mssr_metric.photo_sets import luma
from mssr_metric.protocols import PROTOCOLS
from mssr_monitor.generator_study import GeneratorStudy

METRICS = [f'{metric}_{protocol}' for protocol in PROTOCOLS for metric in ('psnr', 'ssim')]


def image_figures(picture: np.ndarray, truth: np.ndarray, lpips: bool, dists: bool = False) -> dict[str, float]:
    """All figures of one picture, (H, W, 3) RGB uint8 each."""
    bgr = [np.ascontiguousarray(image[..., ::-1]) for image in (picture, truth)]
    found = {}
    for protocol in PROTOCOLS:
        found[f'psnr_{protocol}'] = calculate_psnr_protocol(*bgr, protocol, SCALE)
        found[f'ssim_{protocol}'] = calculate_ssim_protocol(*bgr, protocol, SCALE)
    if lpips:
        found['lpips'] = calculate_lpips(*bgr)
    if dists:
        found['dists'] = calculate_dists(*bgr)
    return found


def octave_figures(picture: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How much of the truth's texture a picture has, (H, W, 3) RGB uint8 each.

    Returns:
        ``octave_0`` to ``octave_3``: power of the picture's luma in each of ``mssr_metric.octaves.OCTAVES``
        over the truth's; and ``octaves``: how far these are from 1, the mean of their absolute decibels.
    """
    ratios = octave_powers(picture) / octave_powers(truth)
    return {**{f'octave_{k}': float(ratio) for k, ratio in enumerate(ratios)},
            'octaves': float(np.abs(10 * np.log10(ratios)).mean())}


def octave_powers(image: np.ndarray) -> np.ndarray:
    """Power of the luma in each of them; at least that of rounding to 8 bits, below which is no file."""
    plane = luma(torch.from_numpy(image).permute(2, 0, 1).double())
    power, parts = band_power(plane)
    return torch.maximum(power, parts.clamp(min=1 / plane.numel()) / 12).numpy()


def kept(path: Path, digest: str, measure: Callable[[], dict], tell: Callable[[], None]) -> dict:
    """What ``measure`` gives, which is kept in a file and measured anew where it was made of something else.

    Args:
        path: the file.
        digest: of what it is made of.
        measure: measures it.
        tell: called before.
    """
    found = json.loads(path.read_text()) if path.is_file() else {}
    if found.get('digest') != digest:
        tell()
        found = {'digest': digest, 'figures': measure()}
        write_whole(path, json.dumps(found))
    return found['figures']


class Measurer:
    """Measures what is there; each result is kept in ``OUT/figures`` and measured anew when its part changed.

    Args:
        planner: which knows the world and the folder.
        say: takes lines of progress.
    """

    def __init__(self, planner: Planner, say: Callable[[str], None]) -> None:
        self.planner, self.world, self.say = planner, planner.world, say
        self.lpips = local_weights(BACKBONES['alex']) is not None  # nothing is downloaded for it
        self._study = None

    def all(self, rows: list[str], seeds: list[int], parts: list[Part]) -> tuple[dict, dict]:
        """(figures of rows, figures of generators), by name and seed, of the finished ``parts``.

        A row's: metric to the figure of each validation image in the order of their names.
        """
        self._interpolate()
        by_name, figures, generators = {part.name: part for part in parts}, {}, {}

        def of_seeds(name: str) -> Iterator[tuple[str, Part]]:
            return ((str(seed), by_name[f'{name}_s{seed}']) for seed in seeds if f'{name}_s{seed}' in by_name)

        for row in rows:
            wanted = of_seeds(f'sr_{row}') if ROWS[row].generators else [('', None)]
            found = {seed: self._row(row, seed, part) for seed, part in wanted}
            figures[row] = {seed: one for seed, one in found.items() if one}
        for generator in GENERATORS:
            found = {seed: self._generator(part) for seed, part in of_seeds(f'g_{generator}')}
            generators[generator] = {seed: one for seed, one in found.items() if one}
        return tuple({name: found for name, found in some.items() if found} for some in (figures, generators))

    def _interpolate(self) -> None:
        """Write the pictures of bicubic interpolation (MATLAB's), where they are missing."""
        for image, (_, lr) in self.world.pairs.items():
            path = self.planner.picture('interpolation', '', image)
            if not path.is_file():
                write_rgb(path, imresize(read_tensor(lr), SCALE))

    def _row(self, row: str, seed: str, part: Part | None) -> dict[str, list[float]] | None:
        """None: the test wrote nothing."""
        pictures = [self.planner.picture(row, seed, image) for image in self.world.pairs]
        if not all(path.is_file() for path in pictures):
            return None

        def measure():
            found = [image_figures(read_rgb(path), read_rgb(hr), self.lpips)
                     for path, (hr, _) in zip(pictures, self.world.pairs.values(), strict=True)]
            return {metric: [figures[metric] for figures in found] for metric in found[0]}

        return self._kept(part.name if part else row, f'{(part or self.world).digest}, lpips: {self.lpips}', measure)

    def _generator(self, part: Part) -> dict | None:
        """None: it is not there, or the photos are too small to be measured."""
        path = self.planner.checkpoint(part.name)
        if not path.is_file():
            return None

        def measure():
            degrade = load_generator(path)
            self._study = self._study or GeneratorStudy(part.opt['datasets']['train'], SCALE)
            figures, _ = self._study.run(degrade)
            return {'training_photos': {'generated': figures.generated, 'bicubic': figures.bicubic,
                                        'real': figures.real},
                    'pairs': compare_with_pairs(degrade, self.world),
                    'truth': compare_with_truth(degrade, self.world) if self.world.camera else None}

        try:
            return self._kept(part.name, f'{part.digest}, pairs', measure)
        except UserError as error:
            self.say(f'No figures of {part.name}: {error}')
            return None

    def _kept(self, name: str, digest: str, measure: Callable[[], dict]) -> dict:
        return kept(self.planner.out / 'figures' / f'{name}.json', digest, measure, lambda: self.say(
            f'Measuring {name}.'))
