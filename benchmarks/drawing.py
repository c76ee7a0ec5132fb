"""Charts by matplotlib, as SVG files whose text stays text."""

from pathlib import Path

from mssr_compat.errors import UserError
from mssr_compat.files import replacing


def pyplot():
    """``matplotlib.pyplot``, without a window.

    Raises:
        UserError: matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise UserError('The benchmarks draw with matplotlib: pip install matplotlib.') from error
    matplotlib.use('Agg')
    matplotlib.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'mssr', 'font.size': 9})
    from matplotlib import pyplot

    return pyplot


def save(figure, path: Path, tight: bool = True) -> None:
    """Write the figure in the format that the name ends in, the same bytes each time, and forget it.

    ``tight`` cuts away what is empty around it; without, the figure has the pixels that it was made with.
    """
    with replacing(path) as aside:
        kind = path.suffix[1:]
        figure.savefig(aside, format=kind, bbox_inches='tight' if tight else None,
                       metadata={'Date': None} if kind == 'svg' else None)
    pyplot().close(figure)


def write_chart(path: Path, lines: dict, x_label: str, y_label: str, from_zero: bool = False) -> None:
    """A chart with a legend. ``lines``: name to points (x, y)."""
    figure, axes = pyplot().subplots(figsize=(5.2, 3.4))
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker='o', markersize=3, label=name, gid=name)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, None) if from_zero else None)
    axes.grid(color='#dddddd')
    axes.legend()
    save(figure, path)
