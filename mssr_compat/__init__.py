"""What keeps BasicSR 1.4.2 working on today's stack; every package of the plugin imports this one first.

Importing it applies the shims that must precede BasicSR's first import. The patches of BasicSR's own pipeline
are in :mod:`mssr_train.pipeline`, which the entry points use.
"""

import warnings

from mssr_compat.system_libraries import check_opencv
from mssr_compat.torchvision_shim import mend_torchvision

# pytorch_wavelets reads its tables through pkg_resources; the pinned setuptools still has it.
warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
check_opencv()
mend_torchvision()
