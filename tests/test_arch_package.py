"""The package as a whole: its imports, names that are registered, networks that compile."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_rooms import imported

import mssr_arch
from mssr_arch import (
    BicubicDegradation,
    DegradationEDSR,
    DegradationHAN,
    DegradationPDM,
    DeResnet,
    SREnsemble,
    WaveletDiscriminator,
)

PACKAGE = Path(mssr_arch.__file__).parent
ALLOWED = {'basicsr', 'mssr_arch', 'mssr_compat', 'pytorch_wavelets', 'spandrel', 'torch'} | sys.stdlib_module_names
NAMES = {'BicubicDegradation', 'DSGAN', 'DeResnet', 'DegradationEDSR', 'DegradationHAN', 'DegradationPDM', 'SREnsemble',
         'SimulatedDegradation', 'SpandrelNet', 'WaveletDiscriminator'}


def test_networks_import_only_what_they_may():
    paths = sorted(PACKAGE.glob('*.py'))
    assert len(paths) > 8
    for path in paths:
        assert {name.split('.')[0] for name in imported(path)} <= ALLOWED, path.name


def test_importing_from_any_folder_registers_the_networks(tmp_path):
    program = f"""
import sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
import mssr_arch
from basicsr.utils.registry import ARCH_REGISTRY
assert {NAMES!r} <= set(ARCH_REGISTRY.keys())
loaded = {{name.split('.')[0] for name in sys.modules}}
assert not {{name for name in loaded if name.startswith('mssr_')}} - {{'mssr_arch', 'mssr_compat'}}, loaded
"""
    done = subprocess.run([sys.executable, '-c', program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    'network',
    [
        BicubicDegradation(),
        DeResnet(num_feat=8, num_block=2),
        DegradationHAN(num_feat=8, num_group=2, num_block=1, reduction=1),
        DegradationEDSR(num_feat=8, num_block=1),
        DegradationPDM(),
        WaveletDiscriminator(),
        SREnsemble([{'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1}] * 2),
    ],
    ids=lambda network: type(network).__name__,
)
def test_each_network_compiles(network):
    """No Python in a forward pass that torch.compile could not follow, except within pytorch_wavelets."""
    one_graph = not isinstance(network, WaveletDiscriminator)
    x = torch.rand(2, 3, 16, 16)
    torch.manual_seed(3)
    expected = network(x)
    torch.manual_seed(3)
    assert torch.equal(torch.compile(network, backend='eager', fullgraph=one_graph)(x), expected)


ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize('path', sorted(p.relative_to(ROOT).as_posix() for folder in ('.', 'scripts', 'benchmarks')
                                        for p in (ROOT / folder).glob('[a-z]*.py')))
def test_programs_apply_the_shims_before_basicsr(path):
    """BasicSR and its torchvision do not load on every machine without them; other tests have applied them before."""
    for node in ast.parse((ROOT / path).read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            if any(name.startswith('mssr_') or name == 'benchmarks' for name in names):  # its step_speed
                return
            assert not any(name.split('.')[0] in ('basicsr', 'torchvision') for name in names)
