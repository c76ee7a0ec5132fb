"""The option files that ship: ``options/`` of a clone, of which an installation has a copy beside this file."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
SHIPPED = next(filter(Path.is_dir, (_HERE / 'option_files', _HERE.parent / 'options')))  #: the folder


def find_option_file(name: str) -> tuple[str, str]:
    """An option file as a user names it: the user's own or, where there is none, the one that ships.

    Args:
        name: a path; of a shipped one as it lies in ``options/``, with or without that folder's name.

    Returns:
        Its path, and a sentence to show if it is one that ships (else empty). A name that is neither is given back.
    """
    path = Path(name)
    if not path.is_absolute() and not path.exists():
        below = path.relative_to('options') if path.parts[:1] == ('options',) else path
        if (SHIPPED / below).is_file():
            return (str(SHIPPED / below),
                    f'-opt {name}: there is no such file here; taking the one that ships, {SHIPPED / below}')
    return name, ''
