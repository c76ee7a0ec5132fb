"""Read network weights of any origin without running code that a file may carry, and load them or say why not."""

import _codecs
import json
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mssr_compat.checkpoint_names import describe_weights, find_checkpoint, modernise_names, strip_prefix
from mssr_compat.errors import UserError

__all__ = ['describe_weights', 'find_checkpoint', 'load_into', 'network_description', 'read_description',
           'read_training_state', 'read_weights']

# Fixed Haar and Gaussian kernels, which published discriminators store and ours rebuild.
_FIXED_FILTER = re.compile(r'(^|\.)([gh][01]_(col|row)|gaussian_filter\.weight)$')
_SHOWN = 3  # differing names that a message lists


def read_weights(path: str | Path, key: str | None = None, *, param_key: str | None = 'params',
                 part: str = 'generator', index: int | None = None) -> dict[str, Tensor]:
    """Read one network's weights from a file, on the CPU, by the names that BasicSR or this project gives them.

    Understood: BasicSR's ``{params, params_ema}``; bare state dicts; ``{state_dict: ...}``; a published stage-1
    ``.tar`` (``model_g_state_dict``, ``models_d_state_dict``) and stage-2 ``.ckpt`` (``params``); ``.safetensors``.
    A leading ``module.`` (DataParallel) or ``model.`` (the published HAN wrapper) goes away, and ESRGAN's two older
    namings become RRDBNet's. Nothing but tensors and plain values is unpickled.

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
        UserError: the file is missing, empty, truncated, no checkpoint, a training state, or would run code.
    """
    where = f'{key}: {path}' if key else str(path)
    state = _select(_read(Path(path).expanduser(), where), where, param_key, part, index)
    if not _are_tensors(state):
        raise UserError(f'{where} holds {_describe_content(state)}, but a network\'s weights are expected')
    state = {name.removeprefix('module.'): tensor for name, tensor in state.items()}
    state = modernise_names(state, where)
    return strip_prefix(state, 'model.')


_DESCRIPTION = ('network', 'scale', 'jpeg_qualities', 'strength', 'noise', 'eight_bit')


def read_description(path: str | Path, key: str | None = None) -> dict[str, Any]:
    """What a checkpoint says of its network: ``network`` (options as ``build_network`` takes them), ``scale``, and of
    what a generator draws ``jpeg_qualities``, ``strength``, ``noise`` and ``eight_bit``, as
    :class:`mssr_degradation.LearnedDegradation` has them.

    This project writes them beside the weights; in a ``.safetensors`` file they are metadata, in JSON. A foreign file
    says none of it, and the result is empty.

    Raises:
        UserError: as :func:`read_weights`.
    """
    path, where = Path(path).expanduser(), f'{key}: {path}' if key else str(path)
    if path.suffix == '.safetensors' and path.is_file():
        _read(path, where)  # for its messages
        from safetensors import safe_open

        with safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
        try:
            content = {name: json.loads(metadata[name]) for name in _DESCRIPTION if name in metadata}
        except ValueError as error:
            raise UserError(f'{where} is damaged: its metadata are no JSON') from error
    else:
        content = _read(path, where)
    if not isinstance(content, Mapping):
        return {}
    found = {}
    if isinstance(content.get('network'), Mapping) and isinstance(content['network'].get('type'), str):
        found['network'] = dict(content['network'])
    if isinstance(content.get('scale'), int):
        found['scale'] = content['scale']
    for name in ('jpeg_qualities', 'strength', 'noise'):
        values = content.get(name)
        if isinstance(values, list) and all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            found[name] = values
    if isinstance(content.get('eight_bit'), bool):
        found['eight_bit'] = content['eight_bit']
    return found


def network_description(opt: Mapping, key: str) -> dict[str, Any]:
    """What is saved beside the weights of ``opt[key]``, so that the checkpoint alone rebuilds its network.

    Args:
        opt: the options of the training.
        key: ``network_g``, ``network_d``, ...

    Returns:
        ``network``: the network's options in plain dicts and lists, without the files that its training started from;
        ``scale``: HR size over LR size.
    """
    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(name): plain(item) for name, item in value.items() if name != 'checkpoint'}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return {'network': plain(opt[key]), **({'scale': int(opt['scale'])} if 'scale' in opt else {})}


