"""The head of the report: whether the run is healthy, and what to try, in words."""

import math
from dataclasses import dataclass, field

from mssr_metric.degradation_figures import Figures
from mssr_monitor.collapse_warnings import EARLY, State, collapse_warnings, loudness
from mssr_report.evidence import Evidence
from mssr_report.experiment import Experiment
from mssr_report.formats import exact, number

COPIES = 0.05  # levels between the branches, below which they are copies
FALLEN = 0.01  # of a metric's best value


@dataclass
class Verdict:
    """Whether a run is healthy."""

    when: str  #: at which iteration, or from what, that was seen
    sound: str  #: what is right where there are no warnings
    near: str  #: how near the goal it is, a sentence
    warnings: dict[str, str] = field(default_factory=dict)  #: what is wrong and what to try, by short names
    early: int | None = None  #: iteration before which it is too early to tell


def verdict(experiment: Experiment, evidence: Evidence | None) -> Verdict | None:
    """Judge a run; None of a generator that was never measured, and of a model of neither stage."""
    judge = {1: _of_generator, 2: _of_branches}.get(experiment.stage)
    return judge(experiment, evidence) if judge else None


def _of_generator(experiment: Experiment, evidence: Evidence | None) -> Verdict | None:
    last = next((entry for entry in reversed(experiment.validations) if 'warnings' in entry), None)
    if last:
        when, warnings = f'at iteration {last["iter"]:,}', last['warnings']
        figures = Figures(*(last.get(name, {}) for name in ('figures', 'bicubic', 'real')))
    elif evidence and evidence.figures:
        when, figures = f'in {experiment.checkpoint.name}', evidence.figures
        warnings = _unasked(experiment, evidence)
    else:
        return None
    g, bicubic = figures.generated.get('haar_distance'), figures.bicubic.get('haar_distance')
    near = ''
    if g is not None and bicubic is not None and math.isfinite(g):
        near = (f'The distance of fine texture from that of real LR photos is {number(g)}; it is 1 between real photos '
                f'and {number(bicubic)} for plain bicubic downsampling.')
    begin = math.ceil(EARLY * experiment.total_iter)
    early = begin if last and not warnings and last['iter'] < EARLY * experiment.total_iter else None
    return Verdict(when, 'draws differ, colours stay, and the discriminator still guides the generator', near, warnings,
                   early)


def _unasked(experiment: Experiment, evidence: Evidence) -> dict[str, str]:
    """Warnings of a generator that was measured for this report; the log knows the discriminator's scores."""
    gan = (experiment.options.get('train') or {}).get('gan_opt') or {}
    state = State(len(evidence.pictures['effect']), gan.get('loss_weight', 1.0))
    if not str(gan.get('gan_type', '')).startswith('wgan'):
        state.real_score, state.fake_score = (
            _last_mean(experiment.log.values.get(name)) for name in ('out_d_real', 'out_d_fake'))
        state.loudness = loudness({name: _last_mean(series) for name, series in experiment.log.values.items()})
    return collapse_warnings(evidence.figures, state)


def _of_branches(experiment: Experiment, evidence: Evidence | None) -> Verdict:
    warnings = {}
    lost = _lost(evidence)
    if lost:
        warnings['lost'] = (f'{" and ".join(lost)} restored nothing but black and white: outputs outside [0, 1] give '
                            'no gradient, so that such a branch never learns again. Start again with a lower '
                            'train.optim_g.lr, or with train.warmup_iter.')
    if any(not math.isfinite(_last_mean(series, 1)) for name, series in experiment.log.values.items()
           if name.startswith('l_')):
        warnings['diverged'] = ('A loss is no number any more: the run is lost. Go on from an earlier checkpoint with '
                                'a lower train.optim_g.lr.')
    own = [entry for entry in experiment.validations if '/S_' not in entry['dataset']]
    if not own:
        return Verdict('in the log', 'all losses are numbers', 'The networks were not validated during training: set '
                       'val.val_freq, val.metrics and a validation set with true HR photos.', warnings)
    first = [entry for entry in own if entry['dataset'] == own[0]['dataset']]
    last, near = first[-1], ''
    several = len((experiment.options.get('network_g') or {}).get('branches') or ()) > 1
    disagreement = last.get('figures', {}).get('branch_disagreement')
    if disagreement is not None and disagreement < COPIES and several:
        warnings['copies'] = (f'The branches have become copies ({disagreement:.2f} levels apart): their mean gains '
                              'nothing. Give them different degradations, or lower the loss weights of '
                              'train.collab_opt and train.adapt_opt.')
    name = (experiment.best or {}).get('metric') or next(iter(last['metrics']), None)
    values = {entry['iter']: entry['metrics'].get(name) for entry in first}
    values = {iteration: value for iteration, value in values.items() if value is not None}
    if values and last['iter'] in values:
        best = (min if experiment.better(name) == 'lower' else max)(values, key=values.get)
        near = f'On {last["dataset"]}, {name} of the ensemble is {exact(values[last["iter"]])}'
        near += ', the best so far.' if best == last['iter'] else (
            f'; its best was {exact(values[best])}, at iteration {best:,}.')
        if abs(values[best] - values[last['iter']]) > FALLEN * abs(values[best]):
            warnings['fallen'] = (f'{name} has been better: {exact(values[best])} at iteration {best:,}, now '
                                  f'{exact(values[last["iter"]])}. Use models/net_g_best.pth (val.select keeps it), '
                                  'or lower train.optim_g.lr or the weight of train.adapt_opt.')
    sound = 'losses are numbers, results have not fallen off' + (', and the branches differ' if several else '')
    return Verdict(f'at iteration {last["iter"]:,}', sound, near, warnings)


def _lost(evidence: Evidence | None) -> list[str]:
    """Branches (``S_1``) of whose pictures each value is the least or the greatest."""
    shown = [value for name, value in evidence.pictures.items() if name.startswith('branches_')] if evidence else []
    extreme = [((picture == 0) | (picture == 255)).all((1, 2, 3)) for picture in shown]
    return [f'S_{k}' for k, everywhere in enumerate(zip(*extreme, strict=True), start=1) if all(everywhere)]


def _last_mean(series: dict[int, float] | None, count: int = 10) -> float:
    """Mean of the newest values; nan where there are none."""
    newest = [series[i] for i in sorted(series)[-count:]] if series else []
    return sum(newest) / len(newest) if newest else math.nan
