"""Collects the mistakes of an option file, and says what was probably meant."""

from difflib import get_close_matches

from mssr_compat.errors import UserError
from mssr_options.source import KeyPath, Source, dotted


class Report:
    """The mistakes found so far, each with its place in the file."""

    def __init__(self, source: Source):
        self.source = source
        self.bad: set[KeyPath] = set()  # what later rules must not rely on
        self._mistakes: list[tuple[int, str]] = []

    def add(self, path: KeyPath, text: str) -> None:
        """Note a mistake at a key path; ``text`` goes on after ``file:line: key: ``."""
        self.bad.add(path)
        key = f'{dotted(path)}: ' if path else ''
        where, end = self.source.where(path), '' if text.endswith('?') else '.'
        self._mistakes.append((self.source.line(path), f'{f"{where}: " if where else ""}{key}{text}{end}'))

    def sound(self, path: KeyPath) -> bool:
        """Whether nothing was found wrong with a key or a section around it."""
        return not any(path[:end] in self.bad for end in range(1, len(path) + 1))

    def close(self) -> None:
        """Report all mistakes at once, in the order of the file.

        Raises:
            UserError: there are some; one line each.
        """
        if self._mistakes:
            raise UserError('\n'.join(dict.fromkeys(text for _, text in sorted(self._mistakes, key=lambda m: m[0]))))


def nearest(name, names, count: int = 3) -> list[str]:
    """Names that look like ``name``, best first; letter case and ``-`` or ``_`` do not matter."""
    plain = {}
    for candidate in names:
        plain.setdefault(_plain(candidate), candidate)
    return [plain[match] for match in get_close_matches(_plain(name), list(plain), count, 0.6)]


def did_you_mean(name, names) -> str:
    """``; did you mean A or B?``, or all names if none looks like it."""
    close = nearest(name, names)
    if close:
        return f'; did you mean {" or ".join(close)}?'
    return f'; there are {", ".join(sorted(map(str, names)))}'


def show(value) -> str:
    """A value as a message shows it."""
    if value is None:
        return '~'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'" if value else 'empty text'
    if isinstance(value, dict):
        return 'a section'
    text = str(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def _plain(name) -> str:
    return str(name).lower().replace('-', '_')
