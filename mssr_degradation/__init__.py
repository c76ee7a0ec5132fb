"""The learned degradation: a generator, strength, share of the noise, JPEG and 8 bits as one object."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
from mssr_degradation.learned_degradation import LearnedDegradation

__all__ = ['LearnedDegradation']
