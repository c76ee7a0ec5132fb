"""What the sections of the page show: rows of tables, charts, and pictures; ``report.html`` says how."""

import math
from datetime import timedelta

import numpy as np
import torch
from torch.nn.functional import interpolate

from mssr_arch.degradation_base import LEARNED
from mssr_metric.degradation_figures import FIGURES
from mssr_metric.spectrum import frequencies
from mssr_monitor.branch_monitor import loss_shares
from mssr_report.charts import Line, bar_chart, line_chart
from mssr_report.evidence import Evidence
from mssr_report.experiment import Experiment
from mssr_report.formats import exact, number, short_path, text

Charts = list[tuple[str, str]]  # titles and charts

GOOD = {'lower': 'lower is better', 'near real': 'near that of real LR is best', 'above 0': 'must not be 0'}
LOSSES = {
    'l_g_color': 'colour', 'l_g_percep': 'perceptual', 'l_g_spectrum': 'spectrum', 'l_g_gan': 'adversarial',
    'l_d': 'discriminator', 'l_d_gp': 'gradient penalty', 'l_sup': 'supervised', 'l_collab': 'collaborative',
    'l_feature': 'feature', 'l_adapt': 'adaptation', 'l_consistency': 'consistency', 'l_distance': 'distance',
    'l_pix': 'pixel',
}
UNITS = {'psnr': 'dB'}


# --- stage 1 ----------------------------------------------------------------------------------------------------------


def degradation_figures(experiment: Experiment, evidence: Evidence | None) -> tuple[list[tuple], Charts]:
    """The figures that need no aligned LR: the last ones as rows of a table, all as charts."""
    entries = [entry for entry in experiment.validations if entry.get('figures')]
    last = entries[-1] if entries else None
    if last is None and evidence is not None and evidence.figures is not None:
        last = {'figures': evidence.figures.generated, 'bicubic': evidence.figures.bicubic,
                'real': evidence.figures.real}
    if last is None:
        return [], []
    rows = [(name, *(number(last.get(which, {}).get(name)) for which in ('figures', 'bicubic', 'real')), unit or '–',
             GOOD[direction], meaning) for name, (unit, direction, meaning) in FIGURES.items()]
    return rows, [_over_time(name, entries) for name in FIGURES] if len(entries) > 1 else []


def _over_time(name: str, entries: list[dict]) -> tuple[str, str]:
    unit, direction, meaning = FIGURES[name]
    lines = [_line(title, [(entry['iter'], entry[which].get(name)) for entry in entries], k)
             for k, (title, which) in enumerate((('generated', 'figures'), ('bicubic', 'bicubic'), ('real', 'real')))
             if k == 0 or all(name in entry.get(which, {}) for entry in entries)]
    chart = line_chart(lines, 'iteration', f'{name} ({unit})' if unit else name, from_zero=True)
    return f'{meaning[0].upper()}{meaning[1:]} ({GOOD[direction]})', chart


def spectra(p: dict[str, np.ndarray]) -> str:
    """A chart of the power at each frequency."""
    lines = [Line(f'{name} LR', list(zip(frequencies().tolist(), p[f'spectrum_{name}'].tolist(), strict=True)), k)
             for k, name in enumerate(('generated', 'bicubic', 'real')) if f'spectrum_{name}' in p]
    return line_chart(lines, 'frequency (cycles per pixel; 0.5 is the finest)', 'power (dB over one level of noise)')


def injections(p: dict[str, np.ndarray]) -> Charts:
    """What each noise injection changes, as bars."""
    names = [f'injection {k}' for k in range(1, len(p['effect']) + 1)]
    return [(title, bar_chart(list(zip(names, p[key].tolist(), strict=True)), label)) for title, key, label in (
        ('Effect on the LR photo', 'effect', 'deviation between draws (levels)'),
        ('Learned weight', 'effective_noise', 'mean |w| * std (units of the features)'))]


def learned(p: dict[str, np.ndarray]) -> tuple[list[tuple], list[tuple[str, np.ndarray]], str]:
    """What a generator says of itself: rows of a table, its kernels by titles, a chart of its noise."""
    rows = [(name, number(value), f'{number(low)} to {number(high)}', unit or '–', meaning)
            for (name, (unit, meaning)), (value, low, high) in zip(LEARNED.items(), p['learned'].tolist(), strict=True)]
    titles = ('bicubic', 'typical', *(f'draw {k}' for k in range(1, len(p['kernels']) - 1)))
    brightness, *curves = p['noise_curve'].tolist()
    lines = [Line(title, list(zip(brightness, curve, strict=True)), k)
             for k, (title, curve) in enumerate(zip(('typical', '5 % of the draws', '95 %'), curves, strict=True))]
    return rows, list(zip(titles, p['kernels'].clip(0), strict=True)), line_chart(
        lines, 'brightness (levels)', 'deviation of the noise (levels)', from_zero=True)


