"""A training or a test as a process of its own, watched through its log."""

import os
import re
import subprocess
import time
from pathlib import Path

_ITERATION = re.compile(r'iter: +([\d,]+),(?:.*?\[eta: (.*?), time)?')
_TAIL = 4000  # bytes of a log in which the last iteration is looked for
_PACKAGES = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds in which a stopped process may save


class Job:
    """One command, from now to its end.

    Args:
        command: as ``subprocess`` takes it.
        log: file that takes all that it prints; its folder is made.
        threads: CPU threads for it.
        append: keep what the log holds.
        apart: in a group of its own, which Ctrl-C at the terminal does not reach: its owner stops it in good order.
    """

    def __init__(self, command: list[str], log: str | Path, threads: int, append: bool = False, apart: bool = False):
        self.log, self.start = Path(log), time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, 'a' if append else 'w', encoding='utf-8') as file:
            self.process = subprocess.Popen(command, env=job_environment(threads), stdout=file,
                                            stderr=subprocess.STDOUT, start_new_session=apart)

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self.process.poll()

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.start

    def iteration(self) -> tuple[int, str]:
        """The last iteration that its log tells of (0: none yet), and the time left by BasicSR's guess."""
        with open(self.log, 'rb') as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            found = _ITERATION.findall(file.read().decode('utf-8', errors='replace'))
        return (int(found[-1][0].replace(',', '')), found[-1][1]) if found else (0, '')

    def last_lines(self, count: int) -> list[str]:
        """The end of its log, without empty lines."""
        lines = self.log.read_text(encoding='utf-8', errors='replace').splitlines()
        return [line for line in lines if line.strip()][-count:]

    def ask_to_stop(self) -> None:
        """A training finishes its iteration and saves it."""
        self.process.terminate()

    def stop(self, patience: float = PATIENCE) -> None:
        """Ask it to stop, and wait for that; where it takes longer than ``patience`` seconds, end it."""
        self.ask_to_stop()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def job_environment(threads: int) -> dict[str, str]:
    """For a process beside others: OpenMP threads that wait must not burn a neighbour's core.

    It finds these packages where this process did, whatever folder it runs in.
    """
    paths = os.pathsep.join(filter(None, [str(_PACKAGES), os.environ.get('PYTHONPATH')]))
    return {**os.environ, 'PYTHONPATH': paths, 'OMP_NUM_THREADS': str(threads), 'GOMP_SPINCOUNT': '0',
            'PYTHONUNBUFFERED': '1'}
