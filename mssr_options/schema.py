"""JSON schema of option files, for completion in editors: ``python -m mssr_options.schema > options/schema.json``."""

import inspect
import json
import sys

from mssr_options import dataset_tables, kinds
from mssr_options.component_tables import OPTIMIZER, SCHEDULERS
from mssr_options.components import BETTER, CHECKPOINT, METRIC_DATA, NESTED, is_own, kind_of
from mssr_options.registries import catalogue, keywords
from mssr_options.tables import ALL, MODELS, Key

_COMPONENTS = ('network', 'loss', 'metric')


def own_names(kind: str) -> list[str]:
    """Names that BasicSR and this project registered; those of other plugins depend on what is imported."""
    names = catalogue(kind)
    return [name for name in names.names() if is_own(names.get(name))]


def readers(tables: dict[str, tuple[dict[str, Key], ...]]) -> dict[str, list[tuple[Key, list[str]]]]:
    """Key to its meanings, each with the names (models or data sets) that read it so."""
    found: dict[str, list[tuple[Key, list[str]]]] = {}
    for name, groups in tables.items():
        rows = {key: row for group in groups for key, row in group.items()}
        for key, row in rows.items():
            meanings = found.setdefault(key, [])
            names = next((names for other, names in meanings if other.about == row.about), None)
            if names is None:
                meanings.append((row, [name]))
            else:
                names.append(name)
    return found


def build_schema() -> dict:
    """The schema, draft 7; it allows every key that some model reads, and describes which."""
    root = _section({}, 'Options of an experiment.')
    for key, meanings in readers(MODELS).items():
        node = root
        *sections, name = key.split('.')
        for section in sections:
            node = node['properties'][section]
            node = node['anyOf'][0] if 'anyOf' in node else node
        node['properties'][name] = _value(meanings[0][0], _about(meanings, MODELS))
    root['properties']['model_type'] = {'enum': own_names('model'), 'description': root['properties']['model_type'][
        'description']}
    root['required'] = [key for key, row in ALL.items() if row.need == 'always' and '.' not in key]
    definitions = {kind: _component(kind) for kind in _COMPONENTS}
    definitions |= {'dataset': _dataset(), 'optimizer': _optimizer(), 'scheduler': _by_type(
        {name: _rows(rows) for name, rows in SCHEDULERS.items()})}
    return {'$schema': 'http://json-schema.org/draft-07/schema#', 'title': 'MSSR and BasicSR options', **root,
            'definitions': definitions}


def _section(properties: dict, about: str) -> dict:
    return {'type': 'object', 'description': about, 'properties': properties, 'additionalProperties': False}


def _about(meanings, tables) -> str:
    """The meanings of a key, and who reads it if not everything does."""
    texts = []
    for row, names in meanings:
        texts.append(row.about if len(names) == len(tables) else f'{row.about} ({who(names, tables)})')
    return ' '.join(texts)


def who(names: list[str], tables) -> str:
    """Those who read a key: ``all``, ``all but A``, or their names."""
    others = [name for name in tables if name not in names]
    if not others:
        return 'all'
    return f'all but {", ".join(others)}' if len(others) <= len(tables) // 3 else ', '.join(names)


def _value(row: Key, about: str) -> dict:
    """The schema of one key."""
    section = kinds.section(row.kind)
    if section is None:
        return {**kinds.json_schema(row.kind), 'description': about}
    reference = {
        'section': _section({}, about),
        'mapping': {'type': 'object'},
        'datasets': {
            'type': 'object',
            'patternProperties': {'^(train$|val(_|$)|test(_|$))': {'$ref': '#/definitions/dataset'}},
            'additionalProperties': False,
        },
        'networks': {'type': 'array', 'minItems': 1, 'items': {'$ref': '#/definitions/network'}},
        'metrics': {'type': 'object', 'additionalProperties': {'$ref': '#/definitions/metric'}},
    }.get(section, {'$ref': f'#/definitions/{section}'})
    if kinds.fits(row.kind, None):
        return {'anyOf': [reference, {'type': 'null'}], 'description': about}
    return {'allOf': [reference], 'description': about} if '$ref' in reference else {**reference, 'description': about}


def _rows(rows: dict[str, Key]) -> dict[str, dict]:
    return {key: {**kinds.json_schema(row.kind), 'description': row.about} for key, row in rows.items()}


def _by_type(properties: dict[str, dict], open_types=()) -> dict:
    """Sections whose ``type`` decides what else they hold."""
    return {
        'type': 'object',
        'required': ['type'],
        'properties': {'type': {'enum': sorted(properties)}},
        'allOf': [
            {
                'if': {'properties': {'type': {'const': name}}},
                'then': {'properties': {'type': {}, **own}, 'additionalProperties': name in open_types},
            }
            for name, own in sorted(properties.items())
        ],
    }


def _component(kind: str) -> dict:
    """Networks, losses or metrics by the arguments of their constructors."""
    properties, open_types = {}, []
    extra = {'network': CHECKPOINT, 'metric': BETTER}.get(kind, {})
    for name in own_names(kind):
        parameters, takes_others = keywords(catalogue(kind).get(name))
        own = {key: _argument(p) for key, p in parameters.items() if not (kind == 'metric' and key in METRIC_DATA)}
        properties[name] = {**own, **_rows(extra)}
        if takes_others:
            open_types.append(name)
    return _by_type(properties, open_types)


def _argument(parameter: inspect.Parameter) -> dict:
    if parameter.name in NESTED:
        return {'type': 'array', 'minItems': 1, 'items': {'$ref': '#/definitions/network'}}
    schema = kinds.json_schema(kind_of(parameter))
    if isinstance(parameter.default, bool | int | float | str):
        schema = {**schema, 'default': parameter.default}
    return schema


def _dataset() -> dict:
    properties = {}
    for name, groups in dataset_tables.DATASETS.items():
        properties[name] = {}
        for key, row in ((key, row) for group in groups for key, row in group.items() if key != 'type'):
            io_backend = {'type': 'object', 'required': ['type'], 'properties': {'type': {
                'enum': ['disk', 'lmdb', 'memcached']}}}
            value = io_backend if row.kind == 'io_backend' else kinds.json_schema(row.kind)
            properties[name][key] = {**value, 'description': row.about}
    return _by_type(properties)


def _optimizer() -> dict:
    return {'type': 'object', 'required': ['type', 'lr'], 'properties': {'type': {'type': 'string', 'default': 'Adam'},
            **_rows(OPTIMIZER)}}


def to_text() -> str:
    """The schema as it is kept in ``options/schema.json``."""
    return json.dumps(build_schema(), indent=1) + '\n'


if __name__ == '__main__':
    sys.stdout.write(to_text())
