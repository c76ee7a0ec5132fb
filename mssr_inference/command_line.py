"""Kinds of command-line values, and the device that a command line names."""

import argparse
import math
import os
from collections.abc import Callable

import torch

from mssr_compat.errors import UserError


def whole(least: int, *words: str) -> Callable[[str], int | str]:
    """A whole number from ``least`` up, or one of some words."""
    def convert(text: str) -> int | str:
        if text in words:
            return text
        if not text.isdecimal() or int(text) < least:
            expected = ' nor '.join([f'a whole number from {least} up', *words])
            raise argparse.ArgumentTypeError(f"'{text}' is {'neither' if words else 'not'} {expected}")
        return int(text)
    return convert


def share(text: str) -> float:
    """A number from 0 up, 1 being the whole."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 up")
    return value


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
