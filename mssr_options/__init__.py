"""Options: read strictly, checked against what reads them, kept as they ran, and tried before a long run.

``reader`` reads a file and applies ``--force_yml``; ``check`` finds keys and values that cannot be meant; ``files``
finds what is missing on disk; ``effective`` writes the YAML of what ran; ``preflight`` is ``train.py --check``.
``tables``, ``dataset_tables`` and ``component_tables`` list the keys: a new one is a line there.
"""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
