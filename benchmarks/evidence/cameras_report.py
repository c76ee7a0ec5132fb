"""Tables of photos of several cameras, in Markdown."""

import numpy as np

from benchmarks.evidence.report import signed, table
from benchmarks.evidence.statistics import over_seeds, paired
from mssr_metric import better

FIGURES = {'psnr': ('PSNR', 2), 'lpips': ('LPIPS', 3)}  #: title, digits
#: comparison: (row, row before)
CLAIMS = {
    'Three generators beat one': ('three, mean', 'one deresnet'),
    'The mean of their weights does as well': ('three, mean of weights', 'three, mean'),
    'The generator of few numbers beats DeResnet': ('one pdm', 'one deresnet'),
    'One for each group beats one': ('groups, own branch', 'one deresnet'),
    "A group's own branch beats the mean of the branches": ('groups, own branch', 'groups, mean'),
    'The pseudo label adds to it': ('adapted: pseudo label', 'adapted: none'),
    'Kept distances add to it': ('adapted: distances', 'adapted: none'),
    'Consistency adds to it': ('adapted: consistency', 'adapted: none'),
}
RULE = ('Differences are paired by photo over all sources, with their 95 % interval (Student\'s t; seeds are averaged '
        'first), and turned so that above zero the first is better.')


def to_markdown(results: dict) -> str:
    """All of ``cameras.json``."""
    rows, (budget, of_group, adapting) = results['figures'], results['lengths']
    sets = list(next(iter(next(iter(rows.values())).values())))
    seeds = sorted({seed for found in rows.values() for seed in found})
    lines = ['# Photos of several cameras', '', f'Command: `{results["command"]}`, one thread of an '
             f'{results["machine"]}, torch {results["torch"]}; start: {", ".join(results["start"])}; seeds '
             f'{", ".join(seeds)}. SR: {budget} iterations in all for each row; generators 900, those of groups '
             f'{of_group}; adaptations {adapting}.', '', '## Groups that were found', '']
    lines += table(['group', 'photos', *results['groups'][0]['sources']], [
        [str(k), str(group['photos']), *map(str, group['sources'].values())]
        for k, group in enumerate(results['groups'], 1)])
    lines += ['', '## Rows', '', *table(['PSNR, LPIPS', *sets, 'all'], [
        [row, *(', '.join(f'{over_seeds(of(found, [name], metric))[0]:.{digits}f}'
                          for metric, (_, digits) in FIGURES.items()) for name in sets),
         ', '.join(f'{over_seeds(of(found, sets, metric))[0]:.{digits}f}'
                   for metric, (_, digits) in FIGURES.items())] for row, found in rows.items()])]
    lines += ['', '## Comparisons', '', *table(['', *(title for title, _ in FIGURES.values())], [
        [claim, *(cell(rows[one], rows[other], sets, metric) for metric in FIGURES)]
        for claim, (one, other) in CLAIMS.items() if one in rows and other in rows]), '', RULE, '']
    return '\n'.join(lines)


def of(found: dict, sets: list[str], metric: str) -> dict[str, list[float]]:
    """Seed to a figure of each photo of some sets."""
    return {seed: np.concatenate([figures[name][metric] for name in sets]).tolist() for seed, figures in found.items()}


def cell(one: dict, other: dict, sets: list[str], metric: str) -> str:
    """The difference and its verdict."""
    found = paired(of(one, sets, metric), of(other, sets, metric), better(metric) == 'lower')
    text = signed({metric: found.as_dict()}, metric)
    return f'{text}: {found.verdict}'
