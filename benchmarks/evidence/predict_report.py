"""How alike figures and outcomes rank degradations, as tables in Markdown."""

import math

import numpy as np
from scipy.stats import rankdata

from benchmarks.evidence.candidates import CANDIDATES
from benchmarks.evidence.report import table
from benchmarks.evidence.without_pairs import FIGURES, OF_SR

#: outcome: title, sign with which less is better
OUTCOMES = {'psnr': ('PSNR', -1), 'lpips': ('LPIPS', 1), 'knob_psnr': ('PSNR, knob', -1),
            'knob_lpips': ('LPIPS, knob', 1)}
RESAMPLES = 2000
RULE = ("Correlations are Spearman's, of a figure with the outcome, turned so that 1 means: less of the figure, "
        'better SR; the mean over the worlds, and the 95 % interval of a bootstrap over the degradations of each '
        'world. **Bold**: the interval lies above zero. "Learned" leaves out the degradations that learned nothing. '
        'Lost: by how much SR on the degradation that has the least of the figure is worse than on the best one, mean '
        'over the worlds.')


def outcome(found: dict, name: str) -> float:
    """The mean over the photos of each set, then over the sets."""
    return float(np.mean([np.mean(values[name]) for values in found['outcomes'].values()]))


def to_markdown(results: dict) -> str:
    """All tables of ``predict.json``."""
    lines = ['# Which figure predicts?', '', f'Command: `{results["command"]}`, one thread of an {results["machine"]}, '
             f'torch {results["torch"]}; start: {", ".join(results["start"])}.', '', *correlations(results), '', RULE,
             '', 'The figures:', '', *(f'- `{name}`: {meaning}' for name, meaning in FIGURES.items()), '']
    for name, world in results['worlds'].items():
        lines += [f'## {name}', '', 'Pairs: ' + ', '.join(f'{count} {key}' for key, count in world['pairs'].items()),
                  '', *outcomes(world), '', *figures(world), '']
    return '\n'.join(lines)


def outcomes(world: dict) -> list[str]:
    """SR trained on each degradation."""
    def cells(values: dict) -> list[str]:
        return [f'{float(np.mean(values[metric])):.{digits}f}' if metric in values else ''
                for metric, digits in (('psnr', 2), ('lpips', 3), ('knob_psnr', 2), ('knob_lpips', 3))]

    def row(title: str, found: dict) -> list[str]:
        return [title, *(', '.join(filter(None, cells(values))) for values in found.values())]

    rows = [row('start', world['start'])]
    rows += [row(f'`{name}`: {CANDIDATES[name].title}', found['outcomes']) for name, found in
             world['candidates'].items()]
    return table(['PSNR, LPIPS; with the knob: PSNR, LPIPS', *world['pairs']], rows)


def figures(world: dict) -> list[str]:
    """Figures of each degradation."""
    rows = [[f'`{name}`', *('–' if (value := found['figures'][figure]) is None else f'{value:.3g}'
                            for figure in FIGURES)] for name, found in world['candidates'].items()]
    return table(['', *(f'`{name}`' for name in FIGURES)], rows)


def correlations(results: dict) -> list[str]:
    """Of each figure with each outcome."""
    rows = []
    for figure in FIGURES:
        row = [f'`{figure}`{" (of SR)" if figure in OF_SR else ""}']
        for kind in ('all', 'learned'):
            for metric in OUTCOMES:
                mean, low, high = correlation(results, figure, metric, kind == 'learned')
                text = '–' if math.isnan(mean) else f'{mean:+.2f} ({low:+.2f} to {high:+.2f})'
                row.append(f'**{text}**' if low > 0 else text)
        rows.append([*row, ', '.join(lost(results, figure))])
    head = [f'{title}, {kind}' for kind in ('all', 'learned') for title, _ in OUTCOMES.values()]
    return table(['', *head, 'lost: dB, LPIPS; knob: dB, LPIPS'], rows)


def points(world: dict, figure: str, metric: str, learned: bool) -> np.ndarray:
    """(2, n): the figure, and the outcome turned so that less is better."""
    sign = OUTCOMES[metric][1]
    found = [(one['figures'][figure], sign * outcome(one, metric)) for name, one in world['candidates'].items()
             if one['figures'][figure] is not None and (CANDIDATES[name].generator or not learned)]
    return np.array(found, dtype=float).reshape(-1, 2).T


def correlation(results: dict, figure: str, metric: str, learned: bool) -> tuple[float, float, float]:
    """Spearman's, mean over the worlds, and its interval."""
    worlds = [points(world, figure, metric, learned) for world in results['worlds'].values()]
    worlds = [values for values in worlds if values.shape[1] > 2]
    if not worlds:
        return math.nan, math.nan, math.nan
    random = np.random.default_rng(0)
    drawn = np.mean([spearman(values[:, random.integers(values.shape[1], size=(RESAMPLES, values.shape[1]))])
                     for values in worlds], axis=0)
    return (float(np.mean([spearman(values) for values in worlds])), *np.percentile(drawn, [2.5, 97.5]).tolist())


def spearman(values: np.ndarray) -> np.ndarray:
    """Correlation of the ranks of (2, ..., n) over the last dimension; 0 where either side is all alike."""
    one, other = (ranks - ranks.mean(-1, keepdims=True) for ranks in rankdata(values, axis=-1))
    power = np.sqrt((one**2).sum(-1) * (other**2).sum(-1))
    return np.where(power > 0, (one * other).sum(-1) / np.where(power > 0, power, 1), 0.0)


def lost(results: dict, figure: str) -> list[str]:
    """By choosing with a figure."""
    found = []
    for metric in OUTCOMES:
        worlds = [points(world, figure, metric, False) for world in results['worlds'].values()]
        lost = [values[1, values[0].argmin()] - values[1].min() for values in worlds if values.size]
        found.append(f'{np.mean(lost):.3f}' if lost else '–')
    return found
