"""Networks of MSSR, registered in BasicSR's ARCH_REGISTRY."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
from mssr_arch.degradation_base import BicubicDegradation
from mssr_arch.deresnet_arch import DSGAN, DeResnet
from mssr_arch.edsr_down_arch import DegradationEDSR
from mssr_arch.han_arch import DegradationHAN
from mssr_arch.pdm_arch import DegradationPDM
from mssr_arch.simulated_degradation_arch import SimulatedDegradation
from mssr_arch.spandrel_arch import SpandrelNet
from mssr_arch.sr_ensemble_arch import SREnsemble
from mssr_arch.wavelet_discriminator_arch import WaveletDiscriminator

__all__ = [
    'DSGAN',
    'BicubicDegradation',
    'DeResnet',
    'DegradationEDSR',
    'DegradationHAN',
    'DegradationPDM',
    'SREnsemble',
    'SimulatedDegradation',
    'SpandrelNet',
    'WaveletDiscriminator',
]
