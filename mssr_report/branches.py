"""Stage 2: before and after, and how the branches compare."""


import numpy as np

from mssr_report.charts import Line, line_chart
from mssr_report.evidence import Evidence, enlarged
from mssr_report.experiment import Experiment
from mssr_report.markup import data_uri, exact, heat_map, heat_scale, image, row, section, table, text


def figures(experiment: Experiment) -> str:
    """The last figures of ensemble and branches as a table, and their disagreement over time."""
    newest = {}
    for entry in experiment.validations:
        newest[entry['dataset']] = entry
    newest = {name: entry for name, entry in newest.items() if entry['metrics']}
    parts = []
    if newest:
        names = list(dict.fromkeys(name for entry in newest.values() for name in entry['metrics']))
        rows = [(text(_who(dataset)), f'{entry["iter"]:,}', *(exact(entry['metrics'].get(name)) for name in names))
                for dataset, entry in newest.items()]
        parts.append(table(('data set, network', 'iteration', *map(text, names)), rows, 'figures'))
    series = {}
    for entry in experiment.validations:
        value = entry.get('figures', {}).get('branch_disagreement')
        if value is not None:
            series.setdefault(entry['dataset'], []).append((entry['iter'], value))
    if series:
        lines = [Line(dataset, points, k) for k, (dataset, points) in enumerate(series.items())]
        parts.append('<h3>How far the branches disagree</h3><p>The deviation between their outputs for one photo. '
                     'Collaborative learning and adaptation should bring it down; at 0 the branches are copies and the '
                     'ensemble gains nothing.</p>'
                     + row(line_chart(lines, 'iteration', 'disagreement (levels)', from_zero=True)))
    return section('Ensemble and branches', *parts) if parts else ''


def pictures(evidence: Evidence) -> str:
    """Before/after sliders, and each branch's output for the same photos."""
    p = evidence.pictures
    count = sum(name.startswith('lq_') for name in p)
    sliders, grids = [], []
    highest = max([1.0, *(float(_spread(p[f'branches_{k}']).max()) for k in range(count))])
    for k in range(count):
        branches = p[f'branches_{k}']
        after = np.round(branches.astype(np.float32).mean(0)).astype(np.uint8)
        before = enlarged(p[f'lq_{k}'], after.shape[1:])
        sliders.append(_slider(before, after, k))
        row_ = [image(before, 'LR, interpolated'), image(after, 'ensemble')]
        row_ += [image(one, f'S_{j}') for j, one in enumerate(branches, start=1)] if len(branches) > 1 else []
        if len(branches) > 1:
            row_.append(heat_map(_spread(branches), 'disagreement', highest))
        if f'gt_{k}' in p:
            row_.append(image(p[f'gt_{k}'], 'true HR photo'))
        grids.append(row(*row_))
    return (section('Before and after', f'<p>{text(evidence.source)} Drag the line: on the left the LR photo, '
                    'interpolated; on the right the result. The middle of each photo is shown.</p>', row(*sliders))
            + section('Branch by branch', *grids, heat_scale(highest, 'levels') if len(p['branches_0']) > 1 else ''))


def _slider(before: np.ndarray, after: np.ndarray, k: int) -> str:
    return (f'<div class="slider" style="--at:50%"><img src="{data_uri(after)}" alt="after">'
            f'<img class="before" src="{data_uri(before)}" alt="before"><span class="line"></span>'
            f'<b class="left">before</b><b class="right">after</b>'
            f'<input type="range" min="0" max="100" value="50" aria-label="photo {k + 1}: before and after"></div>')


def _spread(branches: np.ndarray) -> np.ndarray:
    """Deviation between branches (K, 3, H, W) at each pixel, in 8-bit levels."""
    return np.sqrt(branches.astype(np.float32).var(0).mean(0))


def _who(dataset: str) -> str:
    base, _, branch = dataset.rpartition('/S_')
    return f'{base}, branch S_{branch}' if base and branch.isdigit() else f'{dataset}, ensemble'
