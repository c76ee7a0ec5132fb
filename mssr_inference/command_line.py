"""Kinds of command-line values."""

import argparse
from collections.abc import Callable


def whole(least: int) -> Callable[[str], int]:
    """A whole number from ``least`` up."""
    def convert(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} up")
        return int(text)
    return convert


def whole_or(*words: str) -> Callable[[str], int | str]:
    """A whole number, or one of some words."""
    def convert(text: str) -> int | str:
        if text not in words and not text.isdecimal():
            raise argparse.ArgumentTypeError(f"'{text}' is neither a whole number nor {' nor '.join(words)}")
        return text if text in words else int(text)
    return convert
