"""Backbone weight files with random values, in torchvision's names, so that no test needs a download."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

# (index in torchvision's `features`, output channels, input channels, kernel) of each convolution
_CONVOLUTIONS = {
    'alex': [(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)],
    'vgg': [(0, 64, 3, 3), (2, 64, 64, 3), (5, 128, 64, 3), (7, 128, 128, 3), (10, 256, 128, 3), (12, 256, 256, 3),
            (14, 256, 256, 3), (17, 512, 256, 3), (19, 512, 512, 3), (21, 512, 512, 3), (24, 512, 512, 3),
            (26, 512, 512, 3), (28, 512, 512, 3)],
}
FILES = {'alex': 'alexnet-owt-7be5be79.pth', 'vgg': 'vgg16-397923af.pth'}


@cache
def backbone_state(net: str) -> dict[str, Tensor]:
    """Random features of a magnitude that survives the layers, and one tensor of the classifier."""
    generator = torch.Generator().manual_seed(1)
    state = {'classifier.6.bias': torch.zeros(1000)}
    for index, out_ch, in_ch, k in _CONVOLUTIONS[net]:
        weight = torch.randn(out_ch, in_ch, k, k, generator=generator)
        state[f'features.{index}.weight'] = weight * (2 / (in_ch * k * k)) ** 0.5
        state[f'features.{index}.bias'] = torch.randn(out_ch, generator=generator) * 0.1
    return state


def write_backbone(folder: Path, net: str = 'alex') -> Path:
    """Write the weight file under its published name; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(backbone_state(net), folder / FILES[net])
    return folder / FILES[net]
