"""The plot of a run, or of several worlds: gain over bicubic interpolation of each row, with its interval."""

import math
from html import escape

from _evidence_plan import ROWS
from _evidence_statistics import paired

from mssr_report.charts import COLOURS

PANELS = {'psnr_mssr': 'PSNR against bicubic interpolation, dB', 'ssim_mssr': 'SSIM against bicubic interpolation'}
LEFT, PANEL, GAP, TOP, STEP = 250, 330, 60, 44, 20  # pixels
SHAPES = (
    '<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" {fill}/>',
    '<rect x="{l:.1f}" y="{t:.1f}" width="8.4" height="8.4" {fill}/>',
    '<path d="M{x:.1f} {t:.1f} l5 8.6 h-10 z" {fill}/>',
    '<path d="M{x:.1f} {t:.1f} l5 4.8 l-5 4.8 l-5 -4.8 z" {fill}/>',
)


def plot(worlds: dict[str, dict]) -> str:
    """SVG. Rows stand below each other; a world has a shape and a colour of its own.

    Args:
        worlds: name to ``figures`` of its ``results.json``; rows without interpolation to compare with are left out.
    """
    rows = [row for row in ROWS if row != 'interpolation' and any(row in figures for figures in worlds.values())]
    band = STEP * len(worlds) + 10
    bottom = TOP + band * len(rows)
    width, height = LEFT + 2 * PANEL + GAP + 20, bottom + 46
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
             f'height="{height}" font-family="sans-serif" font-size="13" fill="#222" role="img">'
             '<title>Gain of each row over bicubic interpolation, with 95 % intervals</title>'
             f'<rect width="{width}" height="{height}" fill="white"/>', _legend(list(worlds))]
    for k, row in enumerate(rows):
        if k % 2 == 0:
            parts.append(f'<rect x="0" y="{TOP + k * band}" width="{width}" height="{band}" fill="#f3f3f3"/>')
        parts.append(f'<text x="{LEFT - 14}" y="{TOP + (k + 0.5) * band + 4.5:.1f}" text-anchor="end">'
                     f'{escape(ROWS[row].title)}</text>')
    for number, (metric, label) in enumerate(PANELS.items()):
        parts += _panel(worlds, rows, metric, label, LEFT + number * (PANEL + GAP), band, bottom)
    return ''.join(parts) + '</svg>\n'


def _panel(worlds, rows, metric, label, left, band, bottom) -> list[str]:
    points = []
    for w, figures in enumerate(worlds.values()):
        for k, row in enumerate(rows):
            if row in figures and 'interpolation' in figures:
                one, base = ({seed: found[metric] for seed, found in figures[name].items()}
                             for name in (row, 'interpolation'))
                points.append((w, TOP + k * band + 5 + STEP * (w + 0.5), paired(one, base)))
    ends = [value for *_, d in points for value in (d.mean, d.low, d.high) if math.isfinite(value)] + [0.0]
    low, high, step = _ticks(min(ends), max(ends))

    def px(value):
        return left + (min(max(value, low), high) - low) / (high - low) * PANEL

    parts = []
    for i in range(round((high - low) / step) + 1):
        value, x = low + i * step, px(low + i * step)
        zero = abs(value) < step / 2
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" '
                     f'stroke="{"#444" if zero else "#ccc"}" stroke-width="{1.6 if zero else 1}"/>'
                     f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{value:+.4g}</text>'
                     .replace('>+0<', '>0<').replace('>-0<', '>0<'))
    parts.append(f'<text x="{left + PANEL / 2}" y="{bottom + 38}" text-anchor="middle">{escape(label)}</text>')
    for w, y, d in points:
        x, colour = px(d.mean), COLOURS[w % len(COLOURS)]
        parts.append(f'<line x1="{px(d.low):.1f}" x2="{px(d.high):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" '
                     'stroke-width="2"/>' + _mark(w, x, y, f'{d.mean:+.4f} ({d.low:+.4f} to {d.high:+.4f})'))
    return parts


def _mark(w: int, x: float, y: float, title: str) -> str:
    fill = f'fill="{COLOURS[w % len(COLOURS)]}"'
    shape = SHAPES[w % len(SHAPES)].format(x=x, y=y, l=x - 4.2, t=y - 4.6, fill=fill)
    return f'<g><title>{escape(title)}</title>{shape}</g>'


def _legend(names: list[str]) -> str:
    parts, x = [], LEFT
    for w, name in enumerate(names):
        parts.append(_mark(w, x + 6, 20, name) + f'<text x="{x + 18}" y="24.5">{escape(name)}</text>')
        x += 40 + 8 * len(name)
    return ''.join(parts) + f'<text x="{x + 4}" y="24.5" fill="#555">mean and 95 % interval over the images</text>'


def _ticks(low: float, high: float) -> tuple[float, float, float]:
    """Round ends and the step between four to seven ticks."""
    span = (high - low) or 1.0
    size = 10.0 ** math.floor(math.log10(span / 5))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= span / 5)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step or step, step
