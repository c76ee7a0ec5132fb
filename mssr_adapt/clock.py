"""How long an adaptation takes: lengths that fit into the time that is given, and the time that is left."""

import re
import time
from datetime import datetime, timedelta
from pathlib import Path

from tqdm import tqdm

from mssr_compat.errors import UserError

SHORTEST, LONGEST = 0.1, 20.0  # lengths relative to the recipes'
ENOUGH = 0.25  # length relative to the recipes', below which a smaller batch is better than fewer iterations
SEARCH = 60  # iterations' worth of looking for a rate
_LINE = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) INFO: .*iter: *([\d,]+), lr', re.M)


def seconds_per_iteration(log: Path) -> float:
    """Of the second half of a trial whose every iteration was logged.

    Raises:
        UserError: the log does not tell.
    """
    found = [(datetime.strptime(stamp, '%Y-%m-%d %H:%M:%S,%f'), int(number.replace(',', '')))
             for stamp, number in _LINE.findall(log.read_text(encoding='utf-8', errors='replace'))]
    if len(found) < 4:
        raise UserError(f'{log} tells of {len(found)} iterations: the trial did not run; its end says why.')
    (first, i), (last, j) = found[len(found) // 2 - 1], found[-1]
    return max((last - first).total_seconds() / (j - i), 1e-3)


def fitting(recipe: tuple[int, int], speeds: tuple[float, float], others: float, minutes: float | None, batch: int
            ) -> tuple[int, int, int]:
    """Iterations of both stages, and the batch of the second: halved where it takes most and few would be left.

    Args:
        recipe: iterations of both as the recipes have them; taken where no time is given.
        speeds: seconds for an iteration of each.
        others: seconds that all else takes.
        minutes: that there are.
        batch: of the second stage as its recipe has it; an iteration takes as much less as it is smaller.

    Raises:
        UserError: so little time is given that nothing would be learned.
    """
    if minutes is None:
        return *recipe, batch
    work = recipe[0] * speeds[0] + recipe[1] * speeds[1]
    factor = (60 * minutes - others - SEARCH * speeds[1]) / work
    if factor < ENOUGH and batch > 1 and recipe[1] * speeds[1] > recipe[0] * speeds[0]:
        return fitting(recipe, (speeds[0], speeds[1] * (batch // 2) / batch), others, minutes, batch // 2)
    if factor < SHORTEST:
        least = (others + SEARCH * speeds[1] + SHORTEST * work) / 60
        raise UserError(f'--minutes {minutes:g} is too little: with these photos and this start, this machine needs '
                        f'{least + 0.5:.0f} at least.')
    factor = min(factor, LONGEST)
    return max(round(factor * recipe[0]), 10), max(round(factor * recipe[1]), 10), batch


class Bar:
    """One line of progress for all parts, by the seconds that each is expected to take.

    Args:
        parts: name and expected seconds of each, in order.
    """

    def __init__(self, parts: dict[str, float]) -> None:
        self.parts, self.name, self.done, self.began = dict(parts), '', 0.0, time.monotonic()
        self.bar = tqdm(total=100, bar_format='{desc} |{bar:24}| {postfix}', disable=None, leave=False)

    def enter(self, name: str) -> None:
        """A part begins."""
        self.name, self.began = name, time.monotonic()
        self.at(0)

    def at(self, share: float) -> None:
        """So much of the part is done, 0 to 1; its own speed counts once a tenth of it is."""
        spent = time.monotonic() - self.began
        expected = self.parts[self.name]
        left = spent / share - spent if share > 0.1 else max(expected - spent, expected * (1 - share) / 4)
        later = list(self.parts)[list(self.parts).index(self.name) + 1:]
        left += sum(self.parts[name] for name in later)
        total = self.done + spent + left
        self.bar.n = min(100 * (1 - left / total), 100) if total else 0
        self.bar.set_description_str(self.name, refresh=False)
        self.bar.set_postfix_str(f'{timedelta(seconds=round(left))} left', refresh=True)

    def leave(self) -> None:
        """The part is done."""
        self.done += time.monotonic() - self.began
        self.parts[self.name] = 0.0

    def close(self) -> None:
        """Take the line away."""
        self.bar.close()

    def say(self, text: str) -> None:
        """Print a line above it."""
        tqdm.write(text)
