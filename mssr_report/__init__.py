"""``report.py``: what an experiment did, as one HTML page that needs nothing else.

``experiment`` reads what is on disk; ``evidence`` finds pictures or makes them; ``verdict`` judges; ``sections`` and
``charts`` make what ``report.html`` shows; ``html_report`` puts it together.
"""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
