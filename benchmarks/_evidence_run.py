"""Runs parts as processes of their own, side by side if asked, and goes on where it was stopped."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from _evidence_plan import Part, as_text

from mssr_compat.errors import UserError
from mssr_options.reader import effective_yaml

ENTRY = Path(__file__).resolve().parent / '_evidence_entry.py'
_ITERATION = re.compile(r'iter: +([\d,]+),')
_PATIENCE = 120  # seconds in which a stopped process may save
_PACE = 600  # seconds whose pace tells how long the rest will take


class Runner:
    """Runs what is not finished.

    ``OUT/parts/NAME.json`` keeps what a part was made of, whether it is finished, and the seconds it took; the log is
    ``OUT/logs/NAME.log``.

    Args:
        out: absolute folder of results.
        jobs: processes side by side.
        threads: CPU threads of each.
        renew: forget parts that were made of something else, instead of refusing to go on.
    """

    def __init__(self, out: Path, jobs: int, threads: int, renew: bool = False) -> None:
        self.out, self.jobs, self.threads, self.renew = out, jobs, threads, renew
        self.running: dict[str, tuple[Part, subprocess.Popen, float]] = {}
        self.first: dict[str, int] = {}  # iteration at which the process of a part began
        self.pace: deque[tuple[float, float]] = deque()  # (when, how much was done) of late

    def record(self, part: Part) -> dict:
        """What is known of a part; ``finished`` and ``seconds`` at least.

        Raises:
            UserError: the folder holds a part of this name that was made of something else.
        """
        path = self._record_path(part)
        if path.is_file():
            record = json.loads(path.read_text())
            if record['digest'] == part.digest:
                return record
            if not self.renew:
                raise UserError(f"--out {self.out} holds the part '{part.name}' made by other options or of other "
                                'photos: give another --out, or --renew to train such parts anew.')
            shutil.rmtree(self.out / 'experiments' / part.name, ignore_errors=True)
            path.unlink()
        return {'digest': part.digest, 'finished': False, 'seconds': 0.0}

    def is_finished(self, part: Part) -> bool:
        """Whether this very part is there; one of its name that was made of something else is not it."""
        path = self._record_path(part)
        record = json.loads(path.read_text()) if path.is_file() else {}
        return record.get('digest') == part.digest and record['finished']

    def iteration(self, part: Part) -> int:
        """The last iteration from which a training can go on; 0: none."""
        states = (self.out / 'experiments' / part.name / 'training_states').glob('*.state')
        return max((int(state.stem) for state in states if state.stem.isdecimal()), default=0)

    def run(self, parts: list[Part], say, expected: dict[str, float] | None = None) -> None:
        """Run all that is left; ``say`` takes lines of progress.

        Args:
            parts: all of them.
            say: takes a line.
            expected: seconds that each part is expected to take from here.

        Raises:
            UserError: a part failed; the others have saved where they were.
        """
        left = [part for part in parts if not self.record(part)['finished']]
        done = {part.name for part in parts} - {part.name for part in left}
        waiting, told = list(left), time.monotonic()
        self.pace = deque([(told, 0.0)])
        try:
            while waiting or self.running:
                for part in [p for p in waiting if set(p.needs) <= done]:
                    if len(self.running) < self.jobs:
                        waiting.remove(part)
                        self._start(part)
                for name in [name for name, (_, process, _) in self.running.items() if process.poll() is not None]:
                    self._end(name)
                    done.add(name)
                    say(f'{name} is finished: {len(done)} of {len(parts)} parts.')
                    told = time.monotonic()
                if self.running and time.monotonic() - told > 60:
                    told = time.monotonic()
                    shown = ', '.join(f'{name} {self._iteration(name):,}/{part.iterations:,}'
                                      for name, (part, *_) in self.running.items())
                    say(f'{len(done)} of {len(parts)} parts; {shown}{self._left(left, done, expected)}')
                time.sleep(0.1)
        finally:
            self._stop()

    def _record_path(self, part: Part) -> Path:
        return self.out / 'parts' / f'{part.name}.json'

    def _start(self, part: Part) -> None:
        files = []
        for step, opt in (('train', part.opt), ('test', part.test)):
            if opt is not None:
                file = self.out / 'options' / f'{opt["name"]}.yml'
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(effective_yaml(opt), encoding='utf-8')
                files += [step, str(file)]
        if part.test is not None:
            shutil.rmtree(self.out / 'results' / part.test['name'], ignore_errors=True)
        self._keep(part, self.record(part))
        log = self.out / 'logs' / f'{part.name}.log'
        log.parent.mkdir(exist_ok=True)
        environment = {**os.environ, 'OMP_NUM_THREADS': str(self.threads), 'GOMP_SPINCOUNT': '0',
                       'PYTHONUNBUFFERED': '1'}
        with open(log, 'a', encoding='utf-8') as file:
            # A group of its own: Ctrl-C reaches the benchmark alone, which then stops its processes in good order.
            command = [sys.executable, str(ENTRY), str(self.out), *files]
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT,
                                       start_new_session=True)
        self.running[part.name] = part, process, time.monotonic()
        self.first[part.name] = self.iteration(part)

    def _end(self, name: str) -> None:
        """Take a process that ended off the list, and keep its time."""
        part, process, start = self.running.pop(name)
        record = self.record(part)
        record['seconds'] += time.monotonic() - start
        record['finished'] = process.returncode == 0
        self._keep(part, record)
        if process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM):  # somebody stopped it: stop them all
            raise KeyboardInterrupt
        if process.returncode:
            log = self.out / 'logs' / f'{name}.log'
            lines = [line for line in log.read_text(encoding='utf-8', errors='replace').splitlines() if line.strip()]
            raise UserError(f'{name} failed; {log} ends in: {lines[-1] if lines else "nothing"}')

    def _keep(self, part: Part, record: dict) -> None:
        path = self._record_path(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix('.tmp')
        aside.write_text(json.dumps(record))
        aside.replace(path)

    def _stop(self) -> None:
        """Ask what still runs to save and end."""
        for _, process, _ in self.running.values():
            process.terminate()
        for name, (_, process, _) in list(self.running.items()):
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            part, _, start = self.running.pop(name)
            record = self.record(part)
            self._keep(part, {**record, 'seconds': record['seconds'] + time.monotonic() - start})

    def _iteration(self, name: str) -> int:
        """The last iteration that the log of a running part tells of."""
        with open(self.out / 'logs' / f'{name}.log', 'rb') as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
            found = _ITERATION.findall(file.read().decode('utf-8', errors='replace'))
        return int(found[-1].replace(',', '')) if found else 0

    def _left(self, left: list[Part], done: set[str], expected: dict[str, float] | None) -> str:
        """``; about 20 min left``, by what was expected and how fast it went of late: a pause is forgotten."""
        if not expected:
            return ''
        work = sum(expected[part.name] for part in left)
        behind = sum(expected[part.name] for part in left if part.name in done)
        for name, (part, *_) in self.running.items():
            first = self.first[name]
            behind += expected[name] * max(self._iteration(name) - first, 0) / max(part.iterations - first, 1)
        now = time.monotonic()
        self.pace.append((now, behind))
        while self.pace[1][0] <= now - _PACE:
            self.pace.popleft()
        since, before = self.pace[0]
        if behind < 0.02 * work or behind <= before:
            return ''
        return f'; about {as_text((work - behind) * (now - since) / (behind - before))} left'
