"""Data of the plugin: two data sets (registered with BasicSR), their augmentation, and the iteration sampler."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)

from mssr_data import datasets  # noqa: F401
