"""Kinds of command-line values."""

import argparse
import math
from collections.abc import Callable


def whole(least: int) -> Callable[[str], int]:
    """A whole number from ``least`` up."""
    def convert(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} up")
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


def whole_or(*words: str) -> Callable[[str], int | str]:
    """A whole number, or one of some words."""
    def convert(text: str) -> int | str:
        if text not in words and not text.isdecimal():
            raise argparse.ArgumentTypeError(f"'{text}' is neither a whole number nor {' nor '.join(words)}")
        return text if text in words else int(text)
    return convert
