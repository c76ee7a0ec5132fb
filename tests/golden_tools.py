"""Weights, inputs and records of the golden data, after the recipe in ``tests/golden/README.md``."""

import json
import zlib
from functools import cache
from math import prod, sqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent / 'golden'

# What the published code calls our keywords' values.
FILTERS = {'wavelet': 'wavelet', 'gau': 'gaussian', 'avg_pool': 'average', None: None}
NETS = {'FSD': 'fsd', 'nld_s1': 'patch_s1', 'nld_s2': 'patch_s2'}
BANDS = {'cat': 'concat', 'sum': 'mean', None: 'concat'}


@cache
def golden() -> dict:
    """``golden.json``: the sections ``forward``, ``loss``, ``stage1``, ``stage2`` and ``state``."""
    return json.loads((FOLDER / 'golden.json').read_text())


@cache
def _arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / 'golden.npz') as file:
        return dict(file)


def array_names() -> set[str]:
    """The names that :func:`array` knows."""
    return set(_arrays())


def array(name: str) -> Tensor:
    """An array of ``golden.npz``, e.g. ``forward/han``."""
    return torch.from_numpy(_arrays()[name].copy())


def record(section: str, tag: str) -> dict:
    """The record of a section with this tag."""
    return next(item for item in golden()[section] if item['tag'] == tag)


@cache
def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """The value of a parameter or buffer, a function of its published (and prefixed) name and its shape."""
    if name.endswith('num_batches_tracked'):
        return torch.zeros(shape, dtype=torch.long)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    v = rng.standard_normal(shape, dtype=np.float32)
    if name.endswith('running_var'):
        v = np.abs(v) + np.float32(0.5)
    elif (len(shape) >= 2 and shape[0] != 1) or len(shape) == 5:
        v = v * np.float32(0.6 / sqrt(prod(shape[1:])))
    else:
        v = v * np.float32(0.2)
    return torch.from_numpy(v)


def fill_weights(network: nn.Module, prefix: str = '') -> nn.Module:
    """Give every parameter and buffer in the state dict its golden value; ``prefix`` precedes the hashed names."""
    state = {name: weight(prefix + name, tuple(value.shape)) for name, value in network.state_dict().items()}
    network.load_state_dict(state)
    return network


def image(seed: int, shape: tuple[int, int, int, int]) -> Tensor:
    """(N, C, H, W) float32 image of twelve waves per channel, each channel stretched to [0, 1]."""
    n, c, h, w = shape
    rng = np.random.Generator(np.random.PCG64(seed))
    y, x = np.meshgrid(np.linspace(0, 1, h), np.linspace(0, 1, w), indexing='ij')
    waves = np.zeros(shape)
    for _ in range(12):
        f = rng.uniform(1, 24, (n, c, 2, 1, 1))
        p = rng.uniform(0, 6.3, (n, c, 1, 1))
        a = rng.uniform(0.1, 1, (n, c, 1, 1))
        waves += a * np.sin(6.2832 * (f[:, :, 0] * y + f[:, :, 1] * x) + p)
    waves -= waves.min((2, 3), keepdims=True)
    waves /= waves.max((2, 3), keepdims=True)
    return torch.from_numpy(waves.astype(np.float32))


def network_options(item: dict) -> dict:
    """A record of ``forward``, or a ``stage1`` record's discriminator, as options for ``build_network``."""
    if item.get('discriminator'):
        return {
            'type': 'WaveletDiscriminator',
            'filter': FILTERS[item['filter']],
            'bands': BANDS[item.get('cat_or_sum')],
            'net': NETS[item['discriminator']],
            'norm': item['norm_layer'].lower(),
            'kernel_size': item.get('kernel_size', 5),
        }
    if item['arch'] == 'Generator':
        return {'type': 'DSGAN', 'num_block': item['n_res_blocks']}
    if item['arch'] == 'De_resnet':
        noise_std = item['noise_std'] or 0
        return {'type': 'DeResnet', 'num_block': item['n_res_blocks'], 'scale': item['scale'], 'noise_std': noise_std}
    if item['arch'] == 'HAN':
        return {
            'type': 'DegradationHAN',
            'num_feat': item['n_feats'],
            'num_group': item['n_resgroups'],
            'num_block': item['n_resblocks'],
            'noise_std': item['noise_std'],
            'downsample': item.get('downsample', 'head'),
        }
    return {
        'type': 'DegradationEDSR',
        'num_feat': item['n_feats'],
        'num_block': item['n_resblocks'],
        'noise_std': item['noise_std'],
    }


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Largest absolute difference, relative to the largest expected magnitude."""
    assert actual.shape == expected.shape, f'{tuple(actual.shape)} is not {tuple(expected.shape)}'
    return ((actual - expected).abs().max() / expected.abs().max()).item()
