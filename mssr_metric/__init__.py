"""Metrics that BasicSR lacks, registered in its METRIC_REGISTRY."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
from mssr_metric.lpips_metric import calculate_lpips
from mssr_metric.protocols import PROTOCOLS, calculate_psnr_protocol, calculate_ssim_protocol, name_metrics

__all__ = ['PROTOCOLS', 'calculate_lpips', 'calculate_psnr_protocol', 'calculate_ssim_protocol', 'name_metrics']
