"""Networks from checkpoints alone."""

import inspect
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from mssr_arch.degradation_base import DegradationNetwork
from mssr_compat.checkpoint import (
    describe_weights,
    find_checkpoint,
    load_into,
    network_description,
    read_description,
    read_weights,
)
from mssr_compat.errors import UserError
from mssr_compat.files import file_hash
from mssr_compat.known_networks import infer_options
from mssr_options.reader import read_options

OPT = 'give the option file that it was trained with (or any with the right {key} section) as --opt'


@dataclass
class Loaded:
    """A network from a file, in evaluation mode, without gradients, on the CPU."""

    net: nn.Module
    options: dict  #: as ``build_network`` takes them
    scale: int  #: HR size over LR size; of a generator that does not downsample (DSGAN), of its training
    path: Path
    sha256: str  #: of the file
    jpeg_qualities: tuple[int, ...] = ()  #: of the files that a generator's LR stands for; none: no JPEG


def load_upscaler(path: str | Path, opt: str | Path | None = None, branch: int | None = None, remedy: str = OPT
                  ) -> Loaded:
    """Load an SR network; averaged weights (EMA) where the file has them.

    Args:
        path: checkpoint of this project, or of any SR network whose options are in ``opt`` or can be told from shapes.
        opt: option file with ``network_g``, for a checkpoint that does not carry its options.
        branch: take this branch of the ensemble alone, from 1.
        remedy: what a programme without ``--opt`` says where it would be needed.

    Returns:
        The network as an :class:`SREnsemble`; a single network is an ensemble of one.

    Raises:
        UserError: the file is unreadable, holds no SR network, or has no such branch.
    """
    state, options, said = _read(path, opt, 'generator', remedy)
    if options['type'] != 'SREnsemble':
        options = {'type': 'SREnsemble', 'branches': [options]}
        state = {f'branches.0.{name}': tensor for name, tensor in state.items()}
    if branch is not None:
        count = len(options['branches'])
        if not 1 <= branch <= count:
            raise UserError(f'--branch is {branch}, but {path} has {count} branches: give 1 to {count}, or leave it.')
        options = {'type': 'SREnsemble', 'branches': [options['branches'][branch - 1]]}
        prefix = f'branches.{branch - 1}.'
        state = {f'branches.0.{n[len(prefix):]}': tensor for n, tensor in state.items() if n.startswith(prefix)}
    try:
        net = _build(options, state, path)
    except UserError as error:
        raise error if str(path) in str(error) else UserError(f'{path} holds no SR network: {error}') from error
    with torch.inference_mode():
        scale = net(torch.zeros(1, 3, 8, 8)).shape[-1] // 8
    return Loaded(net, options, scale, Path(path), file_hash(find_checkpoint(path)))


def load_generator(path: str | Path, opt: str | Path | None = None, remedy: str = OPT) -> Loaded:
    """Load a degradation generator of stage 1; arguments and errors as for :func:`load_upscaler`.

    Raises:
        UserError: the file is unreadable or holds no degradation generator.
    """
    state, options, said = _read(path, opt, 'generator', remedy)
    net = _build(options, state, path)
    if not isinstance(net, DegradationNetwork):
        raise UserError(f'{path} holds {describe_weights(state)}, but a degradation generator of stage 1 is needed.')
    scale = said.get('scale') or (4 if net.scale == 1 else net.scale)
    qualities = tuple(said.get('jpeg_qualities', ()))
    return Loaded(net, options, scale, Path(path), file_hash(find_checkpoint(path)), qualities)


def load_discriminator(path: str | Path, opt: str | Path | None = None) -> Loaded:
    """Load a discriminator of stage 1 (of a published ``.tar`` with one, that one); errors as above."""
    state, options, _ = _read(path, opt, 'discriminator')
    return Loaded(_build(options, state, path), options, 1, Path(path), file_hash(find_checkpoint(path)))


def _read(path, opt, part, remedy=OPT) -> tuple[dict, dict, dict]:
    """Weights and network options of a checkpoint, and what else it says of itself."""
    state = read_weights(path, param_key='params_ema', part=part)
    said = read_description(path)
    key = 'network_d' if part == 'discriminator' else 'network_g'
    if opt is not None:
        options = read_options(str(opt))
        if not isinstance(options.get(key), dict):
            raise UserError(f'--opt {opt} has no {key} section, which must say what network {path} belongs to.')
        said |= network_description(options, key)
    network = said.get('network') or infer_options(state)
    if network is None:
        raise UserError(f'{path} holds {describe_weights(state)} and does not say its options: '
                        f'{remedy.format(key=key)}.')
    return state, network, said


def _build(options: dict, state: dict, path) -> nn.Module:
    name = options['type']
    # BasicSR registers a few of its own networks with this suffix, and finds them without it.
    registered = name if name in ARCH_REGISTRY else f'{name}_basicsr'
    if registered not in ARCH_REGISTRY:
        raise UserError(f'{path} is of a network {name}, which is not registered here.')
    arch = ARCH_REGISTRY.get(registered)  # build_network would log, too
    keywords = deepcopy({key: value for key, value in options.items() if key != 'type'})
    try:
        inspect.signature(arch).bind(**keywords)
        net = arch(**keywords)
    except TypeError as error:
        raise UserError(f'{path}: {name} cannot be built with its options: {error}.') from error
    load_into(net, state, path)
    return net.eval().requires_grad_(False)
