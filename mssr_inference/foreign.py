"""Network options of checkpoints that do not carry them, read from the names and shapes of their weights."""

import re
from collections.abc import Mapping

from torch import Tensor

PUBLISHED_NOISE_STD = 0.1  # leaves no trace in the weights
PUBLISHED_SCALE = 4  # nor do the strides of convolutions


def infer_options(state: Mapping[str, Tensor]) -> dict | None:
    """Options, as ``build_network`` takes them, of the network that ``state`` belongs to.

    Known are RRDBNet (ESRGAN, Real-ESRGAN), DeResnet, DSGAN, DegradationHAN, DegradationEDSR and WaveletDiscriminator
    at the published settings of what shapes do not tell (noise, scale of HAN), and an SREnsemble of such networks.

    Args:
        state: names to tensors, as :func:`mssr_compat.checkpoint.read_weights` gives them.

    Returns:
        The options, or None for any other network.
    """
    if any(name.startswith('branches.') for name in state):
        count = _count(state, r'branches\.(\d+)\.')
        branches = [infer_options(_below(state, f'branches.{k}.')) for k in range(count)]
        return {'type': 'SREnsemble', 'branches': branches} if all(branches) else None
    known = {
        'body.0.rdb1.conv1.weight': _rrdbnet,
        'block_input.0.weight': _deresnet,
        'csa.conv.weight': _han,
        'dsple.0.weight': _edsr,
        'net.net.0.weight': _discriminator,
    }
    return next((infer(state) for mark, infer in known.items() if mark in state), None)


def _rrdbnet(state) -> dict | None:
    inputs = state['conv_first.weight'].shape[1]
    outputs = state['conv_last.weight'].shape[0]
    # Pixel unshuffling, for scales 2 and 1, multiplies the channels of the first convolution.
    scale = {outputs: 4, 4 * outputs: 2, 16 * outputs: 1}.get(inputs)
    if scale is None:
        return None
    return {
        'type': 'RRDBNet', 'num_in_ch': outputs, 'num_out_ch': outputs, 'scale': scale,
        'num_feat': state['conv_first.weight'].shape[0], 'num_block': _count(state, r'body\.(\d+)\.'),
        'num_grow_ch': state['body.0.rdb1.conv1.weight'].shape[0],
    }


def _deresnet(state) -> dict:
    common = {
        'num_in_ch': state['block_input.0.weight'].shape[1], 'num_out_ch': state['block_output.weight'].shape[0],
        'num_feat': state['block_input.0.weight'].shape[0], 'num_block': _count(state, r'res_blocks\.(\d+)\.'),
    }
    halvings = sum(bool(re.fullmatch(r'down_sample\.\d+\.bias', name)) for name in state)
    if not halvings and not _has_noise(state):
        return {'type': 'DSGAN', **common}
    return {'type': 'DeResnet', **common, 'scale': 2**halvings, 'noise_std': _noise_std(state)}


def _han(state) -> dict:
    tail = _count(state, r'tail\.(\d+)\.weight')
    squeezed = state['body.0.body.0.body.3.conv_du.0.weight']
    return {
        'type': 'DegradationHAN', 'num_in_ch': state['head.0.weight'].shape[1],
        'num_out_ch': state[f'tail.{tail - 1}.weight'].shape[0], 'num_feat': state['head.0.weight'].shape[0],
        'num_group': _count(state, r'body\.(\d+)\.body\.'),
        'num_block': _count(state, r'body\.0\.body\.(\d+)\.body\.'),
        'reduction': squeezed.shape[1] // squeezed.shape[0],
        'scale': 2 ** (tail - 1) if tail > 1 else PUBLISHED_SCALE, 'noise_std': _noise_std(state),
        'downsample': 'tail' if tail > 1 else 'head',
    }


def _edsr(state) -> dict:
    return {
        'type': 'DegradationEDSR', 'num_in_ch': state['head.0.weight'].shape[1],
        'num_out_ch': state['tail.0.weight'].shape[0], 'num_feat': state['head.0.weight'].shape[0],
        'num_block': _count(state, r'body\.(\d+)\.body\.'), 'scale': 2 ** _count(state, r'dsple\.(\d+)\.'),
        'noise_std': _noise_std(state),
    }


def _discriminator(state) -> dict:
    channels = state['net.net.0.weight'].shape[1]
    norm = 'batch' if any(name.endswith('running_mean') for name in state) else 'instance'
    return {
        'type': 'WaveletDiscriminator', 'num_in_ch': 3, 'bands': 'concat' if channels == 9 else 'mean', 'norm': norm,
    }


def _has_noise(state) -> bool:
    return any(name.startswith('noises.') for name in state)


def _noise_std(state) -> float:
    return PUBLISHED_NOISE_STD if _has_noise(state) else 0


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix):]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def _count(state, pattern: str) -> int:
    return len({match[1] for match in map(re.compile(pattern).match, state) if match})
