"""Line and bar charts as SVG: axes with units, and lines that differ in dashes as well as in colour."""

import math
from dataclasses import dataclass

from mssr_report.markup import number, text

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
    low, high = min(values), max(values)
    if log:
        low, high = math.log10(low), math.log10(high)
        low, high = (low, high) if high - low > 0.5 else (low - 0.3, high + 0.3)
        digits = (1,) if high - low > 4 else (1, 3) if high - low > 2 else (1, 2, 5)
        marks = [(t + math.log10(d), f'{d * 10.0**t:.4g}' if abs(t) <= 4 else f'{d}e{t}')
                 for t in range(math.floor(low), math.ceil(high) + 1) for d in digits]
        marks = [(place, label) for place, label in marks if low <= place <= high]
        if len(marks) < 2:  # no round number but one lies in so narrow a range
            marks = [(low + (high - low) * k / 4, f'{10 ** (low + (high - low) * k / 4):.2g}') for k in range(5)]
    else:
        if from_zero:
            low, high = min(0.0, low), high if high != 0 or low < 0 else 1.0
        low, high, step = _nice(low, high)
        marks = [(low + k * step, _tick(low + k * step, step)) for k in range(round((high - low) / step) + 1)]
    x_low, x_high = min(x for x, _ in finite), max(x for x, _ in finite)
    if x_low == x_high:
        x_low, x_high = x_low - 1, x_high + 1

    def px(x):
        return LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def py(y):
        return HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = _frame(marks, py, x_label, y_label)
    _, _, x_step = _nice(x_low, x_high)
    first = math.ceil(x_low / x_step - 1e-9)
    for k in range(first, math.floor(x_high / x_step + 1e-9) + 1):
        parts.append(f'<line class="tick" x1="{px(k * x_step):.1f}" x2="{px(k * x_step):.1f}" y1="{HEIGHT - BOTTOM}" '
                     f'y2="{HEIGHT - BOTTOM + 4}"/><text x="{px(k * x_step):.1f}" y="{HEIGHT - BOTTOM + 17}" '
                     f'text-anchor="middle">{_tick(k * x_step, x_step)}</text>')
    for line in lines:
        parts.append(_drawn(line, px, py, log))
    return f'<figure class="chart">{_svg(parts, f"{y_label} over {x_label}")}{_legend(lines)}</figure>'


def bar_chart(bars: list[tuple[str, float]], x_label: str) -> str:
    """Horizontal bars from 0, each with its name and value."""
    if not bars:
        return ''
    height = TOP + BOTTOM + 24 * len(bars)
    left = 30 + 7 * max(len(name) for name, _ in bars)
    _, high, step = _nice(0.0, max((value for _, value in bars if math.isfinite(value)), default=1.0))
    parts = []
    for k in range(round(high / step) + 1):
        x, bottom = left + k * step / high * (WIDTH - left - 60), height - BOTTOM
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
                     f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{_tick(k * step, step)}</text>')
    for k, (name, value) in enumerate(bars):
        y, length = TOP + 24 * k, max(value, 0) / high * (WIDTH - left - 60) if math.isfinite(value) else 0
        parts.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{text(name)}</text>'
                     f'<rect x="{left}" y="{y + 4}" width="{length:.1f}" height="16" fill="{COLOURS[0]}"/>'
                     f'<text x="{left + length + 5:.1f}" y="{y + 16}">{number(value)}</text>')
    parts.append(f'<text class="label" x="{(left + WIDTH - 60) / 2:.0f}" y="{height - 8}" text-anchor="middle">'
                 f'{text(x_label)}</text>')
    return f'<figure class="chart">{_svg(parts, x_label, height)}</figure>'


def _svg(parts: list[str], title: str, height: int = HEIGHT) -> str:
    return (f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(title)}">'
            f'{"".join(parts)}</svg>')


def _frame(marks, py, x_label: str, y_label: str) -> list[str]:
    parts = []
    for value, label in marks:
        y = py(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
                 f'<text class="label" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
                 f'{text(x_label)}</text><text class="label" transform="translate(14 {middle}) rotate(-90)" '
                 f'text-anchor="middle">{text(y_label)}</text>')
    return parts


def _drawn(line: Line, px, py, log: bool) -> str:
    colour, dash = COLOURS[line.style % len(COLOURS)], DASHES[line.style % len(DASHES)]
    runs, run = [], []
    for x, y in line.points:
        if math.isfinite(y) and (y > 0 or not log):
            run.append((px(x), py(math.log10(y) if log else y), x, y))
        elif run:
            runs, run = [*runs, run], []
    runs = [*runs, run] if run else runs
    parts = []
    for run in runs:
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y, _, _ in run)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
                     f'stroke-dasharray="{dash}"/>')
        if len(line.points) <= 40:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{text(line.name)}: '
                      f'{number(value)} at {number(at)}</title></circle>' for x, y, at, value in run]
    return ''.join(parts)


def _legend(lines: list[Line]) -> str:
    if len(lines) < 2:
        return ''
    keys = ''.join(
        f'<span><svg viewBox="0 0 34 10" width="34" height="10" aria-hidden="true"><line x1="1" x2="33" y1="5" y2="5" '
        f'stroke="{COLOURS[line.style % len(COLOURS)]}" stroke-width="2.5" '
        f'stroke-dasharray="{DASHES[line.style % len(DASHES)]}"/></svg>{text(line.name)}</span>' for line in lines)
    return f'<figcaption class="legend">{keys}</figcaption>'


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
    if decimals > 5:
        return f'{value:.1e}'
    return f'{value + 0.0:,.{decimals}f}'


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbours, where there are too many points to see."""
    group = -(-len(points) // MOST_POINTS)
    if group <= 1:
        return points
    parts = [points[k:k + group] for k in range(0, len(points), group)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
