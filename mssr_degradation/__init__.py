"""The learned degradation: a generator, strength, noise share and JPEG, as stage 2 and its users draw from it."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
