"""``mssr prepare``: photos, in folders or archives, to the training data that the options expect."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
