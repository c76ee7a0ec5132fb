"""Line and bar charts as SVG: axes with units, and lines that differ in dashes as well as in colour."""

import math
from dataclasses import dataclass

from mssr_report.formats import number, text

# Okabe and Ito's colours, which people with any colour vision tell apart, in an order of falling contrast on white.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#000000', '#E69F00', '#56B4E9')
DASHES = ('', '7 4', '2 3', '9 3 2 3', '4 2', '12 4', '1 4')
WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 74, 24, 12, 46
MOST_POINTS = 300  # of a line; more are averaged in groups


@dataclass
class Line:
    """One line of a chart: points (x, y); y may hold nan, where the line is interrupted."""

    name: str
    points: list[tuple[float, float]]
    style: int = 0  #: colour and dashes

    @property
    def stroke(self) -> str:
        k = self.style % len(COLOURS)
        return f'stroke="{COLOURS[k]}" stroke-width="2" stroke-dasharray="{DASHES[k]}"'


def line_chart(lines: list[Line], x_label: str, y_label: str, log: bool = False, from_zero: bool = False) -> str:
    """A chart of lines with a legend, or a sentence where there are no points.

    Args:
        lines: what to draw; single points are drawn as dots.
        x_label, y_label: axes, with unit.
        log: logarithmic y axis; values of 0 or below are left out, and it is linear where none is left.
        from_zero: the y axis begins at 0.
    """
    lines = [Line(line.name, _thinned(line.points), line.style) for line in lines]
    finite = [(x, y) for line in lines for x, y in line.points if math.isfinite(y)]
    if not finite:
        return '<p class="note">No values yet.</p>'
    log = log and any(y > 0 for _, y in finite)
    values = [y for _, y in finite if y > 0 or not log]
    low, high, marks = (_log_marks if log else _marks)(min(values), max(values), from_zero)
    x_low, x_high = min(x for x, _ in finite), max(x for x, _ in finite)
    if x_low == x_high:
        x_low, x_high = x_low - 1, x_high + 1
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def px(x):
        return LEFT + (x - x_low) / (x_high - x_low) * (right - LEFT)

    def py(y):
        return bottom - (y - low) / (high - low) * (bottom - TOP)

    parts = []
    for y, label in marks:
        parts += [_rule('grid', LEFT, right, py(y), py(y)), _words(LEFT - 6, py(y) + 4, label, 'end')]
    middle = (TOP + bottom) / 2
    parts += [_rule('axis', LEFT, right, bottom, bottom), _words((LEFT + right) / 2, HEIGHT - 8, x_label, kind='label'),
              f'<text class="label" transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
              f'{text(y_label)}</text>']
    _, _, step = _nice(x_low, x_high)
    for k in range(math.ceil(x_low / step - 1e-9), math.floor(x_high / step + 1e-9) + 1):
        x = px(k * step)
        parts += [_rule('tick', x, x, bottom, bottom + 4), _words(x, bottom + 17, _tick(k * step, step))]
    for line in lines:
        run = []
        for x, y in [*line.points, (math.nan, math.nan)]:  # one more ends the last run
            if math.isfinite(y) and (y > 0 or not log):
                run.append((px(x), py(math.log10(y) if log else y), x, y))
            elif run:
                path = ' '.join(f'{x:.1f},{y:.1f}' for x, y, _, _ in run)
                parts.append(f'<polyline points="{path}" fill="none" {line.stroke}/>')
                if len(line.points) <= 40:
                    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[line.style % len(COLOURS)]}">'
                              f'<title>{text(line.name)}: {number(value)} at {number(at)}</title></circle>'
                              for x, y, at, value in run]
                run = []
    return _figure(parts, f'{y_label} over {x_label}', HEIGHT, lines if len(lines) > 1 else [])


