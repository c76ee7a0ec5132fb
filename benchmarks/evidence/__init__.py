"""Does the method work? The paper's ablation on a world of photos: ``python -m benchmarks.evidence --help``."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
