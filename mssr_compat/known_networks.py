"""Which network weights belong to, told from names and shapes: in words, and as options where these tell enough."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

State = Mapping[str, Tensor]

PUBLISHED_NOISE_STD = 0.1  # leaves no trace in the weights
PUBLISHED_SCALE = 4  # nor do the strides of convolutions


def describe_weights(state: State) -> str:
    """Say in a few words what network ``state`` belongs to; parts of a network will do."""
    if branches := _count(state, 'branches.*.'):
        first = describe_weights(_below(state, 'branches.0.'))
        return f'an SREnsemble of {branches} branches, the first of them {first}'
    kind = _kind(state)
    if kind:
        return kind.words(state)
    names = list(state)
    return f'{len(names)} tensors of an unknown network ({", ".join(names[:3])}{", ..." if len(names) > 3 else ""})'


def infer_options(state: State) -> dict | None:
    """Options, as ``build_network`` takes them, of the network that ``state`` belongs to.

    Known are RRDBNet (ESRGAN, Real-ESRGAN), DeResnet, DSGAN, DegradationHAN, DegradationEDSR and WaveletDiscriminator
    at the published settings of what shapes do not tell (noise, scale of HAN), and an SREnsemble of such networks.

    Args:
        state: names to tensors, as :func:`mssr_compat.checkpoint.read_weights` gives them.

    Returns:
        The options, or None for any other network.
    """
    if count := _count(state, 'branches.*.'):
        branches = [infer_options(_below(state, f'branches.{k}.')) for k in range(count)]
        return {'type': 'SREnsemble', 'branches': branches} if all(branches) else None
    kind = _kind(state)
    return kind.options(state) if kind and kind.options else None


class _Kind(NamedTuple):
    """Names that only this network has, what to call it, and how to read its options."""

    marks: tuple[str, ...]
    words: Callable[[State], str]
    options: Callable[[State], dict | None] | None = None


def _deresnet(state: State) -> dict:
    common = {
        'num_in_ch': state['block_input.0.weight'].shape[1], 'num_out_ch': state['block_output.weight'].shape[0],
        'num_feat': state['block_input.0.weight'].shape[0], 'num_block': _count(state, 'res_blocks.*.'),
    }
    if _is_dsgan(state):
        return {'type': 'DSGAN', **common}
    return {'type': 'DeResnet', **common, 'scale': 2 ** _halvings(state), 'noise_std': _noise_std(state)}


def _deresnet_words(state: State) -> str:
    kind = 'a DSGAN generator' if _is_dsgan(state) else f'a DeResnet x{2 ** _halvings(state)} generator{_noise(state)}'
    return f'{kind} with {_count(state, "res_blocks.*.")} blocks'


def _halvings(state: State) -> int:
    return _count(state, 'down_sample.*.bias')


def _is_dsgan(state: State) -> bool:
    return not _halvings(state) and not _noise_std(state)


def _han(state: State) -> dict:
    tail = _count(state, 'tail.*.weight')
    squeezed = state['body.0.body.0.body.3.conv_du.0.weight']
    return {
        'type': 'DegradationHAN', 'num_in_ch': state['head.0.weight'].shape[1],
        'num_out_ch': state[f'tail.{tail - 1}.weight'].shape[0], 'num_feat': state['head.0.weight'].shape[0],
        'num_group': _count(state, 'body.*.body.'), 'num_block': _count(state, 'body.0.body.*.body.'),
        'reduction': squeezed.shape[1] // squeezed.shape[0],
        'scale': 2 ** (tail - 1) if tail > 1 else PUBLISHED_SCALE, 'noise_std': _noise_std(state),
        'downsample': 'tail' if tail > 1 else 'head',
    }


def _han_words(state: State) -> str:
    end = 'tail' if 'tail.1.weight' in state else 'head'
    groups = _count(state, 'body.*.body.0.body.')
    return f'a HAN generator{_noise(state)} with {groups} groups and its downsampling in the {end}'


def _edsr(state: State) -> dict:
    return {
        'type': 'DegradationEDSR', 'num_in_ch': state['head.0.weight'].shape[1],
        'num_out_ch': state['tail.0.weight'].shape[0], 'num_feat': state['head.0.weight'].shape[0],
        'num_block': _count(state, 'body.*.body.'), 'scale': 2 ** _count(state, 'dsple.*.'),
        'noise_std': _noise_std(state),
    }


def _edsr_words(state: State) -> str:
    return f'an EDSR degradation generator{_noise(state)} with {_count(state, "body.*.body.")} blocks'


def _discriminator(state: State) -> dict:
    bands = 'concat' if state['net.net.0.weight'].shape[1] == 9 else 'mean'
    return {'type': 'WaveletDiscriminator', 'num_in_ch': 3, 'bands': bands, 'norm': _norm(state)}


def _discriminator_words(kind: str, first: str) -> Callable[[State], str]:
    return lambda state: f'{kind} discriminator with {_norm(state)} norm on {state[first].shape[1]} channels'


def _norm(state: State) -> str:
    return 'batch' if any(name.endswith('running_mean') for name in state) else 'instance'


def _rrdbnet(state: State) -> dict | None:
    inputs, outputs = state['conv_first.weight'].shape[1], state['conv_last.weight'].shape[0]
    # Pixel unshuffling, for scales 2 and 1, multiplies the channels of the first convolution.
    scale = {outputs: 4, 4 * outputs: 2, 16 * outputs: 1}.get(inputs)
    return scale and {
        'type': 'RRDBNet', 'num_in_ch': outputs, 'num_out_ch': outputs, 'scale': scale,
        'num_feat': state['conv_first.weight'].shape[0], 'num_block': _count(state, 'body.*.'),
        'num_grow_ch': state['body.0.rdb1.conv1.weight'].shape[0],
    }


def _sr_words(kind: str) -> Callable[[State], str]:
    return lambda state: (f'{kind} with {_count(state, "body.*.")} blocks of '
                          f'{state["conv_first.weight"].shape[0]} channels')


def _classifier_words(state: State) -> str:
    return 'an AlexNet' if state['features.0.weight'].shape[-1] == 11 else \
        f'a VGG with {_count(state, "features.*.weight")} convolutions'


_FSD, _PATCH, _FIRST = 'net.net.0.weight', 'net.model.0.weight', 'conv_first.weight'
_KINDS = (
    _Kind(('block_input.0.weight',), _deresnet_words, _deresnet),
    _Kind(('csa.conv.weight',), _han_words, _han),
    _Kind(('dsple.0.weight',), _edsr_words, _edsr),
    _Kind((_FSD,), _discriminator_words('an FSD', _FSD), _discriminator),
    _Kind((_PATCH,), _discriminator_words('a PatchGAN', _PATCH)),
    _Kind(('layers.0.residual_group.blocks.0.norm1.weight',), lambda state: 'a SwinIR'),
    _Kind((_FIRST, 'body.0.rdb1.conv1.weight'), _sr_words('an RRDBNet'), _rrdbnet),
    _Kind((_FIRST, 'upconv1.weight'), _sr_words('an MSRResNet')),
    _Kind((_FIRST, 'body.0.residual_group.0.rcab.0.weight'), _sr_words('an RCAN')),
    _Kind((_FIRST, 'conv_after_body.weight'), _sr_words('an EDSR')),
    _Kind(('features.0.weight',), _classifier_words),
)


def _kind(state: State) -> _Kind | None:
    return next((kind for kind in _KINDS if all(mark in state for mark in kind.marks)), None)


def _noise_std(state: State) -> float:
    return PUBLISHED_NOISE_STD if any(name.startswith('noises.') for name in state) else 0


def _noise(state: State) -> str:
    return '' if _noise_std(state) else ' without noise'


def _below(state: State, prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix):]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def _count(state: State, start: str) -> int:
    """How many different numbers stand for the star in the names that begin so."""
    pattern = re.compile(re.escape(start).replace(r'\*', r'(\d+)'))
    return len({match[1] for match in map(pattern.match, state) if match})
