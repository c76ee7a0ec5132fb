"""One table and one plot of several worlds."""

import json
from pathlib import Path

from _evidence_plan import ROWS
from _evidence_plot import plot
from _evidence_report import CLAIMS, RULE, TITLES, summarize, table

from mssr_compat.errors import UserError
from mssr_model.experiment_record import plain

KEPT = ('size', 'machine', 'images', 'figures', 'generators')  # beside the world's name and numbers of photos


def join(files: list[Path], out: Path) -> list[Path]:
    """Write ``tables.md`` and ``plot.svg`` of several runs into ``out``; returns their paths.

    Beside them, ``WORLD.json`` of each has the figures of every image, from which all is computed; it can be joined
    again, and tells nothing of the folders of the machine that it comes from.

    Raises:
        UserError: a file is no ``results.json`` of the benchmark, or two are of worlds of one name.
    """
    worlds = {}
    for file in files:
        try:
            results = json.loads(file.read_text(encoding='utf-8'))
            name = results['world']['name']
            if name in worlds:
                raise UserError(f"--join: '{file}' is of a world '{name}', and so is one before it.")
            worlds[name] = {**results, 'summary': summarize(results)}
        except OSError as error:
            raise UserError(f"--join: '{file}' cannot be read ({error.strerror}).") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"--join: '{file}' is no results.json of this benchmark.") from error
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / 'tables.md', out / 'plot.svg']
    paths[0].write_text('\n'.join(tables(worlds)) + '\n', encoding='utf-8')
    paths[1].write_text(plot({name: results['figures'] for name, results in worlds.items()}), encoding='utf-8')
    for name, results in worlds.items():
        world = {key: results['world'].get(key) for key in ('name', 'counts')}
        write_json(out / f'{name}.json', {'world': world, **{key: results.get(key) for key in KEPT}})
    return paths


def write_json(path: Path, value: dict) -> None:
    """As JSON proper: what is no finite number becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain(value), indent=1), encoding='utf-8')


def tables(worlds: dict[str, dict]) -> list[str]:
    """Lines of Markdown: figures of each row in each world, then the claims."""
    head = ['PSNR (dB) and SSIM, protocol mssr', *(f'`{name}`' for name in worlds)]
    rows = []
    for row in ROWS:
        cells = []
        for results in worlds.values():
            found = results['summary']['rows'].get(row)
            gap = results['summary']['gap'].get(row)
            between = gap and row not in ('interpolation', 'bicubic', 'oracle')
            share = f', {gap["share"]:.0%} of the gap' if between else ''
            cells.append(f'{_figure(found, "psnr_mssr", 2)}, {_figure(found, "ssim_mssr", 4)}{share}' if found else '–')
        if any(cell != '–' for cell in cells):
            rows.append([f'{ROWS[row].title} (`{row}`)', *cells])
    lines = [*table(head, rows), '']
    for metric, digits in (('psnr_mssr', 3), ('ssim_mssr', 4)):
        rows = []
        for claim in CLAIMS:
            found = [results['summary']['claims'].get(claim) for results in worlds.values()]
            if any(found):
                rows.append([claim, *(_claim(one[metric], digits) if one else '–' for one in found)])
        if rows:
            head = [f'difference in {TITLES[metric]} (95 % interval)', *(f'`{name}`' for name in worlds)]
            lines += [*table(head, rows), '']
    return [*lines, RULE]


def _figure(found: dict, metric: str, digits: int) -> str:
    deviation = found[metric]['deviation']
    shown = f' ± {deviation:.{digits}f}' if deviation == deviation else ''
    return f'{found[metric]["mean"]:.{digits}f}{shown}'


def _claim(found: dict, digits: int) -> str:
    mean, low, high = (f'{found[key]:+.{digits}f}' for key in ('mean', 'low', 'high'))
    return f'{mean} ({low} to {high}): {found["verdict"]}'
