"""``mssr diagnose``: what degrades the photos of a folder, read from the photos alone.

``blur``, ``noise`` and ``traces`` measure one photo; ``photo`` puts them together; ``folder`` reads many and ``groups``
finds those that are alike; ``page`` and ``option_files`` say what was found.
"""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
