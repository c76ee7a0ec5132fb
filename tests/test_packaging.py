"""What is installed, and that all who name versions name the same ones."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = [f'3.{minor}' for minor in range(10, 15)]


def read(name):
    return (ROOT / name).read_text(encoding='utf-8')


def requirements(name):
    lines = [line.split(' #')[0].strip() for line in read(f'requirements/{name}.txt').splitlines()]
    return [Requirement(line) for line in lines if line and line[0] not in '#-']


@pytest.fixture
def source(tmp_path):
    return copy_source(tmp_path)


def copy_source(folder):
    """What an installation reads, in ``folder / 'source'``; a build leaves files beside it."""
    source = folder / 'source'
    for part in [*ROOT.glob('mssr_*/'), ROOT / 'options']:
        shutil.copytree(part, source / part.name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'README.md'):
        shutil.copy(ROOT / name, source)
    return source


def build(kind, source):
    """The wheel that pip would install, ``editable`` or not, opened."""
    script = f'from setuptools.build_meta import build_{kind}; build_{kind}({str(source.parent)!r})'
    done = subprocess.run([sys.executable, '-c', script], cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == 0, done.stdout
    (wheel,) = source.parent.glob('mssr-*.whl')
    return zipfile.ZipFile(wheel)


def test_the_wheel_holds_the_licence_and_every_room(source):
    with build('wheel', source) as wheel:
        (licence,) = (name for name in wheel.namelist() if name.endswith('.dist-info/licenses/LICENSE'))
        assert wheel.read(licence) == (ROOT / 'LICENSE').read_bytes()
        (metadata,) = (name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
        assert b'\nLicense: Apache-2.0\n' in wheel.read(metadata)
        rooms = {f'{room.name}/__init__.py' for room in ROOT.glob('mssr_*/')}
        assert len(rooms) > 8
        assert rooms <= set(wheel.namelist())
        for path in (ROOT / 'options').rglob('*.*'):
            copy = Path('mssr_options', 'option_files', path.relative_to(ROOT / 'options')).as_posix()
            assert wheel.read(copy) == path.read_bytes()
        assert {name.split('/')[0] for name in wheel.namelist() if '.dist-info/' not in name} == {
            room.split('/')[0] for room in rooms}, 'nothing else lies beside the rooms'


def test_an_editable_installation_finds_rooms_that_come_later(source):
    """The folder is on the path, not a list of the rooms of the day."""
    with build('editable', source) as wheel:
        (name,) = (name for name in wheel.namelist() if '.dist-info/' not in name)
        assert name.endswith('.pth')
        assert wheel.read(name).decode().split() == [str(source)]


def test_all_name_the_same_pythons():
    first, last = PYTHONS[0], PYTHONS[-1]
    setup = read('setup.py')
    assert f"python_requires='>={first}'" in setup
    low, high = map(int, re.search(r'range\((\d+), (\d+)\)', setup).groups())
    assert [f'3.{minor}' for minor in range(low, high)] == PYTHONS, 'classifiers'
    makefile = read('Makefile')
    assert f'({first.replace(".", ", ")}) <= v <= ({last.replace(".", ", ")})' in makefile
    assert f'"Python {first} to {last} is needed' in makefile
    assert set(re.findall(r'Python (3\.\d+ to 3\.\d+)', read('README.md'))) == {f'{first} to {last}'}
    workflow = yaml.safe_load(read('.github/workflows/test.yml'))
    job = workflow['jobs']['test']
    assert job['strategy']['matrix']['python'] == PYTHONS
    assert {'make demo', 'make test'} <= {step.get('run') for step in job['steps']}
    assert f'target-version = "py{first.replace(".", "")}"' in read('pyproject.toml')


@pytest.mark.parametrize('python', PYTHONS)
def test_every_python_has_one_pin_of_each_package(python):
    pins = {}
    for pin in requirements('constraints'):
        if pin.marker is None or pin.marker.evaluate({'python_version': python}):
            assert pin.name not in pins, f'{pin} and {pins[pin.name]}'
            pins[pin.name] = pin
    assert set(pins) == {pin.name for pin in requirements('constraints')}


def test_pins_are_versions_that_the_package_accepts():
    (block,) = re.findall(r'install_requires=\[(.*?)\]', read('setup.py'), re.DOTALL)
    accepted = {needed.name.lower(): needed for needed in map(Requirement, re.findall(r"'(.*?)'", block))}
    pins = [pin for name in ('constraints', 'torch', 'basicsr') for pin in requirements(name)]
    shared = [pin for pin in pins if pin.name.lower() in accepted and pin.specifier]
    assert len(shared) > 12
    for pin in shared:
        (lowest,) = (clause.version for clause in pin.specifier if clause.operator in ('==', '>='))
        assert lowest in accepted[pin.name.lower()].specifier, pin


def test_commands_without_make_are_those_of_make():
    """And BasicSR has one version everywhere."""
    made = re.findall(r'\$\(PIP_INSTALL\) (.*?)(?:; \\)?\n', read('Makefile'))
    assert len(made) == 4
    blocks = re.findall(r'```(?:bash|powershell)\n(.*?)```', read('README.md'), re.DOTALL)
    blocks = [block for block in blocks if 'pip install' in block]
    assert [re.findall(r'pip install (.*)', block) for block in blocks] == [made, made]
    (pin,) = (str(pin) for pin in requirements('basicsr') if pin.name == 'basicsr')
    for file in ('Makefile', 'README.md', 'setup.py'):
        assert set(re.findall(r'basicsr==[\d.]+', read(file))) == {pin}, file


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load(read('CITATION.cff'))
    assert f"version='{citation['version']}'" in read('setup.py')
    assert f"license='{citation['license']}'" in read('setup.py')
    assert citation['preferred-citation']['title'] in read('README.md')


def test_the_helper_of_basicsrs_build_keeps_what_a_bare_exec_defines():
    """As BasicSR's ``setup.py`` reads its version; and an ``exec`` with arguments is as it was."""
    script = ('def version():\n    exec(compile("__version__ = 1", "version.py", "exec"))\n'
              '    return locals()["__version__"]\n'
              'values = {}\nexec("a = 2", values)\nexec("b = 3")\nexec("c = 4", {}, values)\n'
              'print(version(), values["a"], b, values["c"])\n')
    path = ROOT / 'requirements' / 'build'
    done = subprocess.run([sys.executable, '-c', script], env={'PYTHONPATH': str(path)}, capture_output=True, text=True)
    assert done.stdout.split() == ['1', '2', '3', '4'], done.stderr
    assert f"PYTHONPATH='$(CURDIR)/{path.relative_to(ROOT).as_posix()}' $(PIP_INSTALL)" in read('Makefile')
