"""The head of the report: what this is, whether the run is healthy, and what to try, in words."""

import math

from mssr_metric.degradation_figures import Figures
from mssr_monitor.collapse_warnings import EARLY, State, collapse_warnings, loudness
from mssr_report.evidence import Evidence
from mssr_report.experiment import Experiment
from mssr_report.markup import exact, note, number, text

STAGES = {1: 'Stage 1: a generator learns how real cameras degrade photos, so that it can make real-looking '
             'low-resolution (LR) photos from clean high-resolution (HR) ones.',
          2: 'Stage 2: super-resolution networks learn to undo what the degradation generators do, teach each other, '
             'and adapt to real low-resolution (LR) photos.'}
COPIES = 0.05  # levels between the branches, below which they are copies
FALLEN = 0.01  # of a metric's best value


def verdict(experiment: Experiment, evidence: Evidence | None) -> str:
    """What the experiment is, its state, and what is right and wrong with it."""
    state, total = experiment.state(), experiment.total_iter
    reached = f'iteration {experiment.last_iter:,}' + (f' of {total:,}' if total else '')
    heard = f' (last heard of at {experiment.log.last:%Y-%m-%d %H:%M:%S})' if experiment.log.last else ''
    words = {'finished': f'Finished, at {reached}.',
             'running': f'Running, at {reached}{heard}. This page shows what was there when it was made.',
             'broken off': f'Broken off, after {reached}{heard}: the log does not tell the end of training. '
                           'The same call of train.py with --auto_resume goes on from the last checkpoint.'}[state]
    stage = STAGES.get(experiment.stage)
    parts = [f'<p>{text(stage)}</p>' if stage else '',
             f'<p class="state {state.replace(" ", "-")}">{text(words)}</p>']
    if experiment.stage == 1:
        parts.append(_of_generator(experiment, evidence))
    elif experiment.stage == 2:
        parts.append(_of_branches(experiment, evidence))
    return ''.join(parts)


def _of_generator(experiment: Experiment, evidence: Evidence | None) -> str:
    last = next((entry for entry in reversed(experiment.validations) if 'warnings' in entry), None)
    if last:
        when, warnings = f'at iteration {last["iter"]:,}', last['warnings']
        figures = Figures(*(last.get(name, {}) for name in ('figures', 'bicubic', 'real')))
    elif evidence and evidence.figures:
        when, figures = f'in {experiment.checkpoint.name}', evidence.figures
        warnings = _unasked(experiment, evidence)
    else:
        return note('The degradation was not measured during training: set val.val_freq and a validation set.')
    g, bicubic = figures.generated.get('haar_distance'), figures.bicubic.get('haar_distance')
    near = ''
    if g is not None and bicubic is not None and math.isfinite(g):
        near = (f'The distance of fine texture from that of real LR photos is {number(g)}; it is 1 between real photos '
                f'and {number(bicubic)} for plain bicubic downsampling.')
    if last and not warnings and last['iter'] < EARLY * experiment.total_iter:
        return (f'<p class="well"><strong>It is too early to tell whether this run is healthy.</strong> Most warnings '
                f'begin at iteration {math.ceil(EARLY * experiment.total_iter):,}, a tenth of the way. '
                f'{text(near)}</p>')
    return _box(when, warnings, 'draws differ, colours stay, and the discriminator still guides the generator', near)


def _unasked(experiment: Experiment, evidence: Evidence) -> dict[str, str]:
    """Warnings of a generator that was measured for this report; the log knows the discriminator's scores."""
    gan = (experiment.options.get('train') or {}).get('gan_opt') or {}
    state = State(len(evidence.pictures['effect']), gan.get('loss_weight', 1.0))
    if not str(gan.get('gan_type', '')).startswith('wgan'):
        state.real_score, state.fake_score = (
            _last_mean(experiment.log.values.get(name)) for name in ('out_d_real', 'out_d_fake'))
        state.loudness = loudness({name: _last_mean(series) for name, series in experiment.log.values.items()})
    return collapse_warnings(evidence.figures, state)


def _of_branches(experiment: Experiment, evidence: Evidence | None) -> str:
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
        return _box('in the log', warnings, 'all losses are numbers', 'The networks were not validated during '
                    'training: set val.val_freq, val.metrics and a validation set with true HR photos.')
    first = [entry for entry in own if entry['dataset'] == own[0]['dataset']]
    last, near = first[-1], ''
    disagreement = last.get('figures', {}).get('branch_disagreement')
    if disagreement is not None and disagreement < COPIES and _branches(experiment) > 1:
        warnings['copies'] = (f'The branches have become copies ({disagreement:.2f} levels apart): their mean gains '
                              'nothing. Give them different degradations, or lower the loss weights of '
                              'train.collab_opt and train.adapt_opt.')
    name = (experiment.best or {}).get('metric') or next(iter(last['metrics']), None)
    values = {entry['iter']: entry['metrics'].get(name) for entry in first}
    values = {iteration: value for iteration, value in values.items() if value is not None}
    if values and last['iter'] in values:
        lower = (experiment.best or {}).get('better') == 'lower' or 'lpips' in name
        best = (min if lower else max)(values, key=values.get)
        near = f'On {last["dataset"]}, {name} of the ensemble is {exact(values[last["iter"]])}'
        near += ', the best so far.' if best == last['iter'] else (
            f'; its best was {exact(values[best])}, at iteration {best:,}.')
        if abs(values[best] - values[last['iter']]) > FALLEN * abs(values[best]):
            warnings['fallen'] = (f'{name} has been better: {exact(values[best])} at iteration {best:,}, now '
                                  f'{exact(values[last["iter"]])}. Use models/net_g_best.pth (val.select keeps it), '
                                  'or lower train.optim_g.lr or the weight of train.adapt_opt.')
    return _box(f'at iteration {last["iter"]:,}', warnings, 'losses are numbers, results have not fallen off'
                + (', and the branches differ' if _branches(experiment) > 1 else ''), near)


def _lost(evidence: Evidence | None) -> list[str]:
    """Branches (``S_1``) of whose pictures each value is the least or the greatest."""
    shown = [value for name, value in evidence.pictures.items() if name.startswith('branches_')] if evidence else []
    extreme = [((picture == 0) | (picture == 255)).all((1, 2, 3)) for picture in shown]
    return [f'S_{k}' for k, everywhere in enumerate(zip(*extreme, strict=True), start=1) if all(everywhere)]


def _branches(experiment: Experiment) -> int:
    return len((experiment.options.get('network_g') or {}).get('branches') or ())


def _last_mean(series: dict[int, float] | None, count: int = 10) -> float:
    """Mean of the newest values; nan where there are none."""
    newest = [series[i] for i in sorted(series)[-count:]] if series else []
    return sum(newest) / len(newest) if newest else math.nan


def _box(when: str, warnings: dict[str, str], sound: str, near: str) -> str:
    if not warnings:
        return (f'<p class="well"><strong>This run looks healthy.</strong> No warnings {text(when)}: {text(sound)}. '
                f'{text(near)}</p>')
    items = ''.join(f'<li>{text(sentence)}</li>' for sentence in warnings.values())
    number_ = 'One warning' if len(warnings) == 1 else f'{len(warnings)} warnings'
    return (f'<div class="warning"><strong>This run does not look healthy yet.</strong> {number_} {text(when)}, '
            f'and what to try:<ul>{items}</ul>{text(near)}</div>')
