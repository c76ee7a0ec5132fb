"""pytorch_wavelets loads where setuptools has no ``pkg_resources`` any more."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize('hide', ['None', "type(sys)('pkg_resources')"])
def test_the_stand_in_is_not_left_behind(hide):
    script = (f'import sys\nbefore = {hide}\nsys.modules["pkg_resources"] = before\n'  # None: an import fails
              'import mssr_arch\n'
              'assert sys.modules.get("pkg_resources") is before, sys.modules.get("pkg_resources")\n'
              'from pytorch_wavelets.dtcwt.coeffs import level1\n'
              'print(level1("antonini", compact=True)[0].shape)')
    done = subprocess.run([sys.executable, '-W', 'error::UserWarning', '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '(9, 1)'
