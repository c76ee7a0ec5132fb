"""Metrics that BasicSR lacks, registered in its METRIC_REGISTRY, and figures of a degradation generator."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
from mssr_compat.niqe_shim import mend_niqe
from mssr_metric.degradation_figures import FIGURES, DegradationReference, Figures, effective_noise
from mssr_metric.perceptual_metrics import calculate_dists, calculate_lpips
from mssr_metric.protocols import PROTOCOLS, better, calculate_psnr_protocol, calculate_ssim_protocol, name_metrics

mend_niqe()

__all__ = [
    'FIGURES',
    'PROTOCOLS',
    'DegradationReference',
    'Figures',
    'better',
    'calculate_dists',
    'calculate_lpips',
    'calculate_psnr_protocol',
    'calculate_ssim_protocol',
    'effective_noise',
    'name_metrics',
]
