"""The JSON schema and the reference are those of the models, and the schema means what the check means."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

import ready_python
from mssr_options import fields, parts, reference, schema
from mssr_options.reader import read_options
from mssr_options.report import words
from option_tools import basicsr_sr, put, stage_1, stage_2, test_options

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / 'options' / 'schema.json'
TYPES = {'object': dict, 'array': list, 'string': str, 'boolean': bool, 'null': type(None)}


def problems(node, value, root, path=''):
    """A validator of the part of JSON schema that the generator uses; yields the paths that do not fit."""
    if '$ref' in node:
        yield from problems(root['$defs'][node['$ref'].rpartition('/')[2]], value, root, path)
    if 'anyOf' in node and all(list(problems(one, value, root, path)) for one in node['anyOf']):
        yield path
    for one in node.get('allOf', ()):
        if 'if' in one and list(problems(one['if'], value, root, path)):
            continue
        yield from problems(one.get('then', one), value, root, path)
    if ('enum' in node and value not in node['enum']) or ('const' in node and value != node['const']):
        yield path
    if 'type' in node and not _is(node['type'], value):
        yield path
        return
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value % node.get('multipleOf', value or 1):
            yield path
        low, high = node.get('minimum', value), node.get('maximum', value)
        if not low <= value <= high or value <= node.get('exclusiveMinimum', value - 1):
            yield path
        if value >= node.get('exclusiveMaximum', value + 1):
            yield path
    if isinstance(value, str) and not re.search(node.get('pattern', ''), value):
        yield path
    if isinstance(value, list):
        if not node.get('minItems', 0) <= len(value) <= node.get('maxItems', len(value)):
            yield path
        for i, item in enumerate(value):
            yield from problems(node.get('items', {}), item, root, f'{path}[{i}]')
    if isinstance(value, dict):
        yield from (path for key in node.get('required', ()) if key not in value)
        for key, item in value.items():
            here = f'{path}.{key}'
            inner = node.get('properties', {}).get(key)
            for pattern, other in node.get('patternProperties', {}).items():
                inner = inner or (other if re.search(pattern, key) else None)
            inner = node.get('additionalProperties', {}) if inner is None else inner
            if inner is False:
                yield here
            elif isinstance(inner, dict):
                yield from problems(inner, item, root, here)


def _is(name, value):
    if name in ('integer', 'number'):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and (name == 'number' or value == int(value))
    return isinstance(value, TYPES[name])


@pytest.fixture(scope='module')
def root():
    return json.loads(SCHEMA.read_text())


def test_schema_is_current():
    assert SCHEMA.read_text() == reference.schema_text(), 'run: python -m mssr_options.reference'


def test_reference_is_current():
    text = (ROOT / 'docs' / 'options.md').read_text(encoding='utf-8')
    assert text == reference.update(text), 'run: python -m mssr_options.reference'


def test_reference_needs_its_marks():
    with pytest.raises(ValueError, match='needs the lines'):
        reference.update('# nothing')


@pytest.mark.parametrize('file', sorted((ROOT / 'options').rglob('*.yml')), ids=lambda file: file.stem)
def test_shipped_files_fit_the_schema(root, file):
    assert list(problems(root, read_options(str(file)), root)) == []


@pytest.mark.parametrize('make', [stage_1, stage_2, basicsr_sr, test_options])
def test_good_options_fit_the_schema(root, make):
    assert list(problems(root, make(), root)) == []


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('train.total_itr', 5), ('train.total_iter', 0), ('train.total_iter', 'x'), ('foo', 1), ('network_g.foo', 1),
        ('network_g.type', 'DeResNet'), ('datasets.trian', {}), ('datasets.train.foo', 1),
        ('datasets.train.gt_size', 1.5), ('datasets.train.on_corrupt', 'skipp'), ('train.gan_opt.gan_type', 'x'),
        ('train.gan_opt.foo', 1), ('train.optim_g.lr', 'x'), ('train.optim_g.betas', [1]),
        ('train.scheduler.type', 'Linear'), ('train.scheduler.foo', 1), ('val.metrics.psnr.foo', 1),
        ('val.metrics.psnr.type', 'psnr'), ('num_gpu', 'all'), ('logger.wandb.foo', 1), ('path.foo', 'x'),
        ('model_type', 'GAN'), ('train', None),
    ],
)
def test_mistakes_do_not_fit_the_schema(root, path, value):
    opt = stage_1()
    put(opt, path, value)
    assert list(problems(root, opt, root))


KINDS = [fields.Iterations, fields.Every, fields.Whole, fields.Natural, float, fields.Number, fields.Positive,
         fields.Decay, bool, fields.Text | None, Literal['a', 'b'], fields.Whole | Literal['auto'], list[fields.Whole],
         Annotated[list[float], Field(min_length=2, max_length=2)], list[Literal['iso', 'aniso']] | None, dict]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.floats(-2, 3), st.sampled_from(['a', 'auto', 'iso', 'x', '', ' ']),
    st.lists(st.one_of(st.integers(-1, 2), st.just('iso')), max_size=3), st.just({}),
)


@given(st.sampled_from(KINDS), VALUES)
@example(fields.Iterations, 2.973202560632482e-35)
def test_fields_and_their_schemas_agree(kind, value):
    class One(fields.Section):
        key: kind

    try:
        One.model_validate({'key': value})
        fits = True
    except ValidationError:
        fits = False
    node = One.model_json_schema()['properties']['key']
    whole = isinstance(value, float) and value == int(value) and 'integer' in json.dumps(node)
    assert words(node)
    assert fits == (not list(problems(node, value, {}))) or whole, 'JSON calls 2.0 an integer'


def sections(model, seen):
    if model not in seen:
        seen.add(model)
        for field in fields.keys(model).values():
            part = fields.inner(field)
            for inside in part.models.values() if isinstance(part, fields.ByType) and part.models else [part]:
                if isinstance(inside, type):
                    sections(inside, seen)
    return seen


def test_every_key_says_what_it_means():
    seen = set()
    for model in (*schema.MODELS.values(), schema.Options, *parts.DATASETS.values(), parts.Weights, parts.Direction):
        sections(model, seen)
    assert len(seen) > 20
    for model in seen:
        for key, field in fields.keys(model).items():
            assert key == 'type' or fields.meaning(field).endswith('.'), f'{model.__name__}.{key}'


def test_the_schema_needs_no_training_code():
    """Editors and checks know the models of this project where nothing has registered them."""
    code = ('import sys; from mssr_options import reference; from mssr_options.check import check_options;'
            'from mssr_options.reader import read_options;'
            'check_options(read_options("options/train_mssr_aim.yml"));'
            'assert "mssr_model" not in sys.modules; sys.stdout.write(reference.schema_text())')
    done = ready_python.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == SCHEMA.read_text()
