"""Adversarial terms as published: logarithms and Wasserstein scores of a sigmoid, and one penalty for the batch."""

import torch
from basicsr.losses.gan_loss import GANLoss
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from mssr_compat.errors import UserError


@LOSS_REGISTRY.register()
class SigmoidGANLoss(GANLoss):
    """BasicSR's GANLoss on scores ``D = sigmoid(logits)``, as the published discriminator returned them.

    ``vanilla``: ``-log(D + eps)`` for real, ``-log(1 - D + eps)`` for fake. It differs from BasicSR's vanilla GANLoss
    only where D saturates: ``eps`` bounds the loss at ``-log(eps)`` (18.4) and lets its gradient vanish.
    ``wgan``: ``-mean(D)`` for real, ``mean(D)`` for fake; the published Wasserstein option kept the sigmoid, its
    critic is therefore bounded (BasicSR's ``wgan`` is the unbounded textbook one).

    Args:
        gan_type: ``vanilla`` or ``wgan``.
        loss_weight: weight of the generator's term; the discriminator's is always 1, as in BasicSR.
        eps: added before the logarithm.

    Raises:
        UserError: another ``gan_type``.
    """

    def __init__(self, gan_type: str = 'vanilla', loss_weight: float = 1.0, eps: float = 1e-8) -> None:
        if gan_type not in ('vanilla', 'wgan'):
            raise UserError(f'train.gan_opt.gan_type is {gan_type}, but SigmoidGANLoss has vanilla and wgan; '
                            'for another type use type: GANLoss')
        super().__init__(gan_type, loss_weight=loss_weight)
        self.eps = eps
        self.loss = self._score_loss

    def get_target_label(self, logits: Tensor, target_is_real: bool) -> bool:
        """Both types need only the side, no label image."""
        return target_is_real

    def _score_loss(self, logits: Tensor, target_is_real: bool) -> Tensor:
        # Half precision cannot tell 1 - 1e-4 from 1, and 1e-8 from 0.
        score = torch.sigmoid(logits.float())
        if self.gan_type == 'wgan':
            return -score.mean() if target_is_real else score.mean()
        return -torch.log((score if target_is_real else 1 - score) + self.eps).mean()


@LOSS_REGISTRY.register()
class GradientPenalty(nn.Module):
    """``loss_weight * (|| grad_m mean D(m) || - 1)^2`` at a mix ``m = r * real + (1 - r) * fake`` (WGAN-GP).

    As published, one ``r`` (``torch.rand(1)``, from the global CPU generator) serves the whole batch, and the norm is
    that of the whole batch's gradient; the textbook penalty (BasicSR's ``gradient_penalty_loss``) draws and measures
    per image.

    Args:
        loss_weight: weight of the penalty.
        sigmoid: penalise ``D = sigmoid(logits)``, as published, or the logits themselves.
    """

    def __init__(self, loss_weight: float = 10.0, sigmoid: bool = True) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.sigmoid = sigmoid

    def forward(self, net_d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        """Penalise ``net_d`` (images to logits) between ``real`` and ``fake``, both (N, C, H, W); returns a scalar.

        The gradient flows into ``net_d`` alone. Computed in float32, also under autocast.
        """
        real, fake = real.detach().float(), fake.detach().float()
        r = torch.rand(1).to(real.device)
        mix = (r * real + (1 - r) * fake).requires_grad_(True)
        with torch.enable_grad(), torch.autocast(mix.device.type, enabled=False):
            score = net_d(mix)
            if self.sigmoid:
                score = torch.sigmoid(score)
            gradient, = torch.autograd.grad(score.mean(), mix, create_graph=True)
            return self.loss_weight * (gradient.norm() - 1) ** 2
