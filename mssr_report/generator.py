"""Stage 1: figures of the degradation over time, and what the generator draws."""

import math

import numpy as np

from mssr_metric.degradation_figures import FIGURES
from mssr_metric.spectrum import frequencies
from mssr_report.charts import Line, bar_chart, line_chart
from mssr_report.evidence import Evidence
from mssr_report.experiment import Experiment
from mssr_report.markup import heat_map, heat_scale, image, note, number, row, section, table, text

DRAWN = 146  # pixels: seven pictures in a row
GOOD = {'lower': 'lower is better', 'near real': 'near that of real LR is best', 'above 0': 'must not be 0'}


def figures(experiment: Experiment, evidence: Evidence | None) -> str:
    """The figures that need no aligned LR: the last ones as a table, all as charts."""
    entries = [entry for entry in experiment.validations if entry.get('figures')]
    last = entries[-1] if entries else None
    if last is None and evidence is not None and evidence.figures is not None:
        last = {'figures': evidence.figures.generated, 'bicubic': evidence.figures.bicubic,
                'real': evidence.figures.real}
    if last is None:
        return ''
    rows = [(text(name), f'<b>{number(last["figures"].get(name))}</b>', number(last.get('bicubic', {}).get(name)),
             number(last.get('real', {}).get(name)), text(unit or '–'), GOOD[direction], text(meaning))
            for name, (unit, direction, meaning) in FIGURES.items()]
    parts = [
        '<p>How near is generated LR to real LR? No photo of one is aligned with one of the other, so whole sets are '
        'compared. The column <b>bicubic</b> is what plain downsampling scores: a generator that has learned something '
        'is nearer to real than that. <b>Real</b> is what real photos score against each other: it cannot get much '
        'better. A level is one step of 8-bit values, 0 to 255.</p>',
        table(('figure', 'generated', 'bicubic', 'real', 'unit', 'good is', 'what it is'), rows, 'figures words'),
    ]
    if len(entries) > 1:
        parts.append(row(*(_over_time(name, entries) for name in FIGURES)))
    return section('How real is the degradation?', *parts)


def pictures(evidence: Evidence) -> str:
    """A grid of draws, where they differ, real beside generated, spectra, and each injection alone."""
    p = evidence.pictures
    highest = max(float(p['deviation'].max()), 1.0)
    draws = section(
        'One photo, several draws',
        f'<p>{text(evidence.source)} From one HR photo the generator draws many plausible LR photos. The map shows '
        'where draws differ: noise is everywhere, and more of it where the generator has learned that real photos do. '
        'A map that is black all over means collapse.</p>',
        row(image(p['hr'], 'HR photo', DRAWN), image(p['bicubic'], 'bicubic LR', DRAWN),
            *(image(draw, f'draw {k}', DRAWN) for k, draw in enumerate(p['draws'], start=1)),
            heat_map(p['deviation'], 'deviation of draws', highest, DRAWN)),
        heat_scale(highest, 'levels'))
    compare = section(
        'Real beside generated', '<p>Other scenes, the same camera: sharpness, noise and compression should look alike '
        'in both rows.</p>',
        row(*(image(photo, 'real LR') for photo in p['real'])),
        row(*(image(photo, 'generated LR') for photo in p['generated'])))
    return draws + compare + _spectra(p) + _injections(p)


def _over_time(name: str, entries: list[dict]) -> str:
    unit, direction, meaning = FIGURES[name]
    lines = [Line('generated', [(entry['iter'], _value(entry['figures'], name)) for entry in entries], 0)]
    for k, other in enumerate(('bicubic', 'real'), start=1):
        if all(name in entry.get(other, {}) for entry in entries):
            lines.append(Line(other, [(entry['iter'], _value(entry[other], name)) for entry in entries], k))
    label = f'{name} ({unit})' if unit else name
    chart = line_chart(lines, 'iteration', label, from_zero=True)
    return _titled(f'{meaning[0].upper()}{meaning[1:]} ({GOOD[direction]})', chart)


def _value(found: dict, name: str) -> float:
    value = found.get(name)
    return math.nan if value is None else value


def _spectra(p: dict) -> str:
    names = {'generated': 'generated LR', 'bicubic': 'bicubic LR', 'real': 'real LR'}
    lines = [Line(title, list(zip(frequencies().tolist(), p[f'spectrum_{name}'].tolist(), strict=True)), k)
             for k, (name, title) in enumerate(names.items())
             if f'spectrum_{name}' in p]
    return section(
        'Spectra', '<p>Power at each frequency, all directions together. Towards the right are fine details: blur '
        'lowers the line there, noise lifts and flattens it. The generated line should have the shape of the real one; '
        'a constant distance between them is due to the scenes.</p>',
        row(line_chart(lines, 'frequency (cycles per pixel; 0.5 is the finest)', 'power (dB over one level of noise)')))


def _injections(p: dict) -> str:
    effect, weights = p.get('effect', np.zeros(0)), p.get('effective_noise', np.zeros(0))
    if not len(effect):
        return section('What each noise injection changes', note(
            'This generator has no noise injections: it makes one LR photo of each HR photo.'))
    names = [f'injection {k}' for k in range(1, len(effect) + 1)]
    highest = max(float(p['injections'].max()), 1.0)
    return section(
        'What each noise injection changes', '<p>With the noise of one layer alone, all others silent: how much and '
        'where do draws differ? A layer whose map is black has not learned to use its noise.</p>',
        row(_titled('Effect on the LR photo', bar_chart(list(zip(names, effect.tolist(), strict=True)),
                                                        'deviation between draws (levels)')),
            _titled('Learned weight', bar_chart(list(zip(names, weights.tolist(), strict=True)),
                                                'mean |w| * std (units of the features)'))),
        row(*(heat_map(one, name, highest, 132) for one, name in zip(p['injections'], names, strict=True))),
        heat_scale(highest, 'levels'))


def _titled(title: str, chart: str) -> str:
    return f'<div class="titled"><h3>{text(title)}</h3>{chart}</div>'
