"""What keeps BasicSR 1.4.2 working on today's stack; every package of the plugin imports this one first.

Importing it loads nothing: the shims are applied when what they mend is imported, which it must therefore precede. The
patches of BasicSR's own pipeline are in :mod:`mssr_train.pipeline`, which the entry points use.
"""

import sys

from mssr_compat.import_hooks import ImportHooks
from mssr_compat.pkg_resources_shim import load_pytorch_wavelets
from mssr_compat.slow_imports import with_roi_align, without_dynamo, without_statistics
from mssr_compat.system_libraries import load_opencv
from mssr_compat.torchvision_shim import alias_functional_tensor, load_torchvision

sys.meta_path.insert(0, ImportHooks({
    'basicsr.data.degradations': without_statistics,
    'cv2': load_opencv,
    'pytorch_wavelets': load_pytorch_wavelets,
    'torch._dynamo.utils': with_roi_align,
    'torchvision': load_torchvision,
    'torchvision.ops.roi_align': without_dynamo,
}))
if 'torchvision' in sys.modules:  # somebody was before us
    alias_functional_tensor()
