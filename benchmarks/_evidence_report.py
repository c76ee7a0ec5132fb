"""The tables of a run, in Markdown, with a plain statement for each claim."""

import math

from _evidence_measure import LPIPS, METRICS
from _evidence_plan import GENERATORS, ROWS, as_text
from _evidence_statistics import gap_share, over_seeds, paired, seeds_note, seeds_of
from _evidence_transfer import BANDS
from _evidence_truth import TRUTH_FIGURES

from mssr_metric import FIGURES

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
          'ssim_basicsr': 'SSIM, basicsr', LPIPS: 'LPIPS'}


def summarize(results: dict) -> dict:
    """All that the tables say, from the figures in ``results``: to be kept beside them."""
    figures = results['figures']
    metrics = [*METRICS, *([LPIPS] if any(LPIPS in next(iter(found.values())) for found in figures.values()) else [])]
    summary = {'rows': {}, 'differences': {}, 'claims': {}, 'gap': {}}

    def of(row, metric):
        return {seed: found[metric] for seed, found in figures[row].items()}

    def differences(row, other):
        """By metric; nothing where the rows have no seed in common."""
        found = {m: paired(of(row, m), of(other, m), lower_is_better=m == LPIPS) for m in metrics}
        return {metric: difference.as_dict() for metric, difference in found.items() if difference}

    for row in figures:
        summary['rows'][row] = {metric: dict(zip(('mean', 'deviation'), over_seeds(of(row, metric)), strict=True))
                                for metric in metrics}
        for other in BASELINES:
            if other in figures and row not in (other, 'interpolation'):
                summary['differences'][f'{row} - {other}'] = differences(row, other)
        if {'bicubic', 'oracle'} <= set(figures):
            summary['gap'][row] = gap_share(*(of(name, 'psnr_mssr') for name in (row, 'bicubic', 'oracle')))
    for claim, (row, other) in CLAIMS.items():
        if {row, other} <= set(figures):
            summary['claims'][claim] = differences(row, other)
    for section in ('differences', 'claims'):
        summary[section] = {name: found for name, found in summary[section].items() if found}
    return summary


def to_markdown(results: dict) -> str:
    """The whole report; ``results`` with its ``summary``."""
    world, summary = results['world'], results['summary']
    seeds = seeds_of(results['figures'])
    counts = ', '.join(f'{count} in `{role}`' for role, count in world['counts'].items())
    machine = results['machine']
    lines = [
        f'# Evidence: `{world["name"]}`', '',
        f'Photos: {counts}. {len(results["images"])} validation pairs, which no training saw. '
        f'Size `{results["size"]}`, {_plural(len(seeds), "seed")} ({", ".join(seeds) or "none yet"}). '
        f'{machine["device"]}, torch {machine["versions"]["torch"]}, '
        f'{_plural(machine["threads"], "thread")} a process; {as_text(sum(results["seconds"].values()))} of computing '
        'in all.', '', f'Command: `{results["command"]}`', '',
    ]
    if results['unfinished']:
        lines += [f'**Not finished:** {", ".join(results["unfinished"])}. What follows lacks them.', '']
    if world['known']:
        camera = ', '.join(f'{name} {low:g} to {high:g}' for name, (low, high) in world['known']['camera'].items())
        lines += [f'The degradation is known: {camera}.', '']
    lines += ['## Figures', '', *_figures(results), '', '## Differences', '', *_differences(summary), '']
    lines += ['## What holds', '', *statements(summary), '', RULE, '']
    if results['generators']:
        lines += ['## Stage 1', '', *generator_tables(results['generators']), '']
    lines += ['## Pictures', '', '![PSNR and SSIM against interpolation](plot.svg)', '']
    lines += [f'![{name} image](pictures_{name}.png)\n' for name in results['shown']]
    return '\n'.join(lines)


def statements(summary: dict) -> list[str]:
    """A line for each claim."""
    lines = []
    for claim, found in summary['claims'].items():
        parts = [f'{found[metric]["verdict"]} in {TITLES[metric].split(",")[0]}: {signed(found[metric], metric)}'
                 for metric in ('psnr_mssr', 'ssim_mssr', LPIPS) if metric in found]
        lines.append(f'- {claim}: {"; ".join(parts)}.')
    gap = summary['gap'].get('full')
    if gap:
        enough = 'holds' if gap['share'] >= 0.5 else 'does not hold'
        lines.append(f'- The full method closes half of the gap between bicubic-trained SR and the oracle: {enough} '
                     f'({gap["share"]:.0%}, {gap["low"]:.0%} to {gap["high"]:.0%}).')
    elif 'oracle' in summary['gap'] and summary['gap']['oracle'] is None:
        lines.append('- The oracle is not better than bicubic-trained SR with an interval above zero: there is no gap '
                     'to close a part of.')
    return lines or ['Too few rows for any claim.']


