"""What BasicSR's log files say: losses, rates, speed, versions, and how the run ended."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

_TIME = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ (\w+): (.*)')
_STEP = re.compile(r'\[epoch: *(\d+), iter: *([\d,]+), lr:\(([^)]*)\)\](?: *\[eta: [^]]*time \(data\): ([\d.]+) '
                   r'\(([\d.]+)\)\])?(.*)')
_VALUE = re.compile(r'(\S+): (\S+)')
_VERSION = re.compile(r'^\s+(BasicSR|PyTorch|TorchVision): (\S+)$')
_COUNT = re.compile(r'^\s*(Number of train images|Batch size per gpu|World size \(gpu number\)): (\S+)')


@dataclass
class TrainingLog:
    """All log files of an experiment as one; of an iteration that was repeated after a resumption, the newest."""

    values: dict[str, dict[int, float]] = field(default_factory=dict)  #: loss or score -> iteration -> value
    rates: dict[int, list[float]] = field(default_factory=dict)  #: learning rates of the first optimizer's groups
    seconds: dict[int, float] = field(default_factory=dict)  #: per iteration
    versions: dict[str, str] = field(default_factory=dict)
    counts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)  #: what the log warned of, each once
    begun: datetime | None = None
    last: datetime | None = None  #: time of the last line
    working: float = 0.0  #: seconds from first to last line, pauses between files left out
    ended: bool = False  #: whether the last file tells the end of training
    files: int = 0

    @property
    def last_iter(self) -> int:
        """The last iteration that was logged; 0 before any was."""
        return max(self.rates, default=0)


def read_logs(folder: Path) -> TrainingLog:
    """Read ``train_*.log`` of an experiment's folder; torn and foreign lines are passed over."""
    log = TrainingLog()
    for file in sorted(folder.glob('train_*.log'), key=lambda file: (file.stat().st_mtime, file.name)):
        log.files += 1
        log.ended = False
        first = None
        for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
            stamped = _TIME.match(line)
            if stamped:
                time = datetime.strptime(stamped[1], '%Y-%m-%d %H:%M:%S')
                first, log.begun, log.last = first or time, log.begun or time, time
                _read_message(log, stamped[2], stamped[3])
            else:
                for pattern, into in ((_VERSION, log.versions), (_COUNT, log.counts)):
                    found = pattern.match(line)
                    if found:
                        into[found[1]] = found[2]
        if first:
            log.working += (log.last - first).total_seconds()
    return log


def _read_message(log: TrainingLog, level: str, message: str) -> None:
    if level in ('WARNING', 'ERROR') and message not in log.warnings:
        log.warnings.append(message)
    if message.startswith('End of training'):
        log.ended = True
    step = _STEP.search(message)
    if not step:
        return
    try:
        iteration = int(step[2].replace(',', ''))
        log.rates[iteration] = [float(rate) for rate in step[3].split(',') if rate.strip()]
        if step[4]:
            log.seconds[iteration] = float(step[4])
        for name, value in _VALUE.findall(step[6]):
            log.values.setdefault(name, {})[iteration] = float(value)
    except ValueError:
        return  # the line was cut off while it was written