# --- stage 2 ----------------------------------------------------------------------------------------------------------


def branch_figures(experiment: Experiment) -> tuple[list[str], list[tuple]]:
    """The last metrics of ensemble and branches: names, and rows of a table."""
    newest = {entry['dataset']: entry for entry in experiment.validations}
    newest = {name: entry for name, entry in newest.items() if entry['metrics']}
    names = list(dict.fromkeys(name for entry in newest.values() for name in entry['metrics']))
    return names, [(_who(dataset), f'{entry["iter"]:,}', *(exact(entry['metrics'].get(name)) for name in names))
                   for dataset, entry in newest.items()]


def disagreement(experiment: Experiment) -> str:
    """A chart of how far the branches disagree, or nothing."""
    series = {}
    for entry in experiment.validations:
        value = entry.get('figures', {}).get('branch_disagreement')
        if value is not None:
            series.setdefault(entry['dataset'], []).append((entry['iter'], value))
    lines = [Line(dataset, points, k) for k, (dataset, points) in enumerate(series.items())]
    return line_chart(lines, 'iteration', 'disagreement (levels)', from_zero=True) if lines else ''


def restored(p: dict[str, np.ndarray]) -> list[dict]:
    """Of each photo ``before`` (interpolated), ``after``, ``branches``, ``spread`` and ``gt``, where there is one.

    RGB (3, H, W) uint8; ``spread``, the deviation between the branches, is (H, W) in 8-bit levels, ``highest`` its
    largest value.
    """
    photos = []
    for k in range(sum(name.startswith('lq_') for name in p)):
        branches = p[f'branches_{k}'].astype(np.float32)
        wide = interpolate(torch.from_numpy(p[f'lq_{k}'])[None].float(), branches.shape[2:], mode='bicubic')
        photos.append({
            'before': wide[0].clamp(0, 255).round().to(torch.uint8).numpy(),
            'after': np.round(branches.mean(0)).astype(np.uint8), 'branches': p[f'branches_{k}'],
            'spread': np.sqrt(branches.var(0).mean(0)), 'gt': p.get(f'gt_{k}')})
        photos[-1]['highest'] = float(photos[-1]['spread'].max())
    return photos


def _who(dataset: str) -> str:
    base, _, branch = dataset.rpartition('/S_')
    return f'{base}, branch S_{branch}' if base and branch.isdigit() else f'{dataset}, ensemble'


# --- both -------------------------------------------------------------------------------------------------------------


def metrics(experiment: Experiment) -> Charts:
    """PSNR and other metrics that compare with aligned photos, of each validation set over time."""
    sets = {}
    for entry in experiment.validations:
        for name, value in entry.get('metrics', {}).items():
            sets.setdefault(name, {}).setdefault(entry['dataset'], []).append((entry['iter'], value))
    charts = []
    for name, by_set in sets.items():
        lines = [_line(dataset, points, k) for k, (dataset, points) in enumerate(by_set.items())]
        unit = next((f' ({unit})' for part, unit in UNITS.items() if part in name), '')
        direction = experiment.better(name)
        charts.append((f'{name}: {direction} is better', line_chart(lines, 'iteration', f'{name}{unit}')))
    return charts


def training(experiment: Experiment) -> Charts:
    """Losses, the discriminator's scores and learning rates, from the log."""
    values, rates = experiment.log.values, experiment.log.rates
    if not values:
        return []

    def chart(names, y_label, log=False):
        lines = [Line(_loss_name(name), sorted(values[name].items()), k) for k, name in enumerate(names)]
        return line_chart(lines, 'iteration', y_label + (' (log scale)' if log else ''), log=log)

    losses = [name for name in values if name.startswith('l_')]
    judge = [name for name in losses if name.startswith('l_d')]
    scores = [name for name in ('out_d_real', 'out_d_fake') if name in values]
    charts = [('Losses of the trained network, weighted as they are summed',
               chart([name for name in losses if name not in judge], 'weighted loss', log=True))]
    if experiment.stage == 2:
        charts.append(('Share of each term in the sum of the losses of all branches', _shares(values)))
    if judge:
        charts.append(('Loss of the discriminator', chart(judge, 'loss')))
    if scores:
        charts.append(('Scores of the discriminator', chart(scores, 'mean score (1: surely real)')))
    groups = max((len(some) for some in rates.values()), default=0)
    lines = [Line('all weights' if groups == 1 else ('weights', 'noise weights')[k] if k < 2 else f'group {k + 1}',
                  [(i, some[k]) for i, some in sorted(rates.items()) if len(some) > k], k) for k in range(groups)]
    return [*charts, ('Learning rate', line_chart(lines, 'iteration', 'learning rate', from_zero=True))]


