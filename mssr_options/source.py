"""Where each option was written: file and line, or an entry of ``--force_yml``."""

from collections.abc import Sequence

KeyPath = tuple[str | int, ...]


def dotted(path: Sequence[str | int]) -> str:
    """A key path as messages show it: ``degradations[0].checkpoint``."""
    text = ''
    for key in path:
        text += f'[{key}]' if isinstance(key, int) else f'.{key}' if text else str(key)
    return text


class Source:
    """Remembers the line of every key of one option file, and which keys ``--force_yml`` set.

    Attributes:
        file (str): the option file, as the user named it.
        lines (dict): key path to line number, from 1.
        forced (dict): key path to the entry of ``--force_yml`` that set it.
    """

    def __init__(self, file: str, lines: dict[KeyPath, int] | None = None):
        self.file = file
        self.lines = lines or {}
        self.forced: dict[KeyPath, str] = {}

    def line(self, path: KeyPath) -> int:
        """Line of a key or, if it is not in the file, of the nearest section around it; 0 if there is none."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def where(self, path: KeyPath) -> str:
        """``file:line`` of a key, or the entry of ``--force_yml`` that set it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.forced:
                return f'--force_yml {self.forced[path[:end]]}'
            if path[:end] in self.lines:
                break
        line = self.line(path)
        return f'{self.file}:{line}' if line else self.file


class Options(dict):
    """Options as a plain nested dict that remembers its :class:`Source`."""

    source: Source
