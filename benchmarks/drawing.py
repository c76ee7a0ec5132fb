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
