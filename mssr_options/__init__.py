"""Options: read strictly, checked against what reads them, and looked for on disk.

``reader`` reads a file, applies ``--force_yml``, and writes the YAML of what ran; ``check`` finds keys and values that
cannot be meant, ``rules`` those that do not fit each other; ``files`` finds what is missing on disk. ``schema`` and
``parts`` list the keys: a new one is a field there.
"""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
