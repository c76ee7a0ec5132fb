"""What a comparison with peers says: the summary of one set of pairs, tables in Markdown, and PSNR against LPIPS."""

from itertools import permutations
from pathlib import Path

import numpy as np

from benchmarks.drawing import pyplot, save
from benchmarks.evidence.pictures import of
from benchmarks.evidence.report import signed, table
from benchmarks.evidence.statistics import interval, over_seeds, paired
from mssr_metric import better
from mssr_metric.octaves import OCTAVES

#: metric: (title, digits)
FIGURES = {'psnr_mssr': ('PSNR', 2), 'ssim_mssr': ('SSIM', 3), 'lpips': ('LPIPS', 3), 'dists': ('DISTS', 3),
           'octaves': ('octaves', 1)}
LOWER = {metric: metric == 'octaves' or better(metric) == 'lower' for metric in FIGURES}
BICUBIC, BEST = 'bicubic', 'the best peer'
LOCK = '+lock'  # what names of rows with the colour lock end in
RULE = ("Differences are paired by photo, with their 95 % interval (Student's t; seeds are averaged first), and turned "
        'so that above zero the row is better; **bold**: the interval, and the mean of each seed, lie above zero. '
        "Octaves: power of the result's luma over the truth's from 1/32 to 1/16, to 1/8, to 1/4 and to 3/4 of a cycle "
        'a pixel, geometric means over the photos; then how far the photos are from 1 in them, a mean in dB.')


def summarize(figures: dict, peers: list[str]) -> dict:
    """Means, octaves, the best peer in each figure, and the differences of all rows, better minus worse."""
    known = [metric for metric in FIGURES if all(metric in one for seeds in figures.values() for one in seeds.values())]
    means = {row: {metric: over_seeds(of(figures, row, metric))[0] for metric in known} for row in figures}
    differences: dict[str, dict] = {row: {} for row in figures}
    for row, other in permutations(figures, 2):
        found = {m: paired(of(figures, row, m), of(figures, other, m), LOWER[m]) for m in known}
        differences[row][other] = {metric: one.as_dict() for metric, one in found.items() if one}
    return {'means': means, 'differences': differences,
            'octaves': {row: [octave(of(figures, row, f'octave_{k}')) for k in range(len(OCTAVES))]
                        for row in figures},
            'best_peer': {m: (min if LOWER[m] else max)(peers, key=lambda row, m=m: means[row][m]) for m in known}
            if peers else {}}


def octave(ratios: dict[str, list[float]]) -> dict[str, float]:
    """Geometric mean over the photos, seeds first, and its 95 % interval."""
    found = interval(np.log(list(ratios.values())).mean(0))
    return {key: float(np.exp(getattr(found, key))) for key in ('mean', 'low', 'high')}


def to_markdown(results: dict, against: list[str]) -> str:
    """All tables; ``against`` are rows to compare the others with beside interpolation and the best peer."""
    lines = ['# Peers', '', f'Command: `{results["command"]}`', '']
    for name, found in results['sets'].items():
        summary = found['summary']
        shown = {metric: FIGURES[metric] for metric in next(iter(summary['means'].values()))}
        with_pairs = [metric for metric in shown if metric != 'octaves']
        part = {'both': '', 'first': ', the first of every two', 'second': ', the second of every two'}[results['half']]
        lines += [f'## {name}', '', f'{len(found["photos"])} pairs{part}.', '']
        lines += table(['', *(shown[metric][0] for metric in with_pairs), 'power in octaves', 'off by, dB'], [
            [f'`{row}`{f", {seeds} seeds" if (seeds := len(found["figures"][row])) > 1 else ""}',
             *(f'{means[metric]:.{shown[metric][1]}f}' for metric in with_pairs),
             ' '.join(f'{one["mean"]:.2f}' for one in summary['octaves'][row]), f'{means["octaves"]:.1f}']
            for row, means in summary['means'].items()])
        for other in dict.fromkeys([BICUBIC, *([BEST] if summary['best_peer'] else []), *against]):
            others = summary['best_peer'] if other == BEST else dict.fromkeys(shown, other)
            head = [f'{title}, {others[metric]}' if other == BEST else title for metric, (title, _) in shown.items()]
            lines += ['', *table([f'against {other}', *head], [
                [f'`{row}`', *(_cell(summary['differences'][row], others[metric], metric) for metric in shown)]
                for row in summary['means'] if row != other])]
        lines += ['', f'![PSNR against LPIPS]({found["plot"]})', '']
    return '\n'.join([*lines, RULE, ''])


def _cell(differences: dict, other: str, metric: str) -> str:
    found = differences.get(other, {})  # nothing against itself, nor without a seed in common
    if metric not in found:
        return '–'
    text = signed(found, metric)
    return f'**{text}**' if found[metric]['verdict'] == 'holds' else text


def write_scatter(figures: dict, peers: list[str], name: str, path: Path) -> Path:
    """PSNR against LPIPS of every row; the settings of one restorer's knob are joined; filled: with the colour lock."""
    figure, axes = pyplot().subplots(figsize=(7, 5))
    curves: dict[tuple[str, bool], list[tuple[float, ...]]] = {}
    for row in figures:
        point = tuple(over_seeds(of(figures, row, metric))[0] for metric in ('lpips', 'psnr_mssr'))
        is_peer, is_locked = row in (*peers, BICUBIC), row.endswith(LOCK)
        axes.plot(*point, 's' if is_peer else 'o', color='C0' if is_peer else 'C3', gid=row,
                  fillstyle='full' if is_locked else 'none')
        if not is_locked:
            axes.annotate(row, point, xytext=(4, 4), textcoords='offset points', fontsize=7)
        restorer, at, setting = row.removesuffix(LOCK).rpartition('@')
        if at:
            curves.setdefault((restorer, is_locked), []).append((float(setting), *point))
    for (_, is_locked), points in curves.items():
        _, *line = zip(*sorted(points), strict=True)
        axes.plot(*line, '-' if is_locked else ':', color='C3', zorder=1.5)
    axes.set(xlabel='LPIPS (better to the left)', ylabel='PSNR, dB', title=f'{name} (filled: with the colour lock)')
    axes.grid(color='#dddddd')
    save(figure, path)
    return path
