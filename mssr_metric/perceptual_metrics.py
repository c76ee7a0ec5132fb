"""LPIPS and DISTS as metrics of validation and testing."""

from functools import cache

import numpy as np
import torch
from basicsr.utils.registry import METRIC_REGISTRY
from torch import Tensor, nn

from mssr_loss.backbone import LPIPS_SMALLEST, load_dists, load_lpips
from mssr_metric.protocols import check_pair


@METRIC_REGISTRY.register()
@torch.no_grad()
def calculate_lpips(img: np.ndarray, img2: np.ndarray, crop_border: int = 0, net: str = 'alex',
                    device: str | None = None, weights: str | None = None, better: str | None = None) -> float:
    """Learned perceptual distance (Zhang et al., CVPR 2018; version 0.1); 0 for equal images, lower is better.

    The network is built at the first call and kept. It sees RGB in [-1, 1], so figures compare with other papers';
    the published MSSR trainer reported LPIPS of images in [0, 1].

    Args:
        img, img2: (H, W, 3) BGR or (H, W) gray in [0, 255], as BasicSR's validation makes them.
        crop_border: pixels to cut from each side first.
        net: backbone, ``alex`` or ``vgg``.
        device: where to compute; by default CUDA if there is one.
        weights: the backbone's weight file; by default searched for as :mod:`mssr_loss.backbone` says.
        better: ``lower``, which BasicSR's record of the best iteration reads, not this function.

    Raises:
        UserError: weights missing, sizes that differ, or images under 31 (``alex``) or 16 (``vgg``) pixels a side.
    """
    network = _network(net, device, weights)
    check_pair(f'LPIPS ({net})', img, img2, crop_border, LPIPS_SMALLEST[net])
    parameter = next(network.parameters())
    return network(_to_tensor(img, crop_border, parameter), _to_tensor(img2, crop_border, parameter)).item()


@METRIC_REGISTRY.register()
@torch.no_grad()
def calculate_dists(img: np.ndarray, img2: np.ndarray, crop_border: int = 0, device: str | None = None,
                    weights: str | None = None, better: str | None = None) -> float:
    """Distance of structure and texture (Ding et al., TPAMI 2020); 0 for equal images, lower is better.

    Images are compared at their own size, as pyiqa does; the authors' script shrinks larger ones to 256 pixels first.

    Args:
        img, img2: (H, W, 3) BGR or (H, W) gray in [0, 255], as BasicSR's validation makes them.
        crop_border: pixels to cut from each side first.
        device: where to compute; by default CUDA if there is one.
        weights: VGG16's weight file; by default searched for as :mod:`mssr_loss.backbone` says.
        better: ``lower``, which BasicSR's record of the best iteration reads, not this function.

    Raises:
        UserError: weights missing, or sizes that differ.
    """
    network = _network('dists', device, weights)
    check_pair('DISTS', img, img2, crop_border, 1)
    return network(*((_to_tensor(one, crop_border, network.mean) + 1) / 2 for one in (img, img2))).item()


def prepare_lpips(net: str = 'alex', device: str | None = None, weights: str | None = None, **_: object) -> None:
    """Build the network of these options of :func:`calculate_lpips` now, so that missing weights are missed at once.

    Raises:
        UserError: weights missing.
    """
    _network(net, device, weights)


def prepare_dists(device: str | None = None, weights: str | None = None, **_: object) -> None:
    """The same for :func:`calculate_dists`."""
    _network('dists', device, weights)


PREPARE = {'calculate_lpips': prepare_lpips, 'calculate_dists': prepare_dists}


@cache
def _network(name: str, device: str | None, weights: str | None) -> nn.Module:
    key = 'val.metrics.<name>.weights'
    network = load_dists(weights, key) if name == 'dists' else load_lpips(name, weights, key)
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return network.to(device).eval().requires_grad_(False)


def _to_tensor(image: np.ndarray, crop_border: int, like: Tensor) -> Tensor:
    """(H, W, 3) BGR or (H, W) gray in [0, 255] to (1, 3, H, W) RGB in [-1, 1]."""
    height, width = image.shape[:2]
    image = np.atleast_3d(image)[crop_border:height - crop_border, crop_border:width - crop_border, ::-1]
    image = torch.from_numpy(np.ascontiguousarray(image)).to(like)
    return (image / 127.5 - 1).permute(2, 0, 1)[None].expand(-1, 3, -1, -1)
