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
    others: dict[str, Measured]  #: interpolation and the start
    curve: dict[float, Measured]  #: by settings of the knob
    tried: list[tuple[float, float, tuple[float, ...]]]  #: share of what was learned, setting, figures and cost
    share: float  #: that was chosen
    setting: float  #: that the restorer has
    pairs: list[tuple[str, ...]]  #: title and figures of rows, where there are pairs with ground truth
    pairs_head: list[str]
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
    rows = [(f'{share:g}', f'{setting:g}', *(number(value) for value in figures),
             'chosen' if (share, setting) == (adapted.share, adapted.setting) else '')
            for share, setting, figures in adapted.tried]
    return render('adaptation.html', adapted=adapted, charts_of=charts, rows=rows)