def _figures(results: dict) -> list[str]:
    summary = results['summary']
    metrics = [metric for metric in TITLES if metric in next(iter(summary['rows'].values()))]
    gap = bool(summary['gap'])
    head = ['', *(TITLES[metric] for metric in metrics), *(['share of the gap'] if gap else [])]
    rows = []
    for row, figures in summary['rows'].items():
        cells = [with_deviation(figures[metric], metric) for metric in metrics]
        if gap:
            share = summary['gap'].get(row)
            cells.append(f'{share["share"]:.0%} ({share["low"]:.0%} to {share["high"]:.0%})' if share else '–')
        note = seeds_note(results['figures'], row)
        rows.append([f'{ROWS[row].title} (`{row}`){f", {note}" if note else ""}', *cells])
    notes = ['Means over the validation images, and over the seeds with their deviation where there are several. All '
             'rows but the first are ensembles of two equal networks with the same initial weights, crops, batches and '
             'iterations; `three` has three.']
    if LPIPS not in metrics:
        notes.append("LPIPS was not measured: AlexNet's weights are not on this machine.")
    return [*table(head, rows), '', *notes]


def _differences(summary: dict) -> list[str]:
    rows = [[f'`{name}`', *(signed(found[metric], metric) for metric in ('psnr_mssr', 'ssim_mssr', 'psnr_basicsr'))]
            for name, found in summary['differences'].items()]
    head = ['', 'PSNR, mssr (95 % interval)', 'SSIM, mssr (95 % interval)', 'PSNR, basicsr (95 % interval)']
    return table(head, rows)


def generator_tables(generators: dict) -> list[str]:
    """Figures against real LR of the training set and, in a known world, against the truth; means over the seeds."""
    def mean(found, *keys):
        values = []
        for one in found.values():
            for key in keys:
                one = (one or {}).get(key)
            if one is not None:
                values.append(one)
        return sum(values) / len(values) if values else math.nan

    names = [name for name in GENERATORS if name in generators]
    first = generators[names[0]]
    figures = [f for f in FIGURES if not math.isnan(mean(first, 'training_photos', 'generated', f))]
    head = ['against the training photos', *(f'`{name}`' for name in names), 'bicubic LR', 'real LR']
    rows = [[f'{figure.replace("_", " ")} ({FIGURES[figure][0] or FIGURES[figure][1]})',
             *(_number(mean(generators[name], 'training_photos', 'generated', figure)) for name in names),
             *(_number(mean(first, 'training_photos', column, figure)) for column in ('bicubic', 'real'))]
            for figure in figures]
    lines = [*table(head, rows), '', 'Each figure is explained in docs/degradation_metrics.md.', '',
             *_transfers({name: generators[name] for name in names})]
    if any(one['truth'] for one in first.values()):
        head = ['against the truth', *(f'`{name}`' for name in names), 'bicubic LR', 'truth']
        rows = [[f'{figure.replace("_", " ")}{f" ({unit})" if unit else ""}',
                 *(_number(mean(generators[name], 'truth', 'generated', figure)) for name in names),
                 *(_number(mean(first, 'truth', column, figure)) for column in ('bicubic', 'truth'))]
                for figure, (unit, _) in TRUTH_FIGURES.items()]
        notes = '; '.join(f'{name.replace("_", " ")}: {about}' for name, (_, about) in TRUTH_FIGURES.items())
        lines += ['', *table(head, rows), '', f'On the validation photos, which no stage saw. {notes}. What the truth '
                  "differs by is what a perfect generator would, with as few draws."]
    return lines


def _transfers(generators: dict) -> list[str]:
    """What becomes of each frequency, of generators and of the real LR of the pairs; means over the seeds."""
    def bands(seeds, column, figure):
        values = [one['pairs'][column][figure] for one in seeds.values()]
        return ' '.join(f'{sum(band) / len(band):.2f}' for band in zip(*values, strict=True))

    columns = [(f'`{name}`', seeds, 'generated') for name, seeds in generators.items()]
    columns.append(('real LR', next(iter(generators.values())), 'real'))
    rows = [[name, *(bands(seeds, column, figure) for figure in ('transfer', 'residual'))]
            for name, seeds, column in columns]
    return [*table(['against the validation pairs', 'gain', 'rest'], rows), '',
            f'Relative to bicubic LR of the same photos (gain 1, rest 0), in {BANDS} bands up to half a cycle in an LR '
            'pixel. Gain: the nearest filter, that is, blur. Rest: the power of what is no filter of the photo: noise, '
            'JPEG, texture, and shifts of real pairs.']


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table, numbers to the right."""
    return [f'| {" | ".join(cells)} |' for cells in (head, ['---', *['---:'] * (len(head) - 1)], *rows)]


def _digits(metric: str) -> int:
    return 2 if metric.startswith('psnr') else 4


def with_deviation(figure: dict, metric: str) -> str:
    """``18.90 ± 0.01``; of one seed, ``18.90``."""
    deviation = figure['deviation']
    shown = '' if deviation is None or math.isnan(deviation) else f' ± {deviation:.{_digits(metric)}f}'
    return f'{figure["mean"]:.{_digits(metric)}f}{shown}'


def signed(found: dict, metric: str) -> str:
    """``+0.310 (+0.120 to +0.500)``"""
    digits = 3 if metric.startswith('psnr') else 4
    mean, low, high = (f'{found[key]:+.{digits}f}' for key in ('mean', 'low', 'high'))
    return f'{mean} ({low} to {high})'


def _number(value: float) -> str:
    return '–' if math.isnan(value) else f'{value:.2f}'


def _plural(count: int, noun: str) -> str:
    return f'{count} {noun}{"" if count == 1 else "s"}'