def read_training_state(path: str | Path, key: str | None = None) -> dict[str, Any]:
    """Read a BasicSR training state (``.state``: iteration, optimizers, schedulers) on the CPU, running no code.

    Raises:
        UserError: the file is missing or damaged, or holds something else, such as weights.
    """
    where = f'{key}: {path}' if key else str(path)
    content = _read(Path(path).expanduser(), where)
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
    own = net.state_dict()
    state = {name: tensor for name, tensor in state.items() if name in own or not _FIXED_FILTER.search(name)}
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    reshaped = [name for name in own if name in state and own[name].shape != state[name].shape]
    left = missing + unknown + reshaped
    fitting = {name: state[name] for name in own.keys() - set(left)}
    if left and (strict or not fitting):
        counts = [f'{len(names)} {what} ({_some(names)})' for names, what in
                  ((missing, 'missing'), (unknown, 'unknown'), (reshaped, 'of another shape')) if names]
        shapes = [f'{name} is {_shape(state[name])} in the file, {_shape(own[name])} in the network'
                  for name in reshaped[:1]]
        raise UserError(f'{f"{key}: " if key else ""}{path} holds {describe_weights(state)}, but '
                        f'{type(net).__name__} expects {describe_weights(own)}; tensors: {"; ".join(counts + shapes)}')
    net.load_state_dict(fitting, strict=strict)
    if left:
        from basicsr.utils import get_root_logger

        get_root_logger().warning(f'{path}: {len(left)} tensors do not fit {type(net).__name__} and were left out: '
                                  f'{", ".join(left)}')
    return left


def _read(path: Path, where: str) -> Any:
    """The content of a file, on the CPU."""
    path = find_checkpoint(path)
    try:
        with open(path, 'rb') as file:
            head = file.read(24)
    except FileNotFoundError as error:
        raise UserError(f'{where}: there is no such file') from error
    except IsADirectoryError as error:
        raise UserError(f'{where} is a folder, not a file') from error
    except OSError as error:
        raise UserError(f'{where} cannot be read: {error.strerror}') from error
    if not head:
        raise UserError(f'{where} is empty (zero bytes): copy or download it again')
    if path.suffix == '.safetensors':
        return _read_safetensors(path, where)
    try:
        with torch.serialization.safe_globals(_numpy_types()), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about pickle protocols, before the error that says it
            return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # damaged bytes raise whatever they happen to mean
        code = re.search(r'GLOBAL (\S+)', str(error))
        if code:
            raise UserError(f'{where} was refused: it holds a pickled Python object ({code[1]}), and unpickling that '
                            'could run any code; save its plain state_dict where the file was made') from error
        raise UserError(f'{where} {_complaint(head)}') from error


def _read_safetensors(path: Path, where: str) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise UserError(f'{where}: a .safetensors file needs the package safetensors: '
                        'pip install safetensors') from error
    try:
        return load_file(path, device='cpu')
    except Exception as error:  # the package raises its own class, and OSError
        raise UserError(f'{where} is damaged or truncated ({error}): copy or download it again') from error


def _complaint(head: bytes) -> str:
    """Why a file that torch cannot read is none of its own, from its first bytes."""
    if head.startswith(b'version https://git-lfs'):
        return 'is a Git LFS pointer, not the file itself: run git lfs pull'
    if head.lstrip().startswith(b'<'):
        return 'is a web page, not a checkpoint: download the file itself'
    if head.startswith((b'\x80\x03', b'\x80\x04', b'\x80\x05')):  # torch itself writes protocol 2
        return 'was refused: it is a plain Python pickle, which could run any code, and no checkpoint of torch'
    if head.startswith((b'PK', b'\x80')):
        return 'is damaged, truncated, or no checkpoint of torch: copy or download it again'
    return f'is no checkpoint of torch (it begins with {head[:16]!r})'


def _numpy_types() -> list:
    """NumPy's plain numbers and arrays, which trainers put beside weights (a best PSNR, a random state)."""
    makers = {'scalar': np.float64(0).__reduce__()[0], '_reconstruct': np.zeros(1).__reduce__()[0]}
    named = [(maker, f'numpy.{core}.multiarray.{name}') for name, maker in makers.items() for core in ('core', '_core')]
    return [*named, _codecs.encode, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in '?bBhHiIlLqQefd'}]


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
                        'scripts/convert_checkpoint.py')
    return found[index or 0]


def _is_training_state(content: Any) -> bool:
    return isinstance(content, Mapping) and {'iter', 'optimizers', 'schedulers'} <= content.keys()


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
