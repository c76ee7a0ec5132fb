"""Charts as SVG files of their own, from the report's chart code."""

import re

from mssr_report.charts import COLOURS, Line, line_chart

STYLE = ('text{font:12px sans-serif;fill:#333}.label{font-size:13px}.grid{stroke:#ddd}.axis,.tick{stroke:#333}'
         '.back{fill:#fff}')


def write_chart(path, lines, x_label, y_label, legend_at=80, **options):
    """A chart with its legend inside, ``legend_at`` from the left.

    ``lines``: name to points (x, y); ``options``: those of ``line_chart``.
    """
    lines = [Line(name, points, style) for style, (name, points) in enumerate(lines.items())]
    svg = re.search(r'<svg viewBox="0 0 520.*?</svg>', line_chart(lines, x_label, y_label, **options), re.DOTALL)[0]
    legend = ''.join(f'<text x="{legend_at}" y="{28 + 16 * k}" style="fill:{COLOURS[line.style]}">{line.name}</text>'
                     for k, line in enumerate(lines))
    head = f'<style>{STYLE}</style><rect class="back" width="100%" height="100%"/>'
    svg = svg.replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace('>', f'>{head}', 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg.replace('</svg>', f'{legend}</svg>') + '\n', encoding='utf-8')
