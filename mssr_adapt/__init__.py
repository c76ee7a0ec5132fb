"""``adapt.py``: two folders in, restored photos out.

``folders`` looks at the photos; ``starts`` reads pretrained networks; ``option_files`` writes what is trained; ``ends``
adds what was learned to the start; ``ways`` are what enlarges photos, ``choice`` sets the knob without pairs, ``pairs``
measures with them; ``adaptation`` does all of it in order.
"""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
