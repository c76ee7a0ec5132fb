"""The whole page: an experiment poured into ``report.html``, which has the words, the style and the script."""

from datetime import datetime
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mssr_report import sections
from mssr_report.evidence import find_evidence
from mssr_report.experiment import read_experiment
from mssr_report.formats import data_uri, heat_map, number
from mssr_report.verdict import verdict


def build_page(folder: str | Path) -> str:
    """The report of an experiment as HTML that refers to nothing outside itself.

    Args:
        folder: ``experiments/NAME``; the run may be finished, running or broken off, and its data may be gone.

    Raises:
        UserError: the folder is no experiment.
    """
    experiment = read_experiment(folder)
    evidence, complaint = find_evidence(experiment)
    return render('report.html', experiment=experiment, evidence=evidence, complaint=complaint,
                  verdict=verdict(experiment, evidence), sections=sections)


def render(template: str, **values) -> str:
    """A page from a template of this folder."""
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
                            lstrip_blocks=True, undefined=StrictUndefined)
    templates.filters |= {'data_uri': data_uri, 'heat': heat_map, 'number': number}
    ramp = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (10, 1))
    return templates.get_template(template).render(ramp=heat_map(ramp, 1.0), now=f'{datetime.now():%Y-%m-%d %H:%M}',
                                                   **values)
