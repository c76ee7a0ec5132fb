"""Any SR network that spandrel knows (SPAN, RealPLKSR, DAT, SwinIR, HAT, Compact, ATD, ...), in a form that trains."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from mssr_compat.errors import UserError
from mssr_compat.files import plain

# Networks that compute on a range of their own: the hyperparameter that says it, the first convolution, which takes the
# range in, the last one, which takes it out again, and the means between. A step of Adam on such a first convolution
# counts range times.
_RANGES = {'SPAN': ('img_range', 'conv_1', None, ()), 'RCAN': ('rgb_range', 'head', 'tail.1', ('sub_mean', 'add_mean'))}
_RANGE_NAMES = ('img_range', 'rgb_range')
_STOCHASTIC = ('drop_prob', 'p')  # of stochastic depth and dropout


@ARCH_REGISTRY.register()
class SpandrelNet(nn.Module):
    """An SR network of spandrel's, built from its hyperparameters, computing what spandrel's computes.

    It differs in form where the original does not train: convolutions that are the product of several (SPAN's
    ``Conv3XC``, which keeps a fused copy for evaluation) are one convolution, input ranges (SPAN and RCAN multiply by
    255) are folded into the first and the last convolution, and nothing is dropped at random. :meth:`fold` and
    :meth:`unfold` turn weights from spandrel's form into this one and back.

    Args:
        architecture: spandrel's name of the architecture, such as ``SPAN``.
        network: the class, such as ``RealPLKSR`` of the architecture ``PLKSR``.
        scale: HR size over LR size.
        hyperparameters: keywords of that class.
        multiple: what height and width of its input must be multiples of.
        minimum: pixels a side that its input must have.

    Raises:
        UserError: spandrel is not installed or does not know the network, or it cannot be built or brought into a form
            that trains.
    """

    def __init__(self, architecture: str, network: str, scale: int, hyperparameters: Mapping[str, Any],
                 multiple: int = 1, minimum: int = 0) -> None:
        super().__init__()
        self.architecture, self.scale = architecture, scale
        #: read by SREnsemble, which pads its input up to them
        self.multiple, self.minimum = multiple, minimum
        cls = _network_class(architecture, network)
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in hyperparameters.items()}
        own = {**given, **dict.fromkeys(set(_RANGE_NAMES) & given.keys(), 1)}
        #: the input range that is folded into the weights, by its name; empty for networks on [0, 1]
        self.ranges = {name: float(given[name]) for name in _RANGE_NAMES
                       if given.get(name, 1) != 1 and given.get('norm', True)}
        if self.ranges and architecture not in _RANGES:
            raise UserError(f'{network} with an input range of {next(iter(self.ranges.values())):g} cannot be trained '
                            'here: only those of SPAN and RCAN can be folded into its weights.')
        try:
            self.net = cls(**own)
        except Exception as error:  # of spandrel's networks any may come
            raise UserError(f'{network} cannot be built with these hyperparameters: {error!r}.') from error
        for parent in list(self.net.modules()):
            for name, child in list(parent.named_children()):
                if type(child).__name__ == 'Conv3XC':
                    conv = child.eval_conv
                    setattr(parent, name, nn.Conv2d(conv.in_channels, conv.out_channels, 3, conv.stride, 1))
        for module in self.net.modules():
            for name in _STOCHASTIC:
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)

    def train(self, mode: bool = True) -> 'SpandrelNet':
        """As PyTorch's, but batch norms keep the statistics of their training: batches are small here."""
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, lq: Tensor) -> Tensor:
        """LR photos (N, 3, H, W), RGB in [0, 1], to HR ones (N, 3, s * H, s * W)."""
        return self.net(lq)

    # --- weights --------------------------------------------------------------------------------------------------

    def fold(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights by the names of spandrel's network as this one's; products are taken in double precision."""
        own, folded = self.net.state_dict(), {}
        for name in own:
            prefix, _, part = name.rpartition('.')
            if f'{prefix}.sk.weight' in state:
                folded[name] = _fused(state, prefix)[part]
            else:
                folded[name] = state[name]
        self._scale_ends(folded, 1)
        return {f'net.{name}': tensor.to(own[name].dtype) for name, tensor in folded.items()}

    def weights_of(self, state: Mapping[str, Tensor], where: str) -> Mapping[str, Tensor]:
        """The weights of a file for this network: as they are if they are of this form already, else folded.

        Raises:
            UserError: as :func:`read_spandrel`.
        """
        return state if all(name.startswith('net.') for name in state) else read_spandrel(state, where)[1]

    def unfold(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of :meth:`fold`: weights that spandrel, chaiNNer and ComfyUI take for the same architecture.

        A fused convolution becomes the product of three again, two of which are the identity.
        """
        own = {name.removeprefix('net.'): tensor for name, tensor in state.items()}
        self._scale_ends(own, -1)
        unfolded = {}
        for name, like in type(self.net)(**self.net.hyperparameters).state_dict().items():
            if name in own:
                unfolded[name] = own[name]
            else:
                prefix = next(name[:end] for end in _dots(name) if f'{name[:end]}.weight' in own)
                weight, bias = own[f'{prefix}.weight'], own[f'{prefix}.bias']
                unfolded[name] = _factor(name[len(prefix) + 1:], like, weight, bias)
        return unfolded

    def _scale_ends(self, state: dict[str, Tensor], sign: int) -> None:
        """Take the input range into the weights (sign 1) or out of them (-1)."""
        if not self.ranges:
            return
        _, first, last, shifts = _RANGES[self.architecture]
        factor = next(iter(self.ranges.values())) ** sign
        if first == 'head':  # behind an optional pixel unshuffling
            first = f'head.{len(self.net.head) - 1}'
        state[f'{first}.weight'] = state[f'{first}.weight'] * factor
        inverse = [f'{shift}.bias' for shift in shifts] + ([f'{last}.weight', f'{last}.bias'] if last else [])
        for name in inverse:
            if name in state:
                state[name] = state[name] / factor


def read_spandrel(state: Mapping[str, Tensor], where: str) -> tuple[dict, dict[str, Tensor]]:
    """The :class:`SpandrelNet` that a file's weights belong to.

    Args:
        state: names to tensors, of any network that spandrel knows.
        where: the file, for messages.

    Returns:
        Its options, as ``build_network`` takes them, and its weights.

    Raises:
        UserError: spandrel is not installed, does not know the network, or it is no SR network of RGB photos that
            trains.
    """
    spandrel = _spandrel()
    try:
        found = spandrel.MAIN_REGISTRY.load(dict(state))
    except spandrel.UnsupportedModelError as error:
        raise UserError(f'{where} holds weights of no network that spandrel {spandrel.__version__} knows.') from error
    except Exception as error:  # of shapes that do not fit a network, anything may come
        raise UserError(f'{where} looks like a network that spandrel knows, but cannot be one: {error}') from error
    name, sizes = found.architecture.name, found.size_requirements
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.purpose != 'SR' or found.scale < 2:
        raise UserError(f'{where} holds a {name} that enlarges nothing: an SR network is needed.')
    if (found.input_channels, found.output_channels) != (3, 3):
        raise UserError(f'{where} holds a {name} for {found.input_channels} channels: one for RGB is needed.')
    if sizes.square:
        raise UserError(f'{where} holds a {name} that takes square photos only.')
    options = {
        'type': 'SpandrelNet', 'architecture': str(found.architecture.id), 'network': type(found.model).__name__,
        'scale': found.scale, 'hyperparameters': plain(getattr(found.model, 'hyperparameters', {})),
        'multiple': sizes.multiple_of, 'minimum': sizes.minimum,
    }
    net = SpandrelNet(**{key: value for key, value in options.items() if key != 'type'})
    return options, net.fold(found.model.state_dict())


def _spandrel():
    try:
        import spandrel
    except ImportError as error:
        raise UserError('Pretrained networks of other architectures need the package spandrel: '
                        'pip install spandrel.') from error
    return spandrel


def _network_class(architecture: str, network: str) -> type[nn.Module]:
    """A network of spandrel's by the names of its architecture and of its class."""
    module = getattr(_spandrel().architectures, architecture, None)
    cls = next((cls for cls in vars(module).values() if isinstance(cls, type) and cls.__name__ == network),
               None) if module else None
    if cls is None:
        raise UserError(f'spandrel {_spandrel().__version__} has no network {network} of an architecture '
                        f'{architecture}.')
    return cls


def _dots(name: str) -> list[int]:
    """Where a dotted name may be cut."""
    return [place for place, letter in enumerate(name) if letter == '.']


def _fused(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Weight and bias of the 3 x 3 convolution that a ``Conv3XC`` is: a skipping 1 x 1 one plus 1 x 1, 3 x 3, 1 x 1."""
    (w0, b0), (w1, b1), (w2, b2), (skip, skip_bias) = (
        (state[f'{prefix}.{part}.weight'].double(), state[f'{prefix}.{part}.bias'].double())
        for part in ('conv.0', 'conv.1', 'conv.2', 'sk'))
    w0, w2, skip = w0[..., 0, 0], w2[..., 0, 0], F.pad(skip, (1, 1, 1, 1))
    weight = torch.einsum('om,mnyx,ni->oiyx', w2, w1, w0) + skip
    bias = w2 @ (torch.einsum('mnyx,n->m', w1, b0) + b1) + b2 + skip_bias
    return {'weight': weight, 'bias': bias}


def _factor(part: str, like: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A tensor of a ``Conv3XC`` that is the convolution of ``weight`` (O, I, 3, 3) and ``bias`` (O,).

    The first 1 x 1 convolution passes the I channels on and the last one the O channels; all else is zero.
    """
    if part.startswith('eval_conv.'):
        return weight if part.endswith('weight') else bias
    made = torch.zeros_like(like)
    outputs, inputs = weight.shape[:2]
    if part == 'conv.0.weight':
        made[:inputs, :, 0, 0] = torch.eye(inputs)
    elif part == 'conv.1.weight':
        made[:outputs, :inputs] = weight
    elif part == 'conv.1.bias':
        made[:outputs] = bias
    elif part == 'conv.2.weight':
        made[:, :outputs, 0, 0] = torch.eye(outputs)
    return made
