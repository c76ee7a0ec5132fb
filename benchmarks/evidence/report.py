"""The tables of a run, in Markdown, with a plain statement for each claim."""

import math

from benchmarks.evidence.generators import BANDS, TRUTH_FIGURES
from benchmarks.evidence.measure import METRICS
from benchmarks.evidence.pictures import of
from benchmarks.evidence.plan import ROWS
from benchmarks.evidence.statistics import gap_share, over_seeds, paired
from mssr_metric import FIGURES, better

BASELINES = ('interpolation', 'bicubic', 'deterministic')
#: claim: (row, row before)
CLAIMS = {
    'Probabilistic degradation beats deterministic degradation': ('probabilistic', 'deterministic'),
    'Two generators beat one': ('mixed', 'probabilistic'),
    'Collaboration adds to it': ('collaboration', 'mixed'),
    'Adaptation adds to it': ('full', 'collaboration'),
    'Three generators beat two (with one network more)': ('three', 'full'),
    'The full method beats bicubic interpolation': ('full', 'interpolation'),
    'The full method beats SR trained on bicubic LR': ('full', 'bicubic'),
    'The full method beats SR trained on a deterministic generator': ('full', 'deterministic'),
}
RULE = ('Rule: a claim *holds* for a figure where the 95 % interval of the difference, paired by validation image '
        "(Student's t; each image's figures are first averaged over the seeds), lies above zero, and so does the mean "
        'of each seed; it *does not hold* where all of these lie below; else it is *not resolved*. The interval speaks '
        'of other images of this kind, and not of other seeds.')
TITLES = {'psnr_mssr': 'PSNR, mssr', 'ssim_mssr': 'SSIM, mssr', 'psnr_basicsr': 'PSNR, basicsr',
          'ssim_basicsr': 'SSIM, basicsr', 'lpips': 'LPIPS'}


def summarize(figures: dict) -> dict:
    """All that the tables say, from the figures of all rows: to be kept beside them."""
    measured = {metric for found in figures.values() for metric in next(iter(found.values()))}
    metrics = [metric for metric in (*METRICS, 'lpips') if metric in measured]

    def differences(row, other):
        """By metric; nothing where the rows have no seed in common."""
        found = {m: paired(of(figures, row, m), of(figures, other, m), better(m) == 'lower') for m in metrics}
        return {metric: difference.as_dict() for metric, difference in found.items() if difference}

    pairs = {f'{row} - {other}': (row, other) for row in figures for other in BASELINES
             if other in figures and row not in (other, 'interpolation')}
    claims = {claim: rows for claim, rows in CLAIMS.items() if set(rows) <= set(figures)}
    return {
        'rows': {row: {metric: dict(zip(('mean', 'deviation'), over_seeds(of(figures, row, metric)), strict=True))
                       for metric in metrics} for row in figures},
        'differences': {name: found for name, rows in pairs.items() if (found := differences(*rows))},
        'claims': {claim: found for claim, rows in claims.items() if (found := differences(*rows))},
        'gap': {row: gap_share(*(of(figures, name, 'psnr_mssr') for name in (row, 'bicubic', 'oracle')))
                for row in figures} if {'bicubic', 'oracle'} <= set(figures) else {},
    }


def to_markdown(results: dict) -> str:
    """The whole report; ``results`` with its ``summary``."""
    world, machine, summary = results['world'], results['machine'], results['summary']
    seeds = sorted({seed for found in results['figures'].values() for seed in found if seed})
    counts = ', '.join(f'{count} in `{role}`' for role, count in world['counts'].items())
    lines = [
        f'# Evidence: `{world["name"]}`', '',
        f'Photos: {counts}. {len(results["images"])} validation pairs, which no training saw. '
        f'Size `{results["size"]}`, seeds: {", ".join(seeds) or "none yet"}. {machine["device"]}, torch '
        f'{machine["versions"]["torch"]}, threads of a process: {machine["threads"]}; '
        f'{sum(results["seconds"].values()) / 60:.0f} minutes of computing in all.', '',
        f'Command: `{results["command"]}`', '']
    if results['unfinished']:
        lines += [f'**Not finished:** {", ".join(results["unfinished"])}. What follows lacks them.', '']
    if world['known']:
        camera = ', '.join(f'{name} {low:g} to {high:g}' for name, (low, high) in world['known']['camera'].items())
        lines += [f'The degradation is known: {camera}.', '']
    lines += ['## Figures', '', *_figures(results, seeds), '', '## Differences', '']
    head = ['PSNR, mssr (95 % interval)', 'SSIM, mssr (95 % interval)', 'PSNR, basicsr (95 % interval)']
    lines += table(['', *head], [[f'`{name}`', *(signed(found, m) for m in ('psnr_mssr', 'ssim_mssr', 'psnr_basicsr'))]
                                 for name, found in summary['differences'].items()])
    lines += ['', '## What holds', '', *statements(summary), '', RULE, '']
    if results['generators']:
        lines += ['## Stage 1', '', *generator_tables(results['generators']), '']
    lines += ['## Pictures', '', '![PSNR and SSIM against interpolation](plot.svg)', '']
    return '\n'.join(lines + [f'![{name} image](pictures_{name}.png)\n' for name in results['shown']])


