"""Networks of MSSR, registered in BasicSR's ARCH_REGISTRY."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
