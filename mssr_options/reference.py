"""The tables of ``docs/options.md``: ``python -m mssr_options.reference docs/options.md`` writes them anew."""

import inspect
import sys
from pathlib import Path

from mssr_options import kinds
from mssr_options.component_tables import OPTIMIZER, SCHEDULERS
from mssr_options.components import METRIC_DATA
from mssr_options.dataset_tables import DATASETS
from mssr_options.registries import catalogue, keywords
from mssr_options.schema import own_names, readers, who
from mssr_options.tables import MODELS, Key

BEGIN, END = '<!-- begin of the generated tables -->', '<!-- end of the generated tables -->'


def tables() -> str:
    """All tables, as Markdown."""
    keys = readers(MODELS)
    sections = {key.rpartition('.')[0] for key in keys}
    parts = []
    for section in sorted(sections, key=lambda name: [key.rpartition('.')[0] for key in keys].index(name)):
        rows = {key: meanings for key, meanings in keys.items() if key.rpartition('.')[0] == section}
        parts.append(_table(f'`{section}`' if section else 'Top of the file', rows, MODELS))
    parts.append(_table('`datasets.train`, `datasets.val`, ...', readers(DATASETS), DATASETS))
    for name, rows in SCHEDULERS.items():
        parts.append(_table(f'`train.scheduler`, type {name}', {key: [(row, [])] for key, row in rows.items()}, ()))
    parts.append(_table('`train.optim_g`, `train.optim_d`', {key: [(row, [])] for key, row in OPTIMIZER.items()}, ()))
    parts += [_signatures(kind) for kind in ('network', 'loss', 'metric')]
    return '\n'.join(parts)


def update(text: str) -> str:
    """A document with its generated part written anew.

    Raises:
        ValueError: the document lacks the marks around that part.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f'the document needs the lines {BEGIN} and {END}')
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f'{before}{BEGIN}\n\n{tables()}\n{END}{after}'


def _table(title: str, rows: dict[str, list[tuple[Key, list[str]]]], readable_by) -> str:
    lines = [f'### {title}', '', '| key | value | meaning | needed | read by |', '|---|---|---|---|---|']
    for key, meanings in rows.items():
        for row, names in meanings:
            value = kinds.words(row.kind).replace('|', '\\|')
            cells = [f'`{key.rpartition(".")[2]}`', value, row.about, row.need or 'no', who(names, readable_by)]
            lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join([*lines, ''])


def _signatures(kind: str) -> str:
    """What this project registers, with keywords and the first line of the docstring."""
    lines = [f'### Registered by this project: {kind}', '', '| type | keywords | what |', '|---|---|---|']
    for name in own_names(kind):
        target = catalogue(kind).get(name)
        if target.__module__.startswith('mssr_'):
            parameters = keywords(target)[0].values()
            words = ', '.join(_keyword(p) for p in parameters if p.name not in METRIC_DATA)
            about = (inspect.getdoc(target) or '').split('\n')[0].replace('|', '\\|')
            lines.append(f'| `{name}` | {words} | {about} |')
    return '\n'.join([*lines, ''])


def _keyword(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is parameter.empty:
        return f'`{parameter.name}`'
    shown = 'null' if default is None else str(default).lower() if isinstance(default, bool) else default
    return f'`{parameter.name}: {shown}`'


if __name__ == '__main__':
    document = Path(sys.argv[1])
    document.write_text(update(document.read_text(encoding='utf-8')), encoding='utf-8')
