"""Tiny checkpoints and pictures for the tests of inference, degradation and export."""

from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from mssr_arch import DeResnet, SREnsemble

TINY_RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4}
ENSEMBLE = {'type': 'SREnsemble', 'branches': [TINY_RRDB, TINY_RRDB]}
DERESNET = {'type': 'DeResnet', 'num_feat': 4, 'num_block': 2, 'scale': 4}


def enliven(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights, the same each time, with which pictures come out varied and the noise of a generator is seen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if weight.ndim > 1:
                fan_in = weight[0].numel()
                weight.copy_(torch.randn(weight.shape, generator=generator) * (1.5 / fan_in) ** 0.5)
            else:
                weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
            if 'noises.' in name:
                weight.copy_(3 * torch.randn(weight.shape, generator=generator))
            if name.endswith('conv_last.bias') or name == 'block_output.bias':
                weight.fill_(0.5 if 'conv_last' in name else 0)
    return net.eval()


def save(path: Path, net: nn.Module, options: dict, scale: int = 4) -> Path:
    """A checkpoint as this project's trainings write it."""
    torch.save({'params': net.state_dict(), 'network': deepcopy(options), 'scale': scale}, path)
    return path


def sr_checkpoint(folder: Path, options: dict = ENSEMBLE) -> Path:
    """An ensemble whose branches differ."""
    return save(folder / 'net_g.pth', enliven(SREnsemble(options['branches'])), options)


def generator_checkpoint(folder: Path, name: str = 'generator.pth', seed: int = 0, **changes) -> Path:
    """A DeResnet whose draws differ visibly."""
    options = {**DERESNET, **changes}
    net = enliven(DeResnet(**{key: value for key, value in options.items() if key != 'type'}), seed)
    return save(folder / name, net, options)


def picture(height: int, width: int, channels: int = 3, dtype=np.uint8, seed: int = 0) -> np.ndarray:
    """(H, W, channels), or (H, W) for one, with smooth parts and noise."""
    rng = np.random.default_rng(seed)
    white = np.iinfo(dtype).max
    coarse = rng.random((4, 5, channels))
    values = cv2.resize(coarse, (width, height)).reshape(height, width, channels)
    values = (0.8 * values + 0.2 * rng.random(values.shape)) * white
    return values.round().astype(dtype).squeeze(-1) if channels == 1 else values.round().astype(dtype)
