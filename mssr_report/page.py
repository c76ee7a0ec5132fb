"""The whole page: sections, style and the few lines of script, in one file."""

from datetime import datetime
from pathlib import Path

from mssr_report import branches, generator, overview, progress
from mssr_report.evidence import find_evidence
from mssr_report.experiment import read_experiment
from mssr_report.markup import note, section, text
from mssr_report.verdict import verdict

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 0 auto; max-width: 1160px;
  padding: 1rem 1.2rem 4rem; }
h1 { margin: .4rem 0 .2rem; font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { border-bottom: 2px solid #ddd; padding-bottom: .2rem; margin: 2.4rem 0 .8rem; font-size: 1.3rem; }
h3 { font-size: .95rem; margin: .4rem 0; }
p { max-width: 75ch; }
small, .note, figcaption { color: #555; }
.note { font-style: italic; }
.state { font-weight: 600; }
.state.broken-off, .gone { color: #a33c00; }
.well, .warning { padding: .7rem 1rem; border-left: 5px solid #0072B2; background: #eef5fa; max-width: 80ch; }
.warning { border-color: #D55E00; background: #fdf1e8; }
.warning ul { margin: .4rem 0 0; padding-left: 1.2rem; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; margin: .6rem 0; }
.titled { width: 540px; max-width: 100%; }
figure { margin: 0; }
figcaption { font-size: .85rem; text-align: center; }
img.pixels { width: 100%; image-rendering: pixelated; display: block; border: 1px solid #ccc; box-sizing: border-box; }
.chart { width: 540px; max-width: 100%; }
.chart > svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
.chart .grid { stroke: #e3e3e3; } .chart .axis, .chart .tick { stroke: #555; }
.chart text { fill: #333; } .chart .label { font-size: 13px; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; justify-content: center; font-size: .88rem; color: #222; }
.legend svg { vertical-align: middle; margin-right: .35rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .92rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e5e5e5; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #999; }
th[scope=row] { font-weight: 500; white-space: nowrap; }
.figures td { text-align: right; font-variant-numeric: tabular-nums; }
.figures.words thead th:nth-child(-n+4):not(:first-child) { text-align: right; }
.figures.words td:nth-child(n+5) { text-align: left; }
.figures.words td:nth-child(6) { min-width: 10rem; }
.figures.words td:last-child { min-width: 13rem; }
@media (max-width: 600px) { .figures.words th, .figures.words td { padding: .25rem .4rem; } }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .82rem; }
summary { cursor: pointer; margin: .5rem 0; }
.scale { display: flex; align-items: center; gap: .6rem; font-size: .88rem; margin: .2rem 0; }
.slider { position: relative; width: 360px; max-width: 100%; line-height: 0; }
.slider img { width: 100%; display: block; }
.slider .before { position: absolute; inset: 0; height: 100%; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.slider .line { position: absolute; top: 0; bottom: 0; left: var(--at); width: 3px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 3px #000; }
.slider b { position: absolute; top: .4rem; line-height: 1; padding: .25rem .4rem; background: #000a; color: #fff;
  font-size: .8rem; }
.slider .left { left: .4rem; } .slider .right { right: .4rem; }
.slider input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize; }
.slider:focus-within { outline: 3px solid #0072B2; }
footer { margin-top: 3rem; color: #666; font-size: .85rem; }
@media print { .slider input { display: none; } section { break-inside: avoid; } }
"""
SCRIPT = """
for (const slider of document.querySelectorAll('.slider')) {
  slider.querySelector('input').addEventListener('input', event =>
    slider.style.setProperty('--at', event.target.value + '%'));
}
"""


def build_page(folder: str | Path) -> str:
    """The report of an experiment as HTML that refers to nothing outside itself.

    Args:
        folder: ``experiments/NAME``; the run may be finished, running or broken off, and its data may be gone.

    Raises:
        UserError: the folder is no experiment.
    """
    experiment = read_experiment(folder)
    evidence, complaint = find_evidence(experiment)
    parts = [verdict(experiment, evidence)]
    if experiment.stage == 1:
        parts.append(generator.figures(experiment, evidence))
        parts.append(generator.pictures(evidence) if evidence else section('Pictures', note(complaint)))
    else:
        parts.append(branches.figures(experiment))
        parts.append(branches.pictures(evidence) if evidence else section('Pictures', note(complaint)))
    parts += [progress.metrics(experiment), progress.curves(experiment), progress.each_photo(experiment),
              overview.what_was_run(experiment), overview.words()]
    name = text(experiment.name)
    made = f'{datetime.now():%Y-%m-%d %H:%M}'
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<link rel="icon" href="data:,"><style>{STYLE}</style></head><body>'
            f'<h1>{name}</h1>{"".join(parts)}<footer>Made by report.py on {made}.</footer>'
            f'<script>{SCRIPT}</script></body></html>\n')
