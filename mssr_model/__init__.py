"""Training models, registered in BasicSR's MODEL_REGISTRY: stage 1 learns degradations, stage 2 super-resolution."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
from mssr_model.degradation_gan_model import DegradationGANModel
from mssr_model.learned_degradation_model import LearnedDegradationESRGANModel, LearnedDegradationSRModel
from mssr_model.multi_degradation_sr_model import MultiDegradationSRModel

__all__ = ['DegradationGANModel', 'LearnedDegradationESRGANModel', 'LearnedDegradationSRModel',
           'MultiDegradationSRModel']
