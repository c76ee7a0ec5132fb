"""Adversarial terms as published: logarithms of a sigmoid, and a gradient penalty for the batch as a whole."""

import torch
from basicsr.losses.gan_loss import GANLoss
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from mssr_compat.errors import UserError


@LOSS_REGISTRY.register()
class SigmoidGANLoss(GANLoss):
    """The vanilla GAN loss on scores ``D = sigmoid(logits)``: ``-log(D + eps)`` real, ``-log(1 - D + eps)`` fake.

    So the published code computed it. BasicSR's vanilla GANLoss, on logits, equals it until D saturates: here ``eps``
    bounds the loss at ``-log(eps)`` (18.4), where its gradient vanishes. The published Wasserstein option had no
    sigmoid: for that, BasicSR's GANLoss with ``gan_type: wgan`` is the published one.

    Args:
        gan_type: ``vanilla``, for the same options as GANLoss.
        loss_weight: weight of the generator's term; the discriminator's is always 1, as in BasicSR.
        eps: added before the logarithm.

    Raises:
        UserError: another ``gan_type``.
    """

    def __init__(self, gan_type: str = 'vanilla', loss_weight: float = 1.0, eps: float = 1e-8) -> None:
        if gan_type != 'vanilla':
            raise UserError(f'train.gan_opt.gan_type is {gan_type}, but SigmoidGANLoss knows only vanilla: for another '
                            'take type: GANLoss')
        super().__init__(gan_type, loss_weight=loss_weight)
        self.eps = eps

    def forward(self, logits: Tensor, target_is_real: bool, is_disc: bool = False) -> Tensor:
        """The loss of D's ``logits`` (any shape) for images to be judged real or fake; returns a scalar.

        Always in float32: half precision cannot tell 1 - 1e-4 from 1, nor 1e-8 from 0.
        """
        score = torch.sigmoid(logits.float())
        loss = -torch.log((score if target_is_real else 1 - score) + self.eps).mean()
        return loss if is_disc else self.loss_weight * loss


@LOSS_REGISTRY.register()
class GradientPenalty(nn.Module):
    """``loss_weight * (|| grad_m mean D(m) || - 1)^2`` at a mix ``m = r * real + (1 - r) * fake`` (WGAN-GP).

    As published, D's logits are averaged, one ``r`` (``torch.rand(1)``, from the global CPU generator) serves the
    whole batch, and the norm is that of the whole batch's gradient. The textbook penalty draws and measures per image.

    Args:
        loss_weight: weight of the penalty.
    """

    def __init__(self, loss_weight: float = 10.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, net_d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        """Penalise ``net_d`` (images to logits) between ``real`` and ``fake``, both (N, C, H, W); returns a scalar.

        Gradients flow into ``net_d`` alone. Always in float32, also under autocast.
        """
        r = torch.rand(1).to(real.device)
        mix = (r * real.detach().float() + (1 - r) * fake.detach().float()).requires_grad_(True)
        with torch.autocast(mix.device.type, enabled=False):
            gradient, = torch.autograd.grad(net_d(mix).mean(), mix, create_graph=True)
        return self.loss_weight * (gradient.norm() - 1) ** 2
