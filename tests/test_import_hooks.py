"""Shims are applied when what they mend is imported, and what takes long is imported where it is used."""

import subprocess
import sys
import types

import pytest

from mssr_compat import slow_imports
from mssr_compat.import_hooks import ImportHooks, Later
from mssr_compat.system_libraries import load_opencv
from mssr_compat.torchvision_shim import load_torchvision


@pytest.fixture
def hooked(tmp_path, monkeypatch):
    """Installs hooks; ``some_module`` counts how often its code runs, and fails where ``told`` has 'fail'."""
    told = []
    (tmp_path / 'some_module.py').write_text('import pytest\ntold = pytest.told\ntold.append("code")\n'
                                             'if "fail" in told:\n    raise ImportError("no")\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(pytest, 'told', told, raising=False)
    monkeypatch.setattr(sys, 'meta_path', sys.meta_path[:])
    monkeypatch.delitem(sys.modules, 'some_module', raising=False)

    def hook(execute):
        told.append('before')
        execute()
        told.append('after')

    def install(name='some_module', hook=hook):
        sys.meta_path.insert(0, ImportHooks({name: hook}))
        return told

    yield install
    sys.modules.pop('some_module', None)


def test_a_hook_runs_the_code_of_its_module_alone(hooked):
    told = hooked()
    import string  # noqa: F401
    assert not told, 'nothing before the import'
    import some_module
    assert told == ['before', 'code', 'after']
    assert some_module.__spec__.loader.get_source('some_module').startswith('import pytest'), 'the loader is its own'


def test_a_hook_stays_where_the_code_fails(hooked):
    told = hooked()
    told.append('fail')
    with pytest.raises(ImportError):
        import some_module
    told.clear()
    import some_module  # noqa: F401
    assert told == ['before', 'code', 'after']


def test_hooks_of_two_finders_run_both(hooked):
    hooked()
    told = hooked()
    import some_module  # noqa: F401
    assert told == ['before', 'before', 'code', 'after', 'after']


def test_a_module_that_is_not_there_is_not_there(hooked):
    hooked('no_such_module')
    with pytest.raises(ModuleNotFoundError, match='no_such_module'):
        import no_such_module  # noqa: F401


def test_an_object_that_is_loaded_later_is_that_object():
    calls = []
    later = Later(lambda: calls.append(0) or dict)
    assert not calls
    assert later(a=1) == {'a': 1} and later.fromkeys('b') == {'b': None}
    with pytest.raises(AttributeError, match='nothing'):
        later.nothing


# --- what is hooked -------------------------------------------------------------------------------------------------


LOADED = '''
import sys
import mssr_compat
assert not {'torch', 'torchvision', 'cv2', 'basicsr', 'numpy'} & set(sys.modules), 'nothing is loaded before it is used'
import mssr_arch, mssr_data, mssr_inference
import torch
compiler = {'torch._dynamo', 'torch._dynamo.utils', 'sympy'} if torch.__version__ >= (2, 13) else set()  # 2.6 loads it
assert not {'scipy.stats', *compiler} & set(sys.modules)
from basicsr.data import degradations
from torchvision.ops import roi_align as _
roi_align = sys.modules['torchvision.ops.roi_align']

kernel = degradations.bivariate_Gaussian(5, 1, 1, 0, isotropic=True)
assert 'scipy.stats' not in sys.modules
cdf = degradations.cdf2([[1, 0], [0, 1]], degradations.mesh_grid(3)[0])
from scipy.stats import multivariate_normal, norm
assert abs(cdf[1, 1] - 0.25) < 1e-5 and abs(cdf[2, 2] - norm.cdf(1) ** 2) < 1e-5, cdf
assert (degradations.multivariate_normal.pdf([0, 1]) == multivariate_normal.pdf([0, 1])).all()

given = roi_align.is_compile_supported
assert isinstance(given('cpu'), bool)
import torch._dynamo.utils as real
assert roi_align.is_compile_supported is real.is_compile_supported is not given
assert given('cpu') == real.is_compile_supported('cpu')
torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1).step()
assert torch.compile(lambda x: x + 1, backend='eager')(torch.zeros(1)) == 1
'''
BEFORE_US = '''
import sys, torch
import torch._dynamo.utils as real, scipy.stats
import mssr_arch
from basicsr.data import degradations
import torchvision.ops
assert sys.modules['torchvision.ops.roi_align'].is_compile_supported is real.is_compile_supported
assert degradations.multivariate_normal is scipy.stats.multivariate_normal
'''


@pytest.mark.parametrize('script', [LOADED, BEFORE_US], ids=['later', 'before'])
def test_what_takes_long_is_loaded_where_it_is_used(script):
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_another_version_gets_what_it_asks_for(monkeypatch):
    real = types.ModuleType('scipy.stats')
    real.norm, real.multivariate_normal = 'norm', 'multivariate_normal'

    def load():
        sys.modules['scipy.stats'] = real
        return real

    def execute():
        from scipy.stats import multivariate_normal
        assert isinstance(multivariate_normal, Later) and sys.modules['scipy.stats'] is not real
        assert not hasattr(sys.modules['scipy.stats'], '__file__') and sys.modules['scipy.stats'] is not real
        from scipy.stats import norm
        assert norm == 'norm' and sys.modules['scipy.stats'] is real
        with pytest.raises(ImportError):
            from scipy.stats import nothing  # noqa: F401

    monkeypatch.setattr(slow_imports, '_import_statistics', load)
    monkeypatch.delitem(sys.modules, 'scipy.stats', raising=False)
    slow_imports.without_statistics(execute)
    assert sys.modules.pop('scipy.stats') is real


def test_a_missing_system_library_comes_with_its_remedy():
    def execute():
        raise ImportError('libGL.so.1: cannot open shared object file')

    with pytest.raises(ImportError, match=r'libGL.so.1.*apt-get install libgl1'):
        load_opencv(execute)


def test_torchvision_fails_as_it_does():
    """But for operators that are missing, which the other tests meet where torch and torchvision do not match."""
    def execute():
        raise RuntimeError('something else')

    modules = set(sys.modules)
    with pytest.raises(RuntimeError, match='something else'):
        load_torchvision(execute)
    assert set(sys.modules) == modules
