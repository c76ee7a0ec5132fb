"""Name a missing system library with its remedy instead of a bare linker error."""

from collections.abc import Callable


def load_opencv(execute: Callable[[], None]) -> None:
    """Execute OpenCV, whose wheel needs libGL, libxcb and glib from the system.

    Raises:
        ImportError: the library that is missing and the command that installs it.
    """
    try:
        execute()
    except ImportError as error:
        raise ImportError(
            f'OpenCV does not load ({error}): install the system libraries it needs, on Debian and Ubuntu with '
            '`apt-get install libgl1 libglib2.0-0 libxcb1`, on Fedora with `dnf install mesa-libGL glib2 libxcb`.'
        ) from error
