"""One table and one plot of several worlds, and of seeds that ran on several machines."""

import json
from pathlib import Path

import numpy as np
from _evidence_plan import ROWS
from _evidence_plot import plot
from _evidence_report import CLAIMS, RULE, TITLES, generator_tables, signed, summarize, table, with_deviation
from _evidence_statistics import seeds_note

from mssr_compat.errors import UserError
from mssr_compat.files import plain

#: beside the world's name and numbers of photos
KEPT = ('size', 'recipes', 'machine', 'images', 'figures', 'generators')
SAME = 0.005  # dB by which figures of interpolation may differ between machines, by rounding


def join(files: list[Path], out: Path) -> list[Path]:
    """Write ``tables.md`` and ``plot.svg`` of several runs into ``out``; returns their paths.

    Files of one world, with different seeds, become one. Beside the two, ``WORLD.json`` of each world has the figures
    of every image, from which all is computed; it can be joined again, and tells nothing of the folders of the machine
    that it comes from.

    Raises:
        UserError: a file is no ``results.json`` of the benchmark, or two of one world cannot be one: they have a seed
            of a row in common, or were not measured on the same photos, at the same size, from the same recipes.
    """
    worlds = {}
    for file in files:
        try:
            results = json.loads(file.read_text(encoding='utf-8'))
            name = results['world']['name']
            joined = merged(worlds[name], results, file) if name in worlds else results
            worlds[name] = {**joined, 'summary': summarize(joined)}
        except UserError:
            raise
        except OSError as error:
            raise UserError(f"--join: '{file}' cannot be read ({error.strerror}).") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"--join: '{file}' is no results.json of this benchmark.") from error
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / 'tables.md', out / 'plot.svg']
    paths[0].write_text('\n'.join(tables(worlds)) + '\n', encoding='utf-8')
    paths[1].write_text(plot({name: results['figures'] for name, results in worlds.items()}), encoding='utf-8')
    for name, results in worlds.items():
        world = {key: results['world'].get(key) for key in ('name', 'counts')}
        write_json(out / f'{name}.json', {'world': world, **{key: results.get(key) for key in KEPT}})
    return paths


def merged(one: dict, other: dict, file: Path) -> dict:
    """``one`` with the seeds of ``other``, which comes from ``file``; a metric that either lacks is left out."""
    name = one['world']['name']
    first, second = (results['figures']['interpolation'][''] for results in (one, other))
    for key, what in (('size', '--size'), ('recipes', 'option files'), ('images', 'validation images')):
        if one.get(key) and other.get(key) and one[key] != other[key]:
            raise UserError(f"--join: '{file}' has other {what} for the world '{name}' than a file before it.")
    if not np.allclose(first['psnr_mssr'], second['psnr_mssr'], rtol=0, atol=SAME):
        raise UserError(f"--join: '{file}' and a file before it have other photos in a world called '{name}'.")
    shared = [metric for metric in first if metric in second]
    figures = {row: _seeds(row, one, other, file, shared) for row in ROWS
               if row in one['figures'] or row in other['figures']}
    generators = {generator: {**one['generators'].get(generator, {}), **other['generators'].get(generator, {})}
                  for generator in (*one['generators'], *other['generators'])}
    devices = dict.fromkeys(results['machine']['device'] for results in (one, other))
    return {**other, **one, 'figures': figures, 'generators': generators,
            'machine': {**one['machine'], 'device': '; '.join(devices)}}


def _seeds(row: str, one: dict, other: dict, file: Path, metrics: list[str]) -> dict:
    """Figures of a row in ``metrics``, by seed."""
    first, second = (results['figures'].get(row, {}) for results in (one, other))
    twice = ', '.join(seed for seed in first if seed and seed in second)
    if twice:
        raise UserError(f"--join: '{file}' has seed {twice} of the row '{row}', and so has a file before it.")
    found = {**second, **first}
    return {seed: {metric: found[seed][metric] for metric in metrics} for seed in sorted(found)}


def write_json(path: Path, value: dict) -> None:
    """As JSON proper: what is no finite number becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain(value, finite=True), indent=1), encoding='utf-8')


def tables(worlds: dict[str, dict]) -> list[str]:
    """Lines of Markdown: figures of each row in each world, then the claims, then each world's generators."""
    head = ['PSNR (dB) and SSIM, protocol mssr', *(f'`{name}`' for name in worlds)]
    rows = []
    for row in ROWS:
        cells = []
        for results in worlds.values():
            found = results['summary']['rows'].get(row)
            if not found:
                cells.append('–')
                continue
            gap = results['summary']['gap'].get(row)
            between = gap and row not in ('interpolation', 'bicubic', 'oracle')
            share = f', {gap["share"]:.0%} of the gap' if between else ''
            note = seeds_note(results['figures'], row)
            note = f' ({note})' if note else ''
            means = [with_deviation(found[metric], metric) for metric in ('psnr_mssr', 'ssim_mssr')]
            cells.append(f'{", ".join(means)}{share}{note}')
        if any(cell != '–' for cell in cells):
            rows.append([f'{ROWS[row].title} (`{row}`)', *cells])
    lines = [*table(head, rows), '']
    for metric in ('psnr_mssr', 'ssim_mssr'):
        rows = []
        for claim in CLAIMS:
            found = [results['summary']['claims'].get(claim) for results in worlds.values()]
            if any(found):
                rows.append([claim, *(f'{signed(one[metric], metric)}: {one[metric]["verdict"]}' if one else '–'
                                      for one in found)])
        if rows:
            head = [f'difference in {TITLES[metric]} (95 % interval)', *(f'`{name}`' for name in worlds)]
            lines += [*table(head, rows), '']
    lines.append(RULE)
    for name, results in worlds.items():
        if results.get('generators'):
            lines += ['', f'## Stage 1, `{name}`', '', *generator_tables(results['generators'])]
    return lines
