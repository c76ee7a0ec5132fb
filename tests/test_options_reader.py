"""Reading: strict YAML, line numbers, --force_yml."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mssr_compat.errors import UserError
from mssr_options.reader import Options, dotted, effective_yaml, read_options
from mssr_options.yaml_loader import parse


def read(tmp_path, text, force=None, name='opt.yml'):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_options(str(file), force)


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('1e-4', 1e-4), ('-1E+3', -1000.0), ('5e3', 5000.0), ('1.5e-3', 1.5e-3), ('.5', 0.5), ('5.', 5.0),
        ('!!float 1e-4', 1e-4), ('!!float 3', 3.0), ('1_000', 1000), ('0x1f', 31), ('0', 0), ('-7', -7),
        ('010', '010'), ('1:30', '1:30'), ('2020-01-02', '2020-01-02'), ('1e', '1e'), ('e5', 'e5'), ('x1e4', 'x1e4'),
        ("'1e-4'", '1e-4'), ('~', None), ('', None), ('null', None), ('True', True), ('off', False), ('nono', 'nono'),
        ('[1, 2e0, a]', [1, 2.0, 'a']), ('{a: 1}', {'a': 1}), ('.inf', math.inf), ('1.2.3', '1.2.3'),
    ],
)
def test_scalars(tmp_path, text, value):
    read_value = read(tmp_path, f'a: {text}\n')['a']
    assert read_value == value
    assert type(read_value) is type(value)


def test_lines_and_places(tmp_path):
    opt = read(tmp_path, 'a: 1\nb:\n  c: 2\n  d:\n    - x: 1\n    - x: 2\n', ['b:c=3'])
    where = opt.source.where
    assert where(('a',)).endswith('opt.yml:1')
    assert where(('b', 'd', 1, 'x')).endswith('opt.yml:6')
    assert where(('b', 'e')).endswith('opt.yml:2'), 'a missing key is shown where its section begins'
    assert where(('b', 'c')) == '--force_yml b:c=3'
    assert dotted(('b', 'd', 1, 'x')) == 'b.d[1].x'


def test_aliases_are_copies(tmp_path):
    opt = read(tmp_path, 'a: &a {type: A, v: [1]}\nb: *a\nc: {<<: *a, v: 2}\nd: {<<: [{v: 1, w: 1}, {v: 2, x: 2}]}\n')
    opt['a'].pop('type')
    opt['a']['v'].append(2)
    assert opt['b'] == {'type': 'A', 'v': [1]}
    assert opt['c'] == {'type': 'A', 'v': 2}
    assert opt['d'] == {'v': 1, 'w': 1, 'x': 2}, 'the first of merged mappings wins'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a: 1\nb: 2\na: 3\n', [':3', "'a'", 'twice', 'line 1']),
        ('a:\n  x: 1\n  x: 1\n', [':3', "'x'"]),
        ('l:\n  - {k: 1, k: 2}\n', [':2', "'k'"]),
        ('a: [1\n', ['not YAML']),
        ('a: 1\n\tb: 2\n', [':2', 'not YAML']),
        ('a: 1\n b: 2\n', [':2', 'not YAML']),
        ('a: "x\n', ['not YAML']),
        ('- a\n- b\n', ['key: value']),
        ('just text\n', ['key: value']),
        ('', ['empty']),
        ('# only a comment\n', ['empty']),
        ('---\na: 1\n---\nb: 2\n', ['not YAML']),
        ('a: !!python/object/apply:os.system ["echo hacked"]\n', [':1', 'not YAML', 'os.system']),
        ('a: !!python/name:os.system\n', [':1', 'not YAML']),
        ('a: !!int x\n', [':1']),
        ('a: &a [*a]\n', [':1', 'aliases']),
        ('a: *nowhere\n', [':1', 'not YAML']),
        ('a: {<<: 5}\n', [':1', '<<']),
        ('? [1, 2]\n: 3\n', [':1', 'key']),
        (b'\xff\xfe\x00a', ['UTF-8']),
        (b'\x89PNG\r\n\x1a\n\x00\x00', ['UTF-8']),
        ('a: \x07\n', ['not YAML']),
    ],
)
def test_what_is_no_option_file(tmp_path, text, expected):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    for part in ['opt.yml', *expected]:
        assert part in str(error.value)
    assert '\n' not in str(error.value)


def test_aliases_that_unfold_without_end(tmp_path):
    lines = ['a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]']
    lines += [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]' for i in range(1, 10)]
    with pytest.raises(UserError, match='aliases'):
        read(tmp_path, '\n'.join(lines))


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / 'other.yml').write_text('a: 1\n')
    with pytest.raises(UserError, match=r'no such option file.*opt\.yml.*that folder has other\.yml'):
        read_options(str(tmp_path / 'opt.yml'))
    with pytest.raises(UserError, match=r'folder.*other\.yml'):
        read_options(str(tmp_path))
    with pytest.raises(UserError, match='no such option file'):
        read_options(str(tmp_path / 'none' / 'opt.yml'))


def test_byte_order_mark_and_other_alphabets(tmp_path):
    assert read(tmp_path, '\ufeffname: Bücher 写真\n'.encode())['name'] == 'Bücher 写真'


BASE = '''name: n
train:
  optim_g: {lr: 1}
  steps: [1, 2]
list:
  - {checkpoint: a}
  - {checkpoint: b}
wandb: ~
'''


@pytest.mark.parametrize(
    ('entry', 'path', 'value'),
    [
        ('name=x', ['name'], 'x'),
        ('train:optim_g:lr=1e-4', ['train', 'optim_g', 'lr'], 1e-4),
        ('train:optim_g:lr=!!float 1e-4', ['train', 'optim_g', 'lr'], 1e-4),
        (' train : optim_g : lr = 2 ', ['train', 'optim_g', 'lr'], 2),
        ('list:1:checkpoint=/a=b/c.pth', ['list', 1, 'checkpoint'], '/a=b/c.pth'),
        ('train:steps=[3, 4]', ['train', 'steps'], [3, 4]),
        ('train:steps:0=9', ['train', 'steps', 0], 9),
        ('train:steps=~', ['train', 'steps'], None),
        ('train:steps=None', ['train', 'steps'], None),
        ('train:steps=', ['train', 'steps'], None),
        ('train:use=True', ['train', 'use'], True),
        ('train:use=false', ['train', 'use'], False),
        ('train:new:key=1', ['train', 'new', 'key'], 1),
        ('wandb:project=p', ['wandb', 'project'], 'p'),
        ('name=photos #1: blue', ['name'], 'photos #1: blue'),
        ("name='1e-4'", ['name'], '1e-4'),
        ('name=__import__("os").system("echo hacked")', ['name'], '__import__("os").system("echo hacked")'),
        ('train:optim_g={type: Adam, lr: 1e-5}', ['train', 'optim_g'], {'type': 'Adam', 'lr': 1e-5}),
        ('name=C:\\photos', ['name'], 'C:\\photos'),
    ],
)
def test_force_yml(tmp_path, entry, path, value):
    node = read(tmp_path, BASE, [entry])
    for key in path:
        node = node[key]
    assert node == value
    assert type(node) is type(value)


@pytest.mark.parametrize(
    ('entry', 'path'),
    [('~train:optim_g', ['train', 'optim_g']), (' ~train : optim_g : lr ', ['train', 'optim_g', 'lr']),
     ('~wandb', ['wandb']), ('~list:0', ['list', 0]), ('~list:1:checkpoint', ['list', 1, 'checkpoint'])],
)
def test_force_yml_removes(tmp_path, entry, path):
    expected = node = yaml.safe_load(BASE)
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    opt = read(tmp_path, BASE, [entry])
    assert opt == expected
    assert effective_yaml(opt).splitlines()[0].endswith(f"--force_yml '{entry.strip()}'")


def test_what_is_removed_can_be_set_again_and_lines_stay_right(tmp_path):
    opt = read(tmp_path, BASE, ['list:1:checkpoint=x', '~list:0', 'list:0:extra=1', '~train', 'train:new=2', 'name=~x'])
    assert opt == {'name': '~x', 'list': [{'checkpoint': 'x', 'extra': 1}], 'wandb': None, 'train': {'new': 2}}
    where = opt.source.where
    assert where(('list', 0, 'extra')) == '--force_yml list:0:extra=1'
    assert where(('list', 0, 'checkpoint')).endswith('opt.yml:5'), 'not that of the item that is gone'
    assert where(('train', 'new')) == '--force_yml train:new=2'


def test_later_entries_win_and_the_rest_stays(tmp_path):
    opt = read(tmp_path, BASE, ['name=a', 'name=b'])
    assert opt.pop('name') == 'b'
    expected = yaml.safe_load(BASE)
    expected.pop('name')
    assert opt == expected


@pytest.mark.parametrize(
    ('entry', 'expected'),
    [
        ('name', 'key=value'),
        ('=5', 'key=value'),
        ('train::lr=5', 'key=value'),
        ('train.total_iter=5', 'train:total_iter='),
        ('name:x=5', "'name' is the value 'n', not a section"),
        ('list:2:checkpoint=x', 'items 0 to 1'),
        ('list:-1:checkpoint=x', 'items 0 to 1'),
        ('list:first:checkpoint=x', 'items 0 to 1'),
        ('name=[1', 'not YAML'),
        ('name="x', 'not YAML'),
        ('name={a: 1, a: 2}', 'not YAML'),
        ('~', 'key=value'),
        ('~train:gone', "there is no 'gone' to remove in train"),
        ('~gone', "there is no 'gone' to remove"),
        ('~gone:key', "there is no 'gone' to remove"),
        ('~train.optim_g', 'parted by colons'),
        ('~list:2', 'items 0 to 1'),
        ('~name:x', "'name' is the value 'n', not a section"),
        ('name=!!python/object/apply:os.system ["echo hacked"]', 'not YAML'),
    ],
)
def test_bad_force_yml(tmp_path, entry, expected, capfd):
    with pytest.raises(UserError) as error:
        read(tmp_path, BASE, [entry])
    assert entry in str(error.value)
    assert expected in str(error.value)
    assert 'hacked\n' not in capfd.readouterr().out


keys = st.text(st.characters(exclude_categories=['Cs']), min_size=1, max_size=8)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=['Cs']), max_size=12),
    st.sampled_from(['1e-4', '1E5', '1_0e3', '010', '1:30', 'yes', 'None', '0x1f', '0o7', '2020-01-01', '=', '<<']),
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(keys, trees, min_size=1, max_size=4))
def test_effective_yaml_reads_back_the_same(opt):
    text = effective_yaml(opt)
    assert text.isascii(), 'BasicSR opens option files in the encoding of the locale'
    for again in (parse(text, 'effective.yml')[0], yaml.safe_load(text)):
        assert again == opt
        assert repr(again) == repr(opt), 'types stay, too'


def test_effective_yaml_says_what_was_forced(tmp_path):
    opt = read(tmp_path, BASE, ['train:optim_g:lr=1e-4', 'name=two words'])
    text = effective_yaml(opt)
    assert text.splitlines()[0].endswith("opt.yml, --force_yml train:optim_g:lr=1e-4 'name=two words'")
    assert read(tmp_path, text, name='again.yml') == opt
    assert isinstance(opt, Options)
