"""``report.py``: what an experiment did, as one HTML page that needs nothing else.

``experiment`` and ``training_log`` read what is on disk; ``evidence`` finds pictures or makes them; ``charts`` and
``markup`` draw; ``verdict``, ``overview``, ``progress``, ``generator`` and ``branches`` are the sections; ``page`` puts
them together.
"""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
