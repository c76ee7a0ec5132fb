"""Reading files of any origin without running code that they may carry."""

import _codecs
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from mssr_compat.checkpoint_names import find_checkpoint
from mssr_compat.errors import UserError


def read_untrusted(path: str | Path, where: str) -> Any:
    """The content of a checkpoint or training state, on the CPU; nothing but tensors and plain values is unpickled.

    Args:
        path: the file, or what :func:`find_checkpoint` takes for it.
        where: what to call it in messages.

    Raises:
        UserError: it is missing, empty, damaged, something else, or would run code.
    """
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
        try:
            return load_file(path, device='cpu')
        except Exception as error:  # the package raises its own class, and OSError
            raise UserError(f'{where} is damaged or truncated ({error}): copy or download it again') from error
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
