"""What is measured, shown and said of stage 1's generator at each validation."""

import math
from pathlib import Path

from basicsr.utils import get_root_logger

from mssr_arch.degradation_base import LEARNED
from mssr_compat.errors import UserError
from mssr_metric.degradation_figures import FIGURES, Figures
from mssr_monitor.collapse_warnings import EARLY, State, collapse_warnings, loudness
from mssr_monitor.experiment_record import write_pictures
from mssr_monitor.generator_study import GeneratorStudy
from mssr_monitor.pictures import as_arrays, heat, kernels_in_a_row, side_by_side


class DegradationMonitor:
    """Measures the generator on photos of the training set: no aligned LR is needed, whatever is validated on.

    Logged beside PSNR as ``metrics/<data set>/<figure>``, with the values of bicubic LR and between real photos, which
    stay the same; pictures under ``pictures/``; warnings in words in the log and as text.
    """

    figures = tuple(name for name, (_, direction, _) in FIGURES.items() if direction == 'lower')

    def __init__(self, opt: dict) -> None:
        self.opt = opt
        self.study = None  # None: not made yet; False: it cannot be
        self.observed_iter = None
        self.drift = math.nan  # at the last validation

    def begin(self) -> None:
        """A validation begins; its photos are not looked at."""

    def observe(self, model, name: str, current_iter: int, tb_logger, losses: dict[str, float]) -> dict:
        """Measure the generator that the validation showed; nothing for another validation set of the iteration."""
        if self.observed_iter == current_iter:
            return {}
        self.observed_iter = current_iter
        if self.study is None:
            try:
                self.study = GeneratorStudy((self.opt.get('datasets') or {}).get('train') or {}, self.opt['scale'])
            except UserError as error:
                get_root_logger().warning(f'No figures of the degradation: {error}')
                self.study = False
        if not self.study:
            return {}
        degradation = model.degradation_of(model.get_bare_model(model.shown_net()))
        figures, pictures = self.study.run(degradation)
        warnings = self.warnings(degradation.generator.num_noise, figures, current_iter, losses)
        learned = dict(zip(LEARNED, pictures['learned'].tolist(), strict=True)) if 'learned' in pictures else {}
        self._write_log(name, figures, learned, warnings)
        if tb_logger:
            self._write_tensorboard(tb_logger, name, figures, pictures, learned, warnings, current_iter)
        if self.opt['path'].get('experiments_root'):
            write_pictures(Path(self.opt['path']['experiments_root']), 'degradation', as_arrays(pictures))
        return {
            'figures': figures.generated,
            'bicubic': figures.bicubic,
            'real': figures.real,
            'injections': {'effective_noise': pictures['effective_noise'].tolist(),
                           'effect': pictures['effect'].tolist()},
            **({'learned': learned} if learned else {}),
            'warnings': warnings,
        }

    def warnings(self, num_noise: int, figures: Figures, current_iter: int, losses: dict[str, float]) -> dict[str, str]:
        """What is wrong, by name; at the start of a run only what cannot mend itself."""
        gan = self.opt['train']['gan_opt']
        state = State(num_noise, gan.get('loss_weight', 1.0))
        if not str(gan.get('gan_type', '')).startswith('wgan'):  # whose scores are no probabilities
            state.real_score = losses.get('out_d_real', state.real_score)
            state.fake_score = losses.get('out_d_fake', state.fake_score)
            state.loudness = loudness(losses)
        state.drift_before, self.drift = self.drift, figures.generated['color_drift']
        found = collapse_warnings(figures, state)
        if current_iter < EARLY * self.opt['train']['total_iter']:
            found = {name: text for name, text in found.items() if name in ('diverged', 'no_adversary')}
        return found

    def _write_log(self, name: str, figures: Figures, learned: dict[str, list[float]],
                   warnings: dict[str, str]) -> None:
        lines = [f'Validation {name}, degradation (generated | bicubic | real)']
        for figure, value in figures.generated.items():
            unit = FIGURES[figure][0]
            others = [f'{some[figure]:.4f}' if figure in some else '-' for some in (figures.bicubic, figures.real)]
            lines.append(f'\t # {figure}: {value:.4f} | {" | ".join(others)}{unit and f" {unit}"}')
        if learned:
            lines.append(f'Validation {name}, what was learned (a typical draw | from the 5th to the 95th percentile)')
        for figure, (value, low, high) in learned.items():
            unit = LEARNED[figure][0]
            lines.append(f'\t # {figure}: {value:.4f} | {low:.4f} to {high:.4f}{unit and f" {unit}"}')
        logger = get_root_logger()
        logger.info('\n'.join(lines) + '\n')
        for text in warnings.values():
            logger.warning(text)

    def _write_tensorboard(self, tb_logger, name, figures, pictures, learned, warnings, current_iter):
        for suffix, some in (('', figures.generated), ('_bicubic', figures.bicubic), ('_real', figures.real)):
            for figure, value in some.items():
                tb_logger.add_scalar(f'metrics/{name}/{figure}{suffix}', value, current_iter)
        for k, value in enumerate(pictures['effective_noise'].tolist(), start=1):
            tb_logger.add_scalar(f'effective_noise/{k}', value, current_iter)
        for figure, (value, _, _) in learned.items():
            tb_logger.add_scalar(f'learned/{figure}', value, current_iter)
        shown = {
            'draws': side_by_side([pictures['bicubic'], *pictures['draws']]),
            'deviation_between_draws': heat(pictures['deviation']),
            'real_above_generated': side_by_side([side_by_side(pictures['real']),
                                                  side_by_side(pictures['generated'])], across=False),
        }
        if learned:
            shown['kernels'] = kernels_in_a_row(pictures['kernels'])
        for title, picture in shown.items():
            tb_logger.add_image(f'pictures/{title}', picture, current_iter)
        if warnings:
            tb_logger.add_text('warnings', '\n\n'.join(warnings.values()), current_iter)
