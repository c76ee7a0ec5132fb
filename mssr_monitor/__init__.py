"""What is watched while training: figures, warnings, pictures, and the record of an experiment."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
