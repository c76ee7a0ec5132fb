"""Read network weights of any origin, and what their files say of them, and load them or say why not."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from mssr_compat.checkpoint_names import find_checkpoint, modernise_names, strip_prefix
from mssr_compat.errors import UserError
from mssr_compat.files import plain
from mssr_compat.known_networks import describe_weights
from mssr_compat.untrusted import read_untrusted

__all__ = ['describe_weights', 'find_checkpoint', 'load_into', 'network_description', 'read_description',
           'read_metadata', 'read_training_state', 'read_weights']

# Fixed Haar and Gaussian kernels, which published discriminators store and ours rebuild.
_FIXED_FILTER = re.compile(r'(^|\.)([gh][01]_(col|row)|gaussian_filter\.weight)$')
_FILE = re.compile(r'[/\\]|^~|\.(pth|pt|ckpt|tar|safetensors|onnx|npy|npz)$')
_SHOWN = 3  # differing names that a message lists


def read_weights(path: str | Path, key: str | None = None, *, param_key: str | None = 'params',
                 part: str = 'generator', index: int | None = None) -> dict[str, Tensor]:
    """Read one network's weights from a file, on the CPU, by the names that BasicSR or this project gives them.

    Understood: BasicSR's ``{params, params_ema}``; bare state dicts; ``{state_dict: ...}``; a published stage-1
    ``.tar`` (``model_g_state_dict``, ``models_d_state_dict``) and stage-2 ``.ckpt`` (``params``); ``.safetensors``.
    A leading ``module.`` (DataParallel) or ``model.`` (the published HAN wrapper) goes away, and ESRGAN's two older
    namings become RRDBNet's. Nothing but tensors and plain values is unpickled. Every value is looked at, which takes
    about a millisecond for a million of them.

    Args:
        path: the file, or ``experiments/NAME/best`` as :func:`find_checkpoint` has it.
        key: YAML key that named the file, for messages.
        param_key: ``params`` or ``params_ema``, which to take where the file has both; a file that has only the other
            gives that.
        part: ``generator`` or ``discriminator``, which to take of a stage-1 file.
        index: which discriminator, where such a file has several.

    Returns:
        Names to tensors.

    Raises:
        UserError: the file is missing, empty, truncated, no checkpoint, a training state, would run code, or holds
            NaN or infinity.
    """
    where = f'{key}: {path}' if key else str(path)
    state = _select(read_untrusted(path, where), where, param_key, part, index)
    if not _are_tensors(state):
        raise UserError(f'{where} holds {_describe_content(state)}, but a network\'s weights are expected')
    for name, tensor in state.items():
        if not _is_finite(tensor):
            raise UserError(f'{where} holds NaN or infinity in its tensor {name}: it is of a training that broke; take '
                            'an earlier checkpoint, or copy the file again')
    state = {name.removeprefix('module.'): tensor for name, tensor in state.items()}
    state = modernise_names(state, where)
    return strip_prefix(state, 'model.')


def read_metadata(path: str | Path, key: str | None = None) -> dict[str, Any]:
    """What a checkpoint says beside its tensors, by name; of a ``.safetensors`` file its metadata, read as JSON.

    Raises:
        UserError: as :func:`read_weights`.
    """
    path, where = find_checkpoint(path), f'{key}: {path}' if key else str(path)
    content = read_untrusted(path, where)
    if path.suffix != '.safetensors':
        return {name: value for name, value in content.items() if not isinstance(value, Tensor)} \
            if isinstance(content, Mapping) else {}
    with safe_open(path, 'pt') as file:
        return {name: _from_json(text) for name, text in (file.metadata() or {}).items()}


def read_description(path: str | Path, key: str | None = None) -> dict[str, Any]:
    """What a checkpoint says of its network: ``network`` (options as ``build_network`` takes them), ``scale``, and of
    what a generator draws ``jpeg_qualities``, ``strength``, ``noise`` and ``eight_bit``, as
    :class:`mssr_degradation.LearnedDegradation` has them.

    This project writes them beside the weights. A foreign file says none of it, and the result is empty.

    Raises:
        UserError: as :func:`read_weights`; or its metadata are damaged.
    """
    said, found = read_metadata(path, key), {}
    network = said.get('network')
    if isinstance(network, str):
        raise UserError(f'{f"{key}: " if key else ""}{path} is damaged: what its metadata call network is no JSON.')
    if isinstance(network, Mapping) and isinstance(network.get('type'), str):
        found['network'] = _without_files(network)
    if isinstance(said.get('scale'), int):
        found['scale'] = said['scale']
    for name in ('jpeg_qualities', 'strength', 'noise'):
        values = said.get(name)
        if isinstance(values, list) and all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            found[name] = values
    if isinstance(said.get('eight_bit'), bool):
        found['eight_bit'] = said['eight_bit']
    return found


def network_description(opt: Mapping, key: str) -> dict[str, Any]:
    """What is saved beside the weights of ``opt[key]``, so that the checkpoint alone rebuilds its network.

    Args:
        opt: the options of the training.
        key: ``network_g``, ``network_d``, ...

    Returns:
        ``network``: the network's options in plain values, without any file on this machine, such as those that its
        training started from; ``scale``: HR size over LR size.
    """
    return {'network': _without_files(plain(opt[key])), **({'scale': int(opt['scale'])} if 'scale' in opt else {})}


def _without_files(options: Any) -> Any:
    """Options without those that name a file, at any depth: ``checkpoint``, ``..._path``, or a value like a path."""
    if isinstance(options, Mapping):
        return {name: _without_files(value) for name, value in options.items()
                if name != 'checkpoint' and not (isinstance(value, str) and (
                    str(name).endswith('path') or _FILE.search(value)))}
    return [_without_files(value) for value in options] if isinstance(options, list | tuple) else options


def read_training_state(path: str | Path, key: str | None = None) -> dict[str, Any]:
    """Read a BasicSR training state (``.state``: iteration, optimizers, schedulers) on the CPU, running no code.

    Raises:
        UserError: the file is missing or damaged, or holds something else, such as weights.
    """
    where = f'{key}: {path}' if key else str(path)
    content = read_untrusted(path, where)
    if not _is_training_state(content):
        raise UserError(f'{where} holds {_describe_content(content)}, but a training state (.state: iter, optimizers, '
                        'schedulers) is expected')
    return content


def load_into(net: nn.Module, state: Mapping[str, Tensor], path: str | Path, key: str | None = None,
              strict: bool = True) -> list[str]:
    """Load weights into a network, or say what the file holds and what the network needs.

    Args:
        net: the network; a (Distributed)DataParallel wrapper is looked through.
        state: names to tensors, from :func:`read_weights`.
        path: where ``state`` came from, for messages.
        key: YAML key that named the file, for messages.
        strict: ask for exactly the network's names; otherwise load those that fit in name and shape.

    Returns:
        Names that were not loaded because one side lacks them or shapes differ (empty if ``strict``).

    Raises:
        UserError: names or shapes differ (``strict``), or nothing fits (not ``strict``).
    """
    if isinstance(net, nn.parallel.DataParallel | nn.parallel.DistributedDataParallel):
        net = net.module
    needed = net.state_dict()
    state = {name: tensor for name, tensor in state.items() if name in needed or not _FIXED_FILTER.search(name)}
    missing = [name for name in needed if name not in state]
    unknown = [name for name in state if name not in needed]
    reshaped = [name for name in needed if name in state and needed[name].shape != state[name].shape]
    left = missing + unknown + reshaped
    fitting = {name: state[name] for name in needed.keys() - set(left)}
    if left and (strict or not fitting):
        counts = [f'{len(names)} {what} ({_some(names)})' for names, what in
                  ((missing, 'missing'), (unknown, 'unknown'), (reshaped, 'of another shape')) if names]
        shapes = [f'{name} is {_shape(state[name])} in the file, {_shape(needed[name])} in the network'
                  for name in reshaped[:1]]
        where, differences = f'{key}: {path}' if key else path, '; '.join(counts + shapes)
        raise UserError(f'{where} holds {describe_weights(state)}, but {type(net).__name__} expects '
                        f'{describe_weights(needed)}; tensors: {differences}')
    net.load_state_dict(fitting, strict=strict)
    if left:
        from basicsr.utils import get_root_logger

        get_root_logger().warning(f'{path}: {len(left)} tensors do not fit {type(net).__name__} and were left out: '
                                  f'{", ".join(left)}')
    return left


def _select(content: Any, where: str, param_key: str | None, part: str, index: int | None) -> Any:
    """The network asked for among all that a file holds."""
    if not isinstance(content, Mapping) or _is_training_state(content):
        return content
    if 'model_g_state_dict' in content or 'models_d_state_dict' in content:
        return _select_stage1(content, where, part, index)
    for name in (param_key, 'params', 'params_ema', 'state_dict'):
        if isinstance(content.get(name), Mapping):
            return content[name]
    return content


def _select_stage1(content: Mapping, where: str, part: str, index: int | None) -> Any:
    name = {'generator': 'model_g_state_dict', 'discriminator': 'models_d_state_dict'}[part]
    if name not in content:
        raise UserError(f'{where} is a stage-1 checkpoint without {name}: it has no {part}')
    found = content[name]
    if isinstance(found, Mapping) and found and all(isinstance(value, Mapping) for value in found.values()):
        found = list(found.values())
    if not isinstance(found, list | tuple):
        return found
    if len(found) != 1 and not (index is not None and 0 <= index < len(found)):
        raise UserError(f'{where} has {len(found)} discriminators: choose one, 0 to {len(found) - 1}, with --index of '
                        'mssr convert')
    return found[index or 0]


def _is_training_state(content: Any) -> bool:
    return isinstance(content, Mapping) and {'iter', 'optimizers', 'schedulers'} <= content.keys()


def _is_finite(tensor: Tensor) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    return bool(torch.isfinite(tensor if tensor.element_size() > 1 else tensor.float()).all())  # 8 bits lack the test


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _are_tensors(state: Any) -> bool:
    return isinstance(state, Mapping) and bool(state) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items())


def _describe_content(content: Any) -> str:
    if _is_training_state(content):
        return f'a training state of iteration {content["iter"]} (optimizers and schedulers)'
    if not isinstance(content, Mapping):
        return f'one object of type {type(content).__name__}'
    content = _select(content, '', 'params', 'generator', None)
    if not content:
        return 'nothing'
    if _are_tensors(content):
        return f'weights of {describe_weights(content)}'
    return f'a dictionary of {_some(list(content))}'


def _some(names: list) -> str:
    return ', '.join(map(str, names[:_SHOWN])) + (', ...' if len(names) > _SHOWN else '')


def _shape(tensor: Tensor) -> str:
    return 'x'.join(map(str, tensor.shape)) or 'scalar'
