"""Perceptual losses of both stages (published option ``per_type`` of stage 1: LPIPS or VGG16), and DISTS."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor
from torch.nn import functional as F

from mssr_compat.errors import UserError
from mssr_loss.backbone import LPIPS_SMALLEST, FrozenNet, load_dists, load_lpips, load_vgg16_features

_KEY = 'train.perceptual_opt.weights'


@LOSS_REGISTRY.register()
class LPIPSLoss(FrozenNet):
    """``loss_weight * LPIPS(x, y)``, averaged over the batch (Zhang et al., CVPR 2018; version 0.1).

    Always in float32, also under autocast. The target gets no gradient.

    Args:
        net: backbone, ``alex`` (published) or ``vgg``.
        loss_weight: weight of the loss.
        weights: the backbone's weight file from torchvision; by default it is searched for (see
            :mod:`mssr_loss.backbone`) and at last downloaded. LPIPS's own linear weights come with package ``lpips``.

    Raises:
        UserError: the weights are missing and cannot be downloaded, or the file holds something else; the message
            names the file, its address and where to put it.
    """

    def __init__(self, net: str = 'alex', loss_weight: float = 0.01, weights: str | None = None) -> None:
        super().__init__(load_lpips(net, weights, _KEY))
        self.loss_weight = loss_weight
        self.smallest = LPIPS_SMALLEST[net]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """LPIPS of ``x`` to the target ``y``, both (N, 3, H, W) RGB in [0, 1]; returns a scalar.

        Raises:
            UserError: images under 31 (``alex``) or 16 (``vgg``) pixels a side.
        """
        _check_size(x, self.smallest, 'LPIPSLoss')
        with torch.autocast(x.device.type, enabled=False):
            # The network wants [-1, 1].
            return self.loss_weight * self.net(x.float(), y.detach().float(), normalize=True).mean()


@LOSS_REGISTRY.register()
class DISTSLoss(FrozenNet):
    """``loss_weight * DISTS(x, y)``, averaged over the batch (Ding et al., TPAMI 2020, arXiv 2004.07728).

    Structure and texture of VGG16's features: less strict than LPIPS on where a texture's grains lie. Always in
    float32, also under autocast. The target gets no gradient.

    Args:
        loss_weight: weight of the loss.
        weights: torchvision's VGG16 weight file; by default searched for and at last downloaded. DISTS's own weights
            come with package ``DISTS-pytorch``.

    Raises:
        UserError: as :class:`LPIPSLoss`.
    """

    def __init__(self, loss_weight: float = 0.01, weights: str | None = None) -> None:
        super().__init__(load_dists(weights, _KEY))
        self.loss_weight = loss_weight

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """DISTS of ``x`` to the target ``y``, both (N, 3, H, W) RGB in [0, 1]; returns a scalar."""
        with torch.autocast(x.device.type, enabled=False):
            return self.loss_weight * self.net(x.float(), y.detach().float(), require_grad=True).mean()


@LOSS_REGISTRY.register()
class VGGFeatureLoss(FrozenNet):
    """``loss_weight * MSE(phi(x), phi(y))`` with phi VGG16's features after its fifth pooling, as in DSGAN.

    Always in float32, also under autocast. The target gets no gradient. BasicSR's PerceptualLoss has no squared error
    and no local VGG16 weights.

    Args:
        loss_weight: weight of the loss.
        use_input_norm: normalise images by ImageNet's mean and standard deviation first, as VGG16 was trained; the
            published loss did not.
        weights: torchvision's VGG16 weight file; by default searched for and at last downloaded.

    Raises:
        UserError: as :class:`LPIPSLoss`.
    """

    def __init__(self, loss_weight: float = 0.01, use_input_norm: bool = False, weights: str | None = None) -> None:
        super().__init__(load_vgg16_features(weights, _KEY))
        self.loss_weight = loss_weight
        self.use_input_norm = use_input_norm
        self.register_buffer('mean', torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Feature distance of ``x`` to the target ``y``, both (N, 3, H, W) RGB in [0, 1]; returns a scalar.

        Raises:
            UserError: images under 32 pixels a side.
        """
        _check_size(x, 32, 'VGGFeatureLoss')
        with torch.autocast(x.device.type, enabled=False):
            return self.loss_weight * F.mse_loss(self._features(x), self._features(y.detach()))

    def _features(self, images: Tensor) -> Tensor:
        images = images.float()
        if self.use_input_norm:
            images = (images - self.mean) / self.std
        return self.net(images)


def _check_size(x: Tensor, smallest: int, name: str) -> None:
    height, width = x.shape[-2:]
    if min(height, width) < smallest:
        raise UserError(f'train.perceptual_opt: {name} needs images of {smallest} pixels or more a side, but they '
                        f'are {width}x{height}: raise datasets.train.gt_size or leave perceptual_opt out')
