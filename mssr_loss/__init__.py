"""Losses that BasicSR lacks, registered in its LOSS_REGISTRY."""

import mssr_compat  # noqa: F401  (shims before BasicSR's first import)
from mssr_loss.adversarial_loss import GradientPenalty, SigmoidGANLoss
from mssr_loss.distance_loss import PairwiseDistanceLoss
from mssr_loss.frequency_losses import LowFrequencyLoss, SpectrumLoss
from mssr_loss.perceptual_loss import DISTSLoss, LPIPSLoss, VGGFeatureLoss

__all__ = ['DISTSLoss', 'GradientPenalty', 'LPIPSLoss', 'LowFrequencyLoss', 'PairwiseDistanceLoss', 'SigmoidGANLoss',
           'SpectrumLoss', 'VGGFeatureLoss']
