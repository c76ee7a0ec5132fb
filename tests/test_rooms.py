"""The house: which room may import which, and what a programme may import first."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What each room may import of this project, beside itself: docs/architecture.md shows it as a picture.
BELOW = {
    'mssr_compat': set(),
    'mssr_arch': {'mssr_compat'},
    'mssr_data': {'mssr_compat', 'mssr_arch'},
    'mssr_loss': {'mssr_compat', 'mssr_arch', 'mssr_data'},
    'mssr_metric': {'mssr_compat', 'mssr_arch', 'mssr_data', 'mssr_loss'},
    'mssr_options': {'mssr_compat', 'mssr_arch', 'mssr_data', 'mssr_loss', 'mssr_metric'},
}
BELOW['mssr_prepare'] = BELOW['mssr_loss']
BELOW['mssr_degradation'] = BELOW['mssr_metric'] | {'mssr_metric'}
BELOW['mssr_monitor'] = BELOW['mssr_degradation'] | {'mssr_degradation'}
BELOW['mssr_inference'] = BELOW['mssr_degradation'] | {'mssr_degradation', 'mssr_options'}
BELOW['mssr_model'] = BELOW['mssr_monitor'] | {'mssr_monitor'}
BELOW['mssr_report'] = BELOW['mssr_model'] | {'mssr_model', 'mssr_inference', 'mssr_options'}
BELOW['mssr_diagnose'] = BELOW['mssr_report'] | {'mssr_report'}
BELOW['mssr_train'] = BELOW['mssr_model'] | {'mssr_model', 'mssr_options'}
BELOW['mssr_adapt'] = BELOW['mssr_report'] | BELOW['mssr_train'] | {'mssr_report', 'mssr_train', 'mssr_prepare'}
BELOW['mssr_command'] = BELOW['mssr_adapt'] | {'mssr_adapt', 'mssr_diagnose'}


def imported(path):
    """Modules that a file imports anywhere, functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path.name} has a relative import'
            yield node.module


def test_every_room_is_in_the_list():
    assert {p.parent.name for p in ROOT.glob('mssr_*/__init__.py')} == set(BELOW)


@pytest.mark.parametrize('room', BELOW)
def test_imports_run_one_way(room):
    paths = sorted((ROOT / room).rglob('*.py'))
    assert paths
    for path in paths:
        rooms = {name.split('.')[0] for name in imported(path)} - {room}
        up = {name for name in rooms if name.startswith('mssr_')} - BELOW[room]
        assert not up, f'{path.relative_to(ROOT)} imports {up}'
        assert not rooms & {'scripts', 'tests', 'benchmarks', 'recipes'}, path


# torchvision's missing operators are declared, and torchvision is imported again after that.
BY_STRING = {'mssr_compat/torchvision_shim.py'}


def test_nothing_imports_by_string():
    """A name in a string is an arrow that this test would not see."""
    for path in sorted(ROOT.glob('mssr_*/**/*.py')):
        if path.relative_to(ROOT).as_posix() in BY_STRING:
            continue
        names = {node.id if isinstance(node, ast.Name) else node.attr for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Name | ast.Attribute)}
        assert not names & {'import_module', '__import__', 'importlib'}, path
