"""What is generated from the schema: ``python -m mssr_options.reference`` writes ``options/schema.json`` (completion in
editors) and the tables of ``docs/options.md`` anew."""

import inspect
import json
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic.json_schema import models_json_schema

from mssr_options import components, parts
from mssr_options.fields import IN_TRAINING, Section, inner, keys, meaning
from mssr_options.report import schema_of, words
from mssr_options.schema import MODELS, Options

SCHEMA, DOCUMENT = Path('options/schema.json'), Path('docs/options.md')
BEGIN, END = '<!-- begin of the generated tables -->', '<!-- end of the generated tables -->'
_COMPONENTS = {'network': parts.Grouped, 'loss': Section, 'metric': parts.Direction}
_OPTIMIZERS = {'optimizer': parts.OPTIMIZERS, 'optimizer of a generator': parts.NOISE_OPTIMIZERS}


def schema_text() -> str:
    """The JSON schema of option files; models and data sets that are not listed may hold anything."""
    by_name = {'root': MODELS, 'data set': parts.DATASETS, 'schedule': parts.SCHEDULERS, **_OPTIMIZERS}
    for kind, extra in _COMPONENTS.items():
        by_name[kind] = {name: components.section_of(components.find(kind, name), extra) for name in _own(kind)}
    sections = dict.fromkeys((model, 'validation') for models in by_name.values() for model in models.values())
    references, schema = models_json_schema(list(sections))
    definitions = schema['$defs']
    for kind, models in by_name.items():
        key, others = {'root': ('model_type', _own('model')), 'data set': ('type', _own('data set'))}.get(
            kind, ('type', ()))
        definitions[kind] = {
            'type': 'object', 'required': [key], 'properties': {key: {'enum': sorted({*models, *others})}},
            'allOf': [{'if': {'properties': {key: {'const': name}}, 'required': [key]},
                       'then': references[model, 'validation']}
                      for name, model in models.items()]}
    network = definitions['network']
    network |= {'anyOf': [{'required': [network.pop('required')[0]]}, {'required': ['pretrained']}]}
    network['properties']['pretrained'] = {'type': 'string', 'description': 'File that says what network it holds.'}
    definitions['listed network'] = network
    head = {'$schema': 'https://json-schema.org/draft/2020-12/schema', 'title': 'Options of an experiment'}
    parts_of = {**head, **definitions.pop('root')}
    lines = ',\n'.join(f' {json.dumps(name)}: {json.dumps(node)}' for name, node in definitions.items())
    text = f'{json.dumps(parts_of)[:-1]},\n"$defs": {{\n{lines}\n}}}}\n'  # a line for each definition
    return text.replace('"kind": "', '"$ref": "#/$defs/')


def _own(kind: str) -> list[str]:
    """Names that BasicSR and this project registered; those of other plugins depend on what is imported."""
    return [name for name in components.names(kind) if components.is_own(components.find(kind, name))]


def tables() -> str:
    """All tables, as Markdown."""
    optimizers = {**parts.OPTIMIZERS, 'train.optim_g of stage 1': parts.Noisy}
    texts = []
    for title, models in (('{}', {'others': Options, **MODELS}),
                          ('datasets.NAME.{}', {'others': parts.DataSet, **parts.DATASETS}),
                          ('train.scheduler', parts.SCHEDULERS), ('train.optim_g, train.optim_d', optimizers)):
        found: dict[str, dict] = {}
        _collect(found, '', models)
        for section, rows in found.items():
            name = title.format(section).rstrip('.')
            texts.append(_table(f'`{name}`' if name else 'Top of the file', rows, len(models)))
    return '\n'.join(texts + [_signatures(kind) for kind in _COMPONENTS])


def update(text: str) -> str:
    """A document with its generated part written anew.

    Raises:
        ValueError: the document lacks the marks around that part.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f'the document needs the lines {BEGIN} and {END}')
    return f'{text.split(BEGIN)[0]}{BEGIN}\n\n{tables()}\n{END}{text.split(END)[1]}'


def _collect(found: dict[str, dict], prefix: str, models: dict[str, type[Section]]) -> None:
    """Put (key, cells of its row) and who reads it so into ``found``, section by section."""
    rows, sections = found.setdefault(prefix, {}), {}
    for name, model in models.items():
        for key, field in keys(model).items():
            if key != 'type' or field.description:
                rows.setdefault((key, _cells(model, key, field)), []).append(name)
            if isinstance(inner(field), type):
                sections.setdefault(f'{prefix}{"." if prefix else ""}{key}', {})[name] = inner(field)
    for section, parts_of in sections.items():
        _collect(found, section, parts_of)


def _cells(model: type[Section], key: str, field: FieldInfo) -> tuple[str, str, str]:
    """What a key may be, its meaning, and whether it is needed."""
    needed = 'in training' if IN_TRAINING in field.metadata else 'always'
    if not field.is_required():
        needed = '' if field.default is None else _yaml(field.default)
    return words(schema_of(model)[key]), meaning(field), needed


def _table(title: str, rows: dict[tuple, list[str]], count: int) -> str:
    lines = [f'### {title}', '', '| key | value | meaning | needed, or default | read by |', '|---|---|---|---|---|']
    for (key, cells), names in rows.items():
        who = 'all' if len(names) == count else ', '.join(names)
        lines.append(f'| `{key}` | {" | ".join(cell.replace("|", chr(92) + "|") for cell in cells)} | {who} |')
    return '\n'.join([*lines, ''])


def _signatures(kind: str) -> str:
    """What this project registers, with keywords and the first line of the docstring."""
    lines = [f'### Registered by this project: {kind}', '', '| type | keywords | what |', '|---|---|---|']
    for name in _own(kind):
        target = components.find(kind, name)
        if target.__module__.startswith('mssr_'):
            shown = [f'`{key}`' if field.is_required() else f'`{key}: {_yaml(field.default)}`'
                     for key, field in keys(components.section_of(target)).items() if key != 'type']
            about = (inspect.getdoc(target) or '').split('\n')[0].replace('|', '\\|')
            lines.append(f'| `{name}` | {", ".join(shown)} | {about} |')
    return '\n'.join([*lines, ''])


def _yaml(value) -> str:
    """A default as an option file would have it."""
    return 'null' if value is None else str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == '__main__':
    SCHEMA.write_text(schema_text(), encoding='utf-8')
    DOCUMENT.write_text(update(DOCUMENT.read_text(encoding='utf-8')), encoding='utf-8')
