"""Networks from checkpoints alone."""

import inspect
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from mssr_arch.spandrel_arch import read_spandrel
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
from mssr_degradation import LearnedDegradation
from mssr_inference.restorer import Restorer
from mssr_options.reader import read_options

OPT = 'give the option file that it was trained with (or any with the right network_g section) as --opt'


@dataclass
class Loaded:
    """A network from a file, in evaluation mode, without gradients, on the CPU."""

    net: nn.Module
    options: dict  #: as ``build_network`` takes them
    scale: int  #: HR size over LR size
    path: Path
    sha256: str  #: of the file
    color_lock: bool = False  #: whether it is meant to be used with the colour lock


def load_upscaler(path: str | Path, opt: str | Path | None = None, branch: int | None = None, remedy: str = OPT,
                  perception: float | None = None) -> Loaded:
    """Load an SR network; averaged weights (EMA) where the file has them.

    Args:
        path: checkpoint of this project, or of any SR network whose options are in ``opt`` or can be told from shapes.
        opt: option file with ``network_g``, for a checkpoint that does not carry its options.
        branch: take this branch of the ensemble alone, from 1.
        remedy: what a programme without ``--opt`` says where it would be needed.
        perception: setting of a restorer's knob, 0 (fidelity) to 1 (perception); None: its own.

    Returns:
        The network as an :class:`SREnsemble`; a single network is an ensemble of one.

    Raises:
        UserError: the file is unreadable, holds no SR network, or has no such branch or setting.
    """
    restorer = Restorer.load(path)
    if restorer is not None:
        state, options = restorer.at(perception), restorer.options
    elif perception is not None:
        raise UserError(f'--perception is for restorers, which adapt.py writes; {path} has no knob.')
    else:
        state, options, _ = _read(path, opt, remedy)
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
    return Loaded(net, options, scale, Path(path), file_hash(find_checkpoint(path)), restorer is not None)


def load_generator(path: str | Path, opt: str | Path | None = None, remedy: str = OPT) -> LearnedDegradation:
    """Load a degradation generator of stage 1, or what :meth:`LearnedDegradation.save` wrote; arguments and errors as
    for :func:`load_upscaler`.

    Raises:
        UserError: the file is unreadable or holds no degradation generator.
    """
    _, options, said = _read(path, opt, remedy)
    return LearnedDegradation.load(path, options, said.get('scale'))


def _read(path, opt, remedy=OPT) -> tuple[dict, dict, dict]:
    """Weights and network options of a checkpoint, and what else it says of itself."""
    state, said = read_weights(path, param_key='params_ema'), read_description(path)
    if opt is not None:
        options = read_options(str(opt))
        if not isinstance(options.get('network_g'), dict):
            raise UserError(f'--opt {opt} has no network_g section, which must say what network {path} belongs to.')
        said |= network_description(options, 'network_g')
    network = said.get('network') or infer_options(state)
    if network is None:
        try:
            network, state = read_spandrel(state, str(path))
        except UserError as error:
            raise UserError(f'{path} holds {describe_weights(state)} and does not say its options: {remedy}.'
                            ) from error
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
