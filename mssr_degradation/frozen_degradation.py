"""The trained generators that training draws LR photos from."""

from collections.abc import Callable

from basicsr.archs import build_network
from basicsr.utils import get_root_logger
from torch import nn

from mssr_compat.errors import UserError


def build_frozen(k: int, options: dict, load: Callable[[nn.Module, str, str], object]) -> nn.Module:
    """Generator ``k`` of ``degradations:``, in evaluation mode, without gradients, with its ``checkpoint``'s weights.

    A network without weights (``BicubicDegradation``) has nothing to load and needs no checkpoint.

    Args:
        k: its place in the list, from 0, for messages.
        options: network options, with ``checkpoint``.
        load: takes the network, the file, and the YAML key that names it.

    Raises:
        UserError: the network has weights, and no checkpoint is named; or what ``load`` complains of.
    """
    options = dict(options)
    key, checkpoint = f'degradations[{k}].checkpoint', options.pop('checkpoint', None)
    net = build_network(options)
    if checkpoint:
        load(net, checkpoint, key)
    elif any(True for _ in net.parameters()):
        raise UserError(f'{key} is missing: the weights that stage 1 trained.')
    source = f'from {checkpoint}' if checkpoint else 'as it is, without weights'
    get_root_logger().info(f'Degradation {k + 1}: {options["type"]} {source}')
    return net.eval().requires_grad_(False)
