"""Using what was trained: upscaling photos, degrading them, and handing networks on to other programs."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
import mssr_arch  # noqa: F401  (networks register)