def bar_chart(bars: list[tuple[str, float]], x_label: str) -> str:
    """Horizontal bars from 0, each with its name and value."""
    if not bars:
        return ''
    height = TOP + BOTTOM + 24 * len(bars)
    left = 30 + 7 * max(len(name) for name, _ in bars)
    _, high, step = _nice(0.0, max((value for _, value in bars if math.isfinite(value)), default=1.0))
    scale, parts = (WIDTH - left - 60) / high, []
    for k in range(round(high / step) + 1):
        x = left + k * step * scale
        parts += [_rule('grid', x, x, TOP, height - BOTTOM), _words(x, height - BOTTOM + 17, _tick(k * step, step))]
    for k, (name, value) in enumerate(bars):
        y, length = TOP + 24 * k, max(value, 0) * scale if math.isfinite(value) else 0
        parts += [_words(left - 8, y + 16, name, 'end'), _words(left + length + 5, y + 16, number(value), 'start'),
                  f'<rect x="{left}" y="{y + 4}" width="{length:.1f}" height="16" fill="{COLOURS[0]}"/>']
    parts.append(_words((left + WIDTH - 60) / 2, height - 8, x_label, kind='label'))
    return _figure(parts, x_label, height, [])


def _figure(parts: list[str], title: str, height: int, legend: list[Line]) -> str:
    keys = ''.join(f'<span><svg viewBox="0 0 34 10" width="34" height="10" aria-hidden="true"><line x1="1" x2="33" '
                   f'y1="5" y2="5" {line.stroke}/></svg>{text(line.name)}</span>' for line in legend)
    return (f'<figure class="chart"><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(title)}">'
            f'{"".join(parts)}</svg>' + (f'<figcaption class="legend">{keys}</figcaption>' if keys else '')
            + '</figure>')


def _rule(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _words(x: float, y: float, words: str, anchor: str = 'middle', kind: str = 'mark') -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def _marks(low: float, high: float, from_zero: bool) -> tuple[float, float, list[tuple[float, str]]]:
    """Bounds of a linear axis, and places and labels of its marks."""
    if from_zero:
        low, high = min(0.0, low), high if high != 0 or low < 0 else 1.0
    low, high, step = _nice(low, high)
    return low, high, [(low + k * step, _tick(low + k * step, step)) for k in range(round((high - low) / step) + 1)]


def _log_marks(low: float, high: float, _: bool) -> tuple[float, float, list[tuple[float, str]]]:
    """The same of a logarithmic axis; bounds and places as powers of ten."""
    low, high = math.log10(low), math.log10(high)
    low, high = (low, high) if high - low > 0.5 else (low - 0.3, high + 0.3)
    digits = (1,) if high - low > 4 else (1, 3) if high - low > 2 else (1, 2, 5)
    marks = [(t + math.log10(d), f'{d * 10.0**t:.4g}' if abs(t) <= 4 else f'{d}e{t}')
             for t in range(math.floor(low), math.ceil(high) + 1) for d in digits]
    marks = [(place, label) for place, label in marks if low <= place <= high]
    if len(marks) < 2:  # no round number but one lies in so narrow a range
        marks = [(place, f'{10**place:.2g}') for place in (low + (high - low) * k / 4 for k in range(5))]
    return low, high, marks


def _nice(low: float, high: float) -> tuple[float, float, float]:
    """Round bounds around low and high, and the step between four to eight ticks."""
    if high <= low:
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    raw = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step


def _tick(value: float, step: float) -> str:
    if abs(value) >= 1e5:
        return f'{value / 1000:,.0f}k'
    decimals = max(0, -math.floor(math.log10(step) + 1e-9) + (1 if f'{step:e}'.startswith('2.5') else 0))
    return f'{value:.1e}' if decimals > 5 else f'{value + 0.0:,.{decimals}f}'


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbours, where there are too many points to see."""
    group = -(-len(points) // MOST_POINTS)
    if group <= 1:
        return points
    parts = [points[k:k + group] for k in range(0, len(points), group)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
