"""Data of the plugin: the unpaired dataset (registered with BasicSR), its augmentation, and the iteration sampler."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)

from mssr_data import unpaired_image_dataset  # noqa: F401
