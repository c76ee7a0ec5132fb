"""Metrics that BasicSR lacks, registered in its METRIC_REGISTRY."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
from mssr_metric.degradation_figures import FIGURES, DegradationReference, Figures, effective_noise
from mssr_metric.degradation_metrics import (
    calculate_bicubic_distance,
    calculate_color_drift,
    calculate_color_shift,
    calculate_diversity,
    calculate_haar_distance,
    calculate_noise_distance,
    calculate_noise_level,
    calculate_spectrum_distance,
)
from mssr_metric.lpips_metric import calculate_lpips
from mssr_metric.protocols import PROTOCOLS, better, calculate_psnr_protocol, calculate_ssim_protocol, name_metrics

__all__ = [
    'FIGURES',
    'PROTOCOLS',
    'DegradationReference',
    'Figures',
    'better',
    'calculate_bicubic_distance',
    'calculate_color_drift',
    'calculate_color_shift',
    'calculate_diversity',
    'calculate_haar_distance',
    'calculate_lpips',
    'calculate_noise_distance',
    'calculate_noise_level',
    'calculate_psnr_protocol',
    'calculate_spectrum_distance',
    'calculate_ssim_protocol',
    'effective_noise',
    'name_metrics',
]
