"""Runs parts as processes of their own, side by side if asked, and goes on where it was stopped."""

import json
import shutil
import signal
import sys
import time
from pathlib import Path

from benchmarks.evidence.plan import Part
from mssr_compat.errors import UserError
from mssr_compat.files import write_whole
from mssr_options.reader import effective_yaml
from mssr_train.job import Job

COMMAND = (sys.executable, '-m', 'benchmarks.evidence.training')
_TELL = 60  # seconds between lines of progress


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

    def record(self, part: Part) -> dict:
        """What is known of a part; ``finished`` and ``seconds`` at least.

        Raises:
            UserError: the folder holds a part of this name that was made of something else.
        """
        record = self._read(part)
        if record and record['digest'] != part.digest:
            if not self.renew:
                raise UserError(f"--out {self.out} holds the part '{part.name}' made by other options or of other "
                                'photos: give another --out, or --renew to train such parts anew.')
            shutil.rmtree(self.out / 'experiments' / part.name, ignore_errors=True)
            self._path(part).unlink()
            record = None
        return record or {'digest': part.digest, 'finished': False, 'seconds': 0.0}

    def is_finished(self, part: Part) -> bool:
        """Whether this very part is there; one of its name that was made of something else is not it."""
        record = self._read(part) or {}
        return record.get('digest') == part.digest and record['finished']

    def run(self, parts: list[Part], say) -> None:
        """Run all that is left; ``say`` takes lines of progress.

        Raises:
            UserError: a part failed; the others have saved where they were.
        """
        waiting = [part for part in parts if not self.record(part)['finished']]
        done = {part.name for part in parts} - {part.name for part in waiting}
        running: dict[str, tuple[Part, Job]] = {}
        told = time.monotonic()
        try:
            while waiting or running:
                for part in [part for part in waiting if set(part.needs) <= done][:self.jobs - len(running)]:
                    waiting.remove(part)
                    running[part.name] = part, self._start(part)
                for name in [name for name, (_, job) in running.items() if job.status is not None]:
                    self._end(*running.pop(name))
                    done.add(name)
                    say(f'{name} is finished: {len(done)} of {len(parts)} parts.')
                if running and time.monotonic() - told > _TELL:
                    told = time.monotonic()
                    say(', '.join(f'{name} {job.iteration()[0]:,}/{part.iterations:,}'
                                  for name, (part, job) in running.items()))
                time.sleep(0.1)
        finally:
            for _, job in running.values():
                job.ask_to_stop()
            for part, job in running.values():
                job.stop()
                self._keep(part, job)

    def _path(self, part: Part) -> Path:
        return self.out / 'parts' / f'{part.name}.json'

    def _read(self, part: Part) -> dict | None:
        return json.loads(self._path(part).read_text()) if self._path(part).is_file() else None

    def _start(self, part: Part) -> Job:
        files = []
        for step, opt in (('train', part.opt), ('test', part.test)):
            if opt is not None:
                file = self.out / 'options' / f'{opt["name"]}.yml'
                write_whole(file, effective_yaml(opt))
                files += [step, str(file)]
        if part.test is not None:
            shutil.rmtree(self.out / 'results' / part.test['name'], ignore_errors=True)
        write_whole(self._path(part), json.dumps(self.record(part)))
        # Ctrl-C reaches the benchmark alone, which then stops its processes in good order.
        return Job([*COMMAND, str(self.out), *files], self.out / 'logs' / f'{part.name}.log', self.threads,
                   append=True, apart=True)

    def _end(self, part: Part, job: Job) -> None:
        self._keep(part, job)
        if job.status in (128 + signal.SIGINT, 128 + signal.SIGTERM):  # somebody stopped it: stop them all
            raise KeyboardInterrupt
        if job.status:
            raise UserError(f'{part.name} failed; {job.log} ends in: {"".join(job.last_lines(1)) or "nothing"}')

    def _keep(self, part: Part, job: Job) -> None:
        """Whether it came to its end, and its time beside that of the times before."""
        record = self.record(part)
        record |= {'seconds': record['seconds'] + job.seconds, 'finished': job.status == 0}
        write_whole(self._path(part), json.dumps(record))
