"""Figures of what was trained: of restored pictures against the truth, and of generators against real LR."""

import json
from pathlib import Path

import numpy as np
from _evidence_plan import GENERATORS, ROWS, Part, Planner, generator_name, row_name
from _evidence_transfer import compare_with_pairs
from _evidence_truth import compare_with_truth
from _evidence_world import SCALE, World, read_rgb, read_tensor, write_rgb
from basicsr.utils.matlab_functions import imresize

from mssr_compat.errors import UserError
from mssr_inference.networks import load_generator
from mssr_loss.backbone import BACKBONES, local_weights
from mssr_metric import calculate_lpips, calculate_psnr_protocol, calculate_ssim_protocol
from mssr_metric.protocols import PROTOCOLS
from mssr_monitor.generator_study import GeneratorStudy

LPIPS = 'lpips'
METRICS = [f'{metric}_{protocol}' for protocol in PROTOCOLS for metric in ('psnr', 'ssim')]


def has_lpips() -> bool:
    """Whether AlexNet's weights are here; nothing is downloaded for it."""
    return local_weights(BACKBONES['alex']) is not None


def image_figures(picture: np.ndarray, truth: np.ndarray, lpips: bool) -> dict[str, float]:
    """All figures of one picture, (H, W, 3) RGB uint8 each."""
    bgr = [np.ascontiguousarray(image[..., ::-1]) for image in (picture, truth)]
    found = {}
    for protocol in PROTOCOLS:
        found[f'psnr_{protocol}'] = calculate_psnr_protocol(*bgr, protocol, SCALE)
        found[f'ssim_{protocol}'] = calculate_ssim_protocol(*bgr, protocol, SCALE)
    if lpips:
        found[LPIPS] = calculate_lpips(*bgr)
    return found


class Measurer:
    """Measures what is there; each result is kept in ``OUT/figures`` and measured anew when its part changed.

    Args:
        planner: which knows the world and the folder.
        say: takes lines of progress.
    """

    def __init__(self, planner: Planner, say) -> None:
        self.planner, self.world, self.say = planner, planner.world, say
        self.folder = planner.out / 'figures'
        self.lpips = has_lpips()
        self._study = None

    def row(self, row: str, seed: int, part: Part | None) -> dict[str, list[float]] | None:
        """Metric to the figure of each validation image in the order of their names; None: the test wrote nothing."""
        name = row_name(row, seed) if part else row
        digest = f'{part.digest if part else self.world.digest}, lpips: {self.lpips}'

        def measure():
            self.say(f'Measuring {name}.')
            found = {}
            for image, (hr, _) in self.world.pairs.items():
                figures = image_figures(read_rgb(self.planner.picture(row, seed, image)), read_rgb(hr), self.lpips)
                for metric, value in figures.items():
                    found.setdefault(metric, []).append(value)
            return found

        if not all(self.planner.picture(row, seed, image).is_file() for image in self.world.pairs):
            return None
        return self._kept(name, digest, measure)

    def interpolate(self) -> None:
        """Write the pictures of bicubic interpolation (MATLAB's), where they are missing."""
        for image, (_, lr) in self.world.pairs.items():
            path = self.planner.picture('interpolation', 0, image)
            if not path.is_file():
                write_rgb(path, imresize(read_tensor(lr), SCALE))

    def generator(self, generator: str, seed: int, part: Part) -> dict | None:
        """Figures of a trained generator; None: it is not there."""
        path = self.planner.checkpoint(part.name)
        if not path.is_file():
            return None

        def measure():
            self.say(f'Measuring {part.name}.')
            degradation = load_generator(path)
            if self._study is None:
                self._study = GeneratorStudy({**part.opt['datasets']['train']}, SCALE)
            figures, _ = self._study.run(degradation)
            return {'training_photos': {'generated': figures.generated, 'bicubic': figures.bicubic,
                                        'real': figures.real},
                    'pairs': compare_with_pairs(degradation.net, self.world, degradation.jpeg),
                    'truth': (compare_with_truth(degradation.net, self.world, degradation.jpeg)
                              if self.world.camera else None)}

        try:
            return self._kept(part.name, f'{part.digest}, pairs', measure)
        except UserError as error:  # photos that are too small to be measured
            self.say(f'No figures of {part.name}: {error}')
            return None

    def all(self, rows: list[str], seeds: list[int], parts: list[Part]) -> tuple[dict, dict]:
        """(figures of rows, figures of generators), by name and seed, of what is finished."""
        parts = {part.name: part for part in parts}
        figures, generators = {}, {}
        for row in rows:
            if not ROWS[row].generators:
                self.interpolate()
                figures[row] = {'': self.row(row, 0, None)}
                continue
            names = {seed: row_name(row, seed) for seed in seeds}
            found = {str(seed): self.row(row, seed, parts[name]) for seed, name in names.items() if name in parts}
            found = {seed: value for seed, value in found.items() if value is not None}
            if found:
                figures[row] = found
        for generator in GENERATORS:
            names = {seed: generator_name(generator, seed) for seed in seeds}
            found = {str(seed): self.generator(generator, seed, parts[name])
                     for seed, name in names.items() if name in parts}
            found = {seed: value for seed, value in found.items() if value is not None}
            if found:
                generators[generator] = found
        return figures, generators

    def _kept(self, name: str, digest: str, measure) -> dict:
        path: Path = self.folder / f'{name}.json'
        if path.is_file():
            kept = json.loads(path.read_text())
            if kept['digest'] == digest:
                return kept['figures']
        figures = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({'digest': digest, 'figures': figures}))
        return figures


def world_summary(world: World) -> dict:
    """What ``results.json`` says of the photos."""
    known = world.root / 'world.json'
    return {'name': world.name, 'root': str(world.root), 'counts': world.counts,
            'known': json.loads(known.read_text()) if world.camera and known.is_file() else None}