def _figures(results: dict, seeds: list[str]) -> list[str]:
    summary, rows = results['summary'], []
    metrics = [metric for metric in TITLES if metric in next(iter(summary['rows'].values()))]
    for row, figures in summary['rows'].items():
        have = len(results['figures'][row])
        note = f', {have} of {len(seeds)} seeds' if ROWS[row].generators and have < len(seeds) else ''
        share = summary['gap'].get(row)
        shares = [f'{share["share"]:.0%} ({share["low"]:.0%} to {share["high"]:.0%})' if share else '–']
        rows.append([f'{ROWS[row].title} (`{row}`){note}', *(_mean(figures[metric], metric) for metric in metrics),
                     *(shares if summary['gap'] else [])])
    lines = table(['', *(TITLES[m] for m in metrics), *(['share of the gap'] if summary['gap'] else [])], rows)
    lines += ['', 'Means over the validation images, and over the seeds with their deviation where there are several. '
              'All rows but the first are ensembles of two equal networks with the same initial weights, crops, '
              'batches and iterations; `three` has three.']
    return lines if 'lpips' in metrics else [*lines, "LPIPS was not measured: AlexNet's weights are not on this "
                                                     'machine.']


def statements(summary: dict) -> list[str]:
    """A line for each claim."""
    lines = []
    for claim, found in summary['claims'].items():
        parts = [f'{found[metric]["verdict"]} in {TITLES[metric].split(",")[0]}: {signed(found, metric)}'
                 for metric in ('psnr_mssr', 'ssim_mssr', 'lpips') if metric in found]
        lines.append(f'- {claim}: {"; ".join(parts)}.')
    gap = summary['gap'].get('full')
    if gap:
        enough = 'holds' if gap['share'] >= 0.5 else 'does not hold'
        lines.append(f'- The full method closes half of the gap between bicubic-trained SR and the oracle: {enough} '
                     f'({gap["share"]:.0%}, {gap["low"]:.0%} to {gap["high"]:.0%}).')
    elif summary['gap'] and summary['gap']['oracle'] is None:
        lines.append('- The oracle is not better than bicubic-trained SR with an interval above zero: there is no gap '
                     'to close a part of.')
    return lines or ['Too few rows for any claim.']


def generator_tables(generators: dict) -> list[str]:
    """Figures against real LR of the training set, of the pairs and, in a known world, against the truth.

    Means over the seeds. What does not depend on the generator is shown once.
    """
    names, first = list(generators), next(iter(generators.values()))
    head = [f'`{name}`' for name in names]

    def cells(section, figure, beside):
        columns = [(found, 'generated') for found in generators.values()] + [(first, column) for column in beside]
        for found, column in columns:
            values = [value for one in found.values() if (value := one[section][column].get(figure)) is not None]
            mean = sum(values) / len(values) if values else math.nan
            yield '–' if math.isnan(mean) else f'{mean:.2f}'

    rows = [[f'{name.replace("_", " ")} ({unit or direction})', *cells('training_photos', name, ('bicubic', 'real'))]
            for name, (unit, direction, _) in FIGURES.items()]
    lines = table(['against the training photos', *head, 'bicubic LR', 'real LR'],
                  [row for row in rows if row[1] != '–'])
    lines += ['', 'Each figure is explained in docs/degradation_metrics.md.', '']

    columns = [(f'`{name}`', found, 'generated') for name, found in generators.items()] + [('real LR', first, 'real')]
    bands = [[name, *(zip(*(one['pairs'][column][figure] for one in found.values()), strict=True)
                      for figure in ('transfer', 'residual'))] for name, found, column in columns]
    rows = [[name, *(' '.join(f'{sum(band) / len(band):.2f}' for band in figure) for figure in found)]
            for name, *found in bands]
    lines += [*table(['against the validation pairs', 'gain', 'rest'], rows), '',
              f'Relative to bicubic LR of the same photos (gain 1, rest 0), in {BANDS} bands up to half a cycle in an '
              'LR pixel. Gain: the nearest filter, that is, blur. Rest: the power of what is no filter of the photo: '
              'noise, JPEG, texture, and shifts of real pairs.']
    if all(one['truth'] for found in generators.values() for one in found.values()):
        rows = [[f'{figure.replace("_", " ")}{f" ({unit})" if unit else ""}',
                 *cells('truth', figure, ('bicubic', 'truth'))] for figure, (unit, _) in TRUTH_FIGURES.items()]
        notes = '; '.join(f'{name.replace("_", " ")}: {about}' for name, (_, about) in TRUTH_FIGURES.items())
        lines += ['', *table(['against the truth', *head, 'bicubic LR', 'truth'], rows), '',
                  f'On the validation photos, which no stage saw. {notes}. What the truth differs by is what a perfect '
                  'generator would, with as few draws.']
    return lines


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table, numbers to the right."""
    return [f'| {" | ".join(cells)} |' for cells in (head, ['---', *['---:'] * (len(head) - 1)], *rows)]


def _mean(figure: dict, metric: str) -> str:
    """``18.90 ± 0.01``; of one seed, ``18.90``."""
    digits = 2 if metric.startswith('psnr') else 4
    deviation = '' if math.isnan(figure['deviation']) else f' ± {figure["deviation"]:.{digits}f}'
    return f'{figure["mean"]:.{digits}f}{deviation}'


def signed(found: dict, metric: str) -> str:
    """``+0.310 (+0.120 to +0.500)``"""
    digits = 4 if metric.startswith(('ssim', 'lpips')) else 3
    mean, low, high = (f'{found[metric][key]:+.{digits}f}' for key in ('mean', 'low', 'high'))
    return f'{mean} ({low} to {high})'
