"""What all commands have in common: how they are called, kinds of values, their help, and how they end.

It needs no PyTorch, and a command imports that when it has read its arguments: help is there at once.
"""

import argparse
import functools
import math
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from mssr_compat.errors import UserError


def called(command: str) -> str:
    """How this process was called: ``mssr COMMAND``, or ``python SCRIPT`` where a script of a clone was."""
    script = Path(sys.argv[0])
    of_a_clone = script.suffix == '.py' and script.name != '__main__.py'
    return f'python {shlex.quote(str(script))}' if of_a_clone else f'mssr {command}'


def command_parser(command: str, page: str) -> argparse.ArgumentParser:
    """A parser whose help is a page to read.

    Args:
        command: its name after ``mssr``.
        page: what it does, examples and exit codes; examples that begin with ``mssr COMMAND`` are shown as this
            process was called.
    """
    name = called(command)
    return argparse.ArgumentParser(prog=name, description=page.replace(f'mssr {command}', name),
                                   formatter_class=argparse.RawDescriptionHelpFormatter)


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


def door(again: str = 'run the same command again to go on') -> Callable[[Callable], Callable[..., int]]:
    """Decorates a command's function of its arguments, which returns the exit code, so that it ends in good order.

    A user's mistake is one line and exit code 2 (of an error that all processes raise, ``error.everywhere``, the first
    one speaks), Ctrl-C is 130, and other processes are parted from.

    Args:
        again: how to go on after Ctrl-C.
    """
    def decorate(main):
        @functools.wraps(main)
        def command(arguments: list[str] | None = None) -> int:
            try:
                return main(arguments)
            except UserError as error:
                from mssr_compat.distributed import is_first

                if is_first() or not getattr(error, 'everywhere', False):
                    sys.stderr.write(f'error: {error}\n')
                return 2
            except KeyboardInterrupt:
                sys.stderr.write(f'interrupted: what is done is kept; {again}.\n')
                return 130
            finally:
                if 'mssr_compat.distributed' in sys.modules:  # else there are no others
                    sys.modules['mssr_compat.distributed'].leave_dist()
        return command
    return decorate
