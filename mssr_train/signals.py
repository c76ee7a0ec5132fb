"""Ctrl-C and SIGTERM as requests to stop, not as ends."""

import signal
import sys
import threading


class Stopped(Exception):
    """Training stopped because a signal asked for it; ``number`` is the signal's."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopRequest:
    """Between :meth:`watch` and :meth:`forget`, notes SIGINT and SIGTERM in :attr:`number` (0: none).

    A second Ctrl-C interrupts at once. A second SIGTERM does not: launchers pass on one of their own after the one
    that reaches the whole job.
    """

    def __init__(self):
        self.number = 0
        self._before = {}

    def watch(self) -> None:
        """Begin; again is no harm."""
        if not self._before and threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}

    def forget(self) -> None:
        """Give the handlers back that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, _frame) -> None:
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number
        name = signal.Signals(number).name
        sys.stderr.write(f'{name}: this iteration is finished and saved first.\n')


def ignore_stop_requests() -> None:
    """For data workers: they end with the process that they work for, which still needs them to finish."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