def _loss_name(name: str) -> str:
    stem, _, branch = name.rpartition('_')
    names = {**LOSSES, 'out_d_real': 'real LR', 'out_d_fake': 'generated LR'}
    return f'{names.get(stem, stem)}, branch {branch}' if branch.isdigit() else names.get(name, name)


def _shares(values: dict[str, dict[int, float]]) -> str:
    by_term = {}
    for i in sorted({i for series in values.values() for i in series}):
        for term, part in loss_shares({name: series[i] for name, series in values.items() if i in series}).items():
            by_term.setdefault(term, []).append((i, 100 * part))
    lines = [Line(LOSSES.get(f'l_{term}', term), points, k) for k, (term, points) in enumerate(by_term.items())]
    return line_chart(lines, 'iteration', 'share of the loss (%)', from_zero=True)


def _line(name: str, points: list[tuple[float, float | None]], style: int) -> Line:
    return Line(name, [(x, math.nan if y is None else y) for x, y in points], style)


def photo_tables(experiment: Experiment) -> list[tuple[str, list[str], list[tuple], list[str]]]:
    """Of the last validation of each set: what it was, names of its metrics, a row of each photo, and the means."""
    last = {}
    for entry in experiment.validations:
        if any((entry.get('photos') or {}).values()):
            last[entry['dataset']] = entry
    return [(f'{entry["dataset"]}, iteration {entry["iter"]:,}', list(entry['metrics']),
             [(photo, *(exact(found.get(name)) for name in entry['metrics']))
              for photo, found in sorted(entry['photos'].items())], [exact(x) for x in entry['metrics'].values()])
            for entry in sorted(last.values(), key=experiment.validations.index)]


def what_was_run(experiment: Experiment) -> list[tuple[str, str]]:
    """Networks, data, versions and time: names and HTML."""
    options, log, best = experiment.options, experiment.log, experiment.best
    loading, train = (options.get('datasets') or {}).get('train') or {}, options.get('train') or {}
    rows = [('Model', text(options.get('model_type', 'unknown'))), ('Scale', f'x{text(options.get("scale", "?"))}')]
    rows += [(key, _network(options[key])) for key in ('network_g', 'network_d') if isinstance(options.get(key), dict)]
    for k, section in enumerate(options.get('degradations') or (), start=1):
        source = f'from {short_path(section["checkpoint"])}' if section.get('checkpoint') else 'without weights'
        listed = f', for the photos of {short_path(section["meta_info_lq"])}' if section.get('meta_info_lq') else ''
        rows.append((f'Degradation {k}', f'{_network(section)} {source}{listed}'))
    for key, path, there in experiment.data_folders():
        gone = '' if there else ' <em class="gone">(not there any more)</em>'
        rows.append((key.removeprefix('datasets.'), short_path(path) + gone))
    if log.counts.get('Number of train images'):
        rows.append(('Training photos', text(log.counts['Number of train images'])))
    weights = [f'{text(key.removesuffix("_opt"))} {text(number(value.get("loss_weight", 1.0)))}'
               for key, value in train.items() if key.endswith('_opt') and isinstance(value, dict)]
    rows += [('Batch, crop', f'{text(loading.get("batch_size_per_gpu", "?"))} crops of '
                             f'{text(loading.get("gt_size", "?"))} px (HR)'),
             ('Weights of the losses', ', '.join(weights) or '–'), ('Seed', text(options.get('manual_seed', '–')))]
    if log.begun:
        rows.append(('Time', f'begun {log.begun}, last heard of {log.last}; worked for '
                     f'{timedelta(seconds=round(log.working))}' + (f' in {log.files} parts' if log.files > 1 else '')))
    if log.seconds:
        rows.append(('Speed', f'{number(list(log.seconds.values())[-1])} s an iteration'))
    if log.versions:
        rows.append(('Versions', ', '.join(f'{text(k)} {text(v)}' for k, v in log.versions.items())))
    rows.append(('Newest weights', text(experiment.checkpoint.name) if experiment.checkpoint else 'none saved yet'))
    rows.append(('Best weights', f'net_g_best.pth, iteration {best["iter"]:,}: {text(best["metric"])} '
                 f'{number(best["value"])}' if best else 'not kept (val.select chooses the figure)'))
    return rows


def _network(options: dict) -> str:
    if options.get('branches'):
        return f'{text(options.get("type"))}: ' + ', '.join(_network(branch) for branch in options['branches'])
    rest = ', '.join(f'{key} {value}' for key, value in options.items()
                     if key not in ('type', 'checkpoint', 'meta_info_lq') and not isinstance(value, dict | list))
    return f'{text(options.get("type"))} <small>{text(rest)}</small>'
