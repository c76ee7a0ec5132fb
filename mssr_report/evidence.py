"""Pictures of what was learned: those of the last validation, or made now from the newest checkpoint and the data."""

from dataclasses import dataclass

import numpy as np
import torch

from mssr_compat.errors import UserError
from mssr_data.photo_pool import read_photos
from mssr_inference.networks import load_generator, load_upscaler
from mssr_metric.degradation_figures import Figures
from mssr_monitor.experiment_record import read_pictures
from mssr_monitor.generator_study import GeneratorStudy
from mssr_monitor.pictures import as_arrays
from mssr_report.experiment import Experiment

SR_PHOTOS, SR_SIDE = 3, 96  # LR photos, and pixels a side, that are super-resolved for a run without validation
NEEDED = {  # of kept pictures, by stage; where some are missing, they are made anew
    1: {'hr', 'bicubic', 'draws', 'deviation', 'injections', 'effect', 'effective_noise', 'real', 'generated'},
    2: {'lq_0', 'branches_0'},
}


@dataclass
class Evidence:
    """Arrays as ``generator_study`` and ``branch_monitor`` of :mod:`mssr_monitor` name them, and where from."""

    pictures: dict[str, np.ndarray]
    source: str  #: a sentence
    figures: Figures | None = None  #: where no validation has measured any


def find_evidence(experiment: Experiment) -> tuple[Evidence | None, str]:
    """Pictures, or None and a sentence that says why there are none."""
    if experiment.stage is None:
        return None, 'There are no pictures: this model is of neither stage.'
    kept = read_pictures(experiment.folder, 'degradation' if experiment.stage == 1 else 'branches')
    if kept is not None and NEEDED[experiment.stage] <= kept.keys():
        last = experiment.validations[-1]['iter'] if experiment.validations else 'the last validation'
        return Evidence(kept, f'Pictures of the validation at iteration {last}.'), ''
    if experiment.checkpoint is None:
        return None, 'There are no pictures yet: the run has neither been validated nor saved a checkpoint.'
    try:
        pictures, figures = (_degrade if experiment.stage == 1 else _restore)(experiment)
    except (UserError, OSError, KeyError, RuntimeError) as error:
        return None, (f'There are no pictures: no validation kept any, and they cannot be made from '
                      f'{experiment.checkpoint.name}, because {str(error).strip() or type(error).__name__}')
    return Evidence(as_arrays(pictures), f'Pictures made for this report with {experiment.checkpoint.name}: no '
                                         'validation kept any.', figures), ''


def _degrade(experiment: Experiment) -> tuple[dict, Figures]:
    data, options = experiment.options['datasets']['train'], experiment.options
    figures, pictures = GeneratorStudy(data, options['scale']).run(load_generator(experiment.checkpoint))
    return pictures, figures


@torch.no_grad()
def _restore(experiment: Experiment) -> tuple[dict, None]:
    net, pictures = load_upscaler(experiment.checkpoint).net, {}
    photos = read_photos(experiment.options['datasets']['train'], 'lq', SR_PHOTOS, SR_SIDE, smallest=8)
    for k, lq in enumerate(photos):
        pictures |= {f'lq_{k}': lq, f'branches_{k}': net(lq[None], all_branches=True)[:, 0]}
    return pictures, None
