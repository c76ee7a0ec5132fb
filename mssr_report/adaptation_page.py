"""The page of an adaptation: before and after, one photo along the knob, and what was measured without pairs."""

from dataclasses import dataclass

import numpy as np

from mssr_report.charts import Line, line_chart
from mssr_report.formats import number
from mssr_report.html_report import render

Measured = tuple[float, float, float]  # cycle, detail, noise, as mssr_adapt measures them


@dataclass
class Adapted:
    """What an adaptation found; pictures are (3, H, W) RGB uint8."""

    name: str
    found: list[tuple[str, str]]  #: clean, real, start: what they are
    photos: list[dict[str, np.ndarray]]  #: ``before`` (interpolated) and ``after`` of some real photos
    knob: list[tuple[str, np.ndarray]]  #: one photo, and what becomes of it: titles and pictures
    draws: list[tuple[str, np.ndarray]]  #: real LR, bicubic LR and draws: titles and pictures
    others: dict[str, Measured]  #: interpolation, the start, and other upscalers
    curve: dict[float, Measured]  #: by settings of the knob
    tried: list[tuple[float, float, tuple[float, ...]]]  #: share of what was learned, setting, figures and cost
    share: float  #: that was chosen
    setting: float  #: that the restorer has
    metrics: list[str]  #: against ground truth: PSNR first, what else follows; empty where there are no pairs
    other_scores: dict[str, tuple[float, ...]]  #: of interpolation, the start and other upscalers
    curve_scores: dict[float, tuple[float, ...]]  #: by settings of the knob
    minutes: float


def adaptation_page(adapted: Adapted) -> str:
    """As HTML that refers to nothing outside itself."""
    charts = []
    for k, (title, unit) in enumerate((('Distance of the result, degraded again, from its photo', 'levels'),
                                       ('Detail beside clean photos of like contrast', 'octaves of power; 0: equal'),
                                       ('Noise on flat regions', 'levels'))):
        lines = [Line('restorer', sorted((setting, figures[k]) for setting, figures in adapted.curve.items()), 0)]
        lines += [Line(name, [(0.0, figures[k]), (1.0, figures[k])], 1 + n)
                  for n, (name, figures) in enumerate(adapted.others.items())]
        charts.append((title, line_chart(lines, 'perception', unit)))
    versus = ''
    if adapted.metrics:  # the last metric is LPIPS, where it could be measured
        lines = [Line('restorer', [(score[0], score[-1]) for _, score in sorted(adapted.curve_scores.items())], 0)]
        lines += [Line(name, [(score[0], score[-1])], 1 + n)
                  for n, (name, score) in enumerate(adapted.other_scores.items())]
        versus = line_chart(lines, adapted.metrics[0], adapted.metrics[-1])
    rows = [(f'{share:g}', f'{setting:g}', *(number(value) for value in figures),
             'chosen' if (share, setting) == (adapted.share, adapted.setting) else '')
            for share, setting, figures in adapted.tried]
    return render('adaptation.html', adapted=adapted, charts_of=charts, rows=rows, versus=versus,
                  pairs=score_rows(adapted.other_scores, adapted.curve_scores))


def score_rows(others: dict[str, tuple[float, ...]], curve: dict[float, tuple[float, ...]]) -> list[tuple[str, ...]]:
    """Rows of a table of figures against ground truth, PSNR first."""
    scores = {**others, **{f'perception {setting:g}': score for setting, score in sorted(curve.items())}}
    return [(name, f'{score[0]:.2f}', *(f'{value:.3f}' for value in score[1:])) for name, score in scores.items()]
