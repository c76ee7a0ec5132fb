"""The device that a command line names."""

import os

import torch

from mssr_compat.errors import UserError


def choose_device(name: str = 'auto') -> torch.device:
    """``cuda``, ``cuda:1``, ``cpu``, ..., or ``auto``: a GPU if there is one.

    Float32 means float32: TF32, which keeps ten bits, is switched off.

    Raises:
        UserError: there is no such device.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f'--device {name} cannot be used on this machine; there are cpu'
                        f'{"".join(f", cuda:{k}" for k in range(torch.cuda.device_count()))}.') from error
    return device


def own_device(name: str) -> torch.device:
    """Under torchrun each process of a machine takes the GPU of its number."""
    if name == 'auto' and torch.cuda.is_available() and 'LOCAL_RANK' in os.environ:
        name = f'cuda:{int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()}'
    return choose_device(name)
