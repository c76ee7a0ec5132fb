"""What keeps BasicSR 1.4.2 working on today's stack; every package of the plugin imports this one first.

Importing it applies the shims that must precede BasicSR's first import. The patches of BasicSR's own pipeline
are in :mod:`mssr_train.pipeline`, which the entry points use.
"""

from mssr_compat.pkg_resources_shim import load_pytorch_wavelets
from mssr_compat.system_libraries import check_opencv
from mssr_compat.torchvision_shim import mend_torchvision

check_opencv()
mend_torchvision()
load_pytorch_wavelets()
