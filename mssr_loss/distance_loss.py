"""What SR does to real photos, held to what it does to drawn ones: pairwise distance distillation (PDD)."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from mssr_arch.keyword_checks import require_choice, require_count
from mssr_compat.errors import UserError
from mssr_loss.backbone import FrozenNet, load_vgg16_features

_TAPS = (7, 14, 21)  # of VGG16's layers: conv2_2, conv3_3 and conv4_3, before their ReLU
_LEVELS = 255


@LOSS_REGISTRY.register()
class PairwiseDistanceLoss(FrozenNet):
    """Distances between outputs on real LR x and on drawn LR a, between a network S and a steadier one T.

    After Zhang, Lee, Yao, *Pairwise Distance Distillation for Unsupervised Real-World Image Super-Resolution*, ECCV
    2024, arXiv 2407.07302. With features ``phi``::

        intra = mean | |phi(S(x)) - phi(S(a))| - |phi(T(x)) - phi(T(a))| |
        inter = || Gram(phi(S(x)) - phi(T(x))) - Gram(phi(S(a)) - phi(T(a))) ||_F
        loss_weight * (intra + inter_weight * inter)

    Intra: outputs on real and on drawn LR are as far apart as T's. Inter: what S does otherwise than T on real LR has
    the statistics of what it does otherwise on drawn LR, where it learns from ground truth. The photos need show
    nothing in common: Gram matrices know no places. Both are 0 where S is T.

    As in the paper: the two distances; the differences from place to place of intra; the Gram matrix of the difference
    (over C, H and W), and Frobenius' norm; as T an average of the weights of S, by whoever calls this. Not as there:
    VGG16 (or no network) for VGG19, the same layers for both distances, with equal weights; L1 between intra distances,
    where the published option file takes a cross-entropy over channels; the norm is each photo's, so that the loss is a
    mean over photos, whatever the batch; S(a) gets no gradient, as an option of the published code has it; no GAN.

    Args:
        loss_weight: weight of the loss.
        net: where features come from: ``vgg`` (VGG16, conv2_2, conv3_3 and conv4_3, inputs normalised), or None: all
            pixels of each patch, which needs no weights and sees texture, not content.
        patch: with None, pixels a side of the patches, which do not overlap; rows and columns left over do not count.
        inter_weight: weight of the inter distance. It is of second order in ``S - T``: of patches, the default of 255
            makes both alike where these are one 8-bit level apart. None: that, or 1 with ``vgg``, as published.
        weights: torchvision's VGG16 weight file; by default searched for and at last downloaded.

    Raises:
        UserError: another ``net``, no such patch, or as :class:`mssr_loss.LPIPSLoss`.
    """

    def __init__(self, loss_weight: float = 1.0, net: str | None = None, patch: int = 4,
                 inter_weight: float | None = None, weights: str | None = None) -> None:
        require_choice('PairwiseDistanceLoss', 'net', net, (None, 'vgg'))
        require_count('PairwiseDistanceLoss', patch=patch)
        if net:
            layers = load_vgg16_features(weights, 'train.distance_opt.weights')[: _TAPS[-1] + 1]
            for layer in layers:
                if isinstance(layer, nn.ReLU):
                    layer.inplace = False  # or what was tapped before it would change
        super().__init__(layers if net else nn.Identity())
        self.loss_weight, self.patch = loss_weight, None if net else patch
        self.smallest = 8 if net else patch
        self.inter_weight = (1.0 if net else _LEVELS) if inter_weight is None else inter_weight
        self.register_buffer('mean', torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, S_x: Tensor, T_x: Tensor, S_a: Tensor, T_a: Tensor) -> Tensor:
        """Outputs (N, 3, H, W), RGB in [0, 1], of S and T on real and drawn LR; returns a scalar, in float32.

        Gradients reach ``S_x`` alone.

        Raises:
            UserError: images under 8 pixels a side (``vgg``), or smaller than a patch.
        """
        height, width = S_x.shape[-2:]
        if min(height, width) < self.smallest:
            raise UserError(f'train.distance_opt: PairwiseDistanceLoss needs HR crops of {self.smallest} pixels or '
                            f'more a side, but they are {width}x{height}: raise datasets.train.gt_size.')
        with torch.autocast(S_x.device.type, enabled=False):
            with torch.no_grad():
                known = [self.features(images) for images in (T_x, S_a, T_a)]
            terms = [_intra(*phi) + self.inter_weight * _inter(*phi)
                     for phi in zip(self.features(S_x), *known, strict=True)]
        return self.loss_weight * sum(terms) / len(terms)

    def features(self, images: Tensor) -> list[Tensor]:
        """``phi``, (N, C, h, w) each."""
        images = images.float()
        if self.patch:
            height, width = (size - size % self.patch for size in images.shape[-2:])
            return [F.pixel_unshuffle(images[..., :height, :width], self.patch)]
        x, found = (images - self.mean) / self.std, []
        for k, layer in enumerate(self.net):
            x = layer(x)
            if k in _TAPS:
                found.append(x)
        return found


def _intra(S_x: Tensor, T_x: Tensor, S_a: Tensor, T_a: Tensor) -> Tensor:
    return F.l1_loss((S_x - S_a).abs(), (T_x - T_a).abs())


def _inter(S_x: Tensor, T_x: Tensor, S_a: Tensor, T_a: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(_gram(S_x - T_x) - _gram(S_a - T_a)).mean()


def _gram(x: Tensor) -> Tensor:
    """(N, C, h, w) to (N, C, C): products of all pairs of channels, mean over the places, over C."""
    flat = x.flatten(2)
    return flat @ flat.mT / flat[0].numel()
