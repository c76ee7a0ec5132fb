"""Curves over the iterations: losses, scores, rates, and the metrics of each validation set."""

import math

from mssr_monitor.branch_monitor import loss_shares
from mssr_report.charts import Line, line_chart
from mssr_report.experiment import Experiment
from mssr_report.markup import exact, note, row, section, table, text

LOSSES = {
    'l_g_color': 'colour', 'l_g_percep': 'perceptual', 'l_g_spectrum': 'spectrum', 'l_g_gan': 'adversarial',
    'l_d': 'discriminator', 'l_d_gp': 'gradient penalty', 'l_sup': 'supervised', 'l_collab': 'collaborative',
    'l_feature': 'feature', 'l_adapt': 'adaptation', 'l_pix': 'pixel',
}
DOWN = ('lpips', 'distance', 'niqe')  # in the names of metrics of which lower is better
UNITS = {'psnr': 'dB'}


def curves(experiment: Experiment) -> str:
    """Losses, the discriminator's scores and learning rates, from the log."""
    values = experiment.log.values
    if not values:
        return section('Training', note('The log holds no losses yet.'))
    losses = [name for name in values if name.startswith('l_')]
    judge = [name for name in losses if name.startswith('l_d')]
    others = [name for name in losses if name not in judge]
    charts = [_titled('Losses of the trained network, weighted as they are summed',
                      _chart(values, others, _loss_name, 'weighted loss', log=True))]
    if judge:
        charts.append(_titled('Loss of the discriminator', _chart(values, judge, _loss_name, 'loss')))
    scores = [name for name in ('out_d_real', 'out_d_fake') if name in values]
    if scores:
        names = {'out_d_real': 'real LR', 'out_d_fake': 'generated LR'}
        charts.append(_titled(
            'Scores of the discriminator', _chart(values, scores, names.get, 'mean score (1: surely real)')
            + '<p class="note">Both near 0.5: it cannot tell. Near 1 and 0: it is saturated and hardly guides the '
            'generator. With a Wasserstein loss scores are no probabilities; their distance counts.</p>'))
    rates = experiment.log.rates
    groups = max((len(some) for some in rates.values()), default=0)
    lines = [Line('all weights' if groups == 1 else ('weights', 'noise weights')[k] if k < 2 else f'group {k + 1}',
                  [(i, some[k]) for i, some in sorted(rates.items()) if len(some) > k], k) for k in range(groups)]
    charts.append(_titled('Learning rate', line_chart(lines, 'iteration', 'learning rate', from_zero=True)))
    if experiment.stage == 2:
        charts.insert(1, _titled('Share of each term in the sum of the losses of all branches', _shares(values)))
    return section('Training', row(*charts))


def metrics(experiment: Experiment) -> str:
    """PSNR and other metrics that compare with aligned photos, of each validation set over time."""
    sets = {}
    for entry in experiment.validations:
        for name, value in entry.get('metrics', {}).items():
            series = sets.setdefault(name, {}).setdefault(entry['dataset'], [])
            series.append((entry['iter'], math.nan if value is None else value))
    if not sets:
        return section('Against aligned photos', note('No validation with metrics was recorded.'))
    charts = []
    for name, by_set in sets.items():
        lines = [Line(dataset, points, k) for k, (dataset, points) in enumerate(by_set.items())]
        unit = next((f' ({unit})' for part, unit in UNITS.items() if part in name), '')
        direction = 'lower' if any(part in name for part in DOWN) else 'higher'
        charts.append(_titled(f'{name}: {direction} is better', line_chart(lines, 'iteration', f'{name}{unit}')))
    what = ('generated LR is compared with the aligned real LR photo; one draw is one of many plausible photos, so '
            'these figures stay low even for a perfect generator' if experiment.stage == 1 else
            'the super-resolved photo is compared with the true HR photo; S_1, S_2, ... are the branches')
    return section('Against aligned photos', f'<p>On the validation photos, {text(what)}.</p>', row(*charts))


def each_photo(experiment: Experiment) -> str:
    """The table of the last validation of each set, photo by photo."""
    parts, done = [], set()
    for entry in reversed(experiment.validations):
        photos = entry.get('photos')
        if entry['dataset'] in done or not photos or not any(photos.values()):
            continue
        done.add(entry['dataset'])
        names = list(entry['metrics'])
        rows = [(text(photo), *(exact(found.get(name)) for name in names)) for photo, found in sorted(photos.items())]
        rows.append(('<b>mean</b>', *(f'<b>{exact(entry["metrics"][name])}</b>' for name in names)))
        parts.insert(0, f'<details {"open" if len(rows) < 20 else ""}><summary>{text(entry["dataset"])}, iteration '
                        f'{entry["iter"]:,}</summary>{table(("photo", *map(text, names)), rows, "figures")}</details>')
    return section('Photo by photo', *parts) if parts else ''


def _loss_name(name: str) -> str:
    stem, _, branch = name.rpartition('_')
    return f'{LOSSES.get(stem, stem)}, branch {branch}' if branch.isdigit() else LOSSES.get(name, name)


def _chart(values, names, label, y_label, log=False) -> str:
    lines = [Line(label(name) or name, sorted(values[name].items()), k) for k, name in enumerate(names)]
    return line_chart(lines, 'iteration', y_label + (' (log scale)' if log else ''), log=log)


def _shares(values) -> str:
    iterations = sorted({i for series in values.values() for i in series})
    by_term = {}
    for i in iterations:
        for term, part in loss_shares({name: series[i] for name, series in values.items() if i in series}).items():
            by_term.setdefault(term, []).append((i, 100 * part))
    lines = [Line(LOSSES.get(f'l_{term}', term), points, k) for k, (term, points) in enumerate(by_term.items())]
    return line_chart(lines, 'iteration', 'share of the loss (%)', from_zero=True)


def _titled(title: str, chart: str) -> str:
    return f'<div class="titled"><h3>{text(title)}</h3>{chart}</div>'
