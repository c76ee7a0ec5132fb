"""What happens round a training: the pipeline, its run, resuming, and what is tried before it begins."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
