"""An experiment's folder, as training left it: finished, running, or broken off anywhere."""

import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import yaml

from mssr_compat.errors import UserError
from mssr_metric import better
from mssr_monitor.experiment_record import read_best, read_validations

QUIET = 120  # seconds without a log line, or ten intervals between lines, after which a run is not running any more
SECTIONS = ('datasets', 'network_g', 'network_d', 'path', 'train', 'val', 'logger')
_TIME = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ (\w+): (.*)')
_STEP = re.compile(r'\[epoch: *\d+, iter: *([\d,]+), lr:\(([^)]*)\)\](?: *\[eta: [^]]*time \(data\): ([\d.]+) '
                   r'\([\d.]+\)\])?(.*)')
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


@dataclass
class Experiment:
    """What is there; options are empty and lists are, where the folder has nothing."""

    folder: Path
    options: dict
    yaml_text: str
    log: TrainingLog
    validations: list[dict]
    best: dict | None
    checkpoint: Path | None  #: newest weights of network_g

    def better(self, metric: str) -> str:
        """Which way a metric is better, ``higher`` or ``lower``, as its options or its name say."""
        return better(metric, ((self.options.get('val') or {}).get('metrics') or {}).get(metric))

    @property
    def name(self) -> str:
        return str(self.options.get('name') or self.folder.name)

    @property
    def stage(self) -> int | None:
        """1 or 2; None for a model of neither stage."""
        return {'DegradationGANModel': 1, 'MultiDegradationSRModel': 2}.get(self.options.get('model_type'))

    @property
    def total_iter(self) -> int:
        return int((self.options.get('train') or {}).get('total_iter') or 0)

    @property
    def last_iter(self) -> int:
        """The last iteration that log or validations know of."""
        return max([self.log.last_iter, *(entry['iter'] for entry in self.validations)])

    @property
    def state(self) -> str:
        """``finished``, ``running`` or ``broken off``."""
        if self.log.ended:
            return 'finished'
        files = [*self.folder.glob('train_*.log'), *self.folder.glob('validation.jsonl')]
        quiet = time.time() - max((file.stat().st_mtime for file in files), default=0)
        interval = (self.options.get('logger') or {}).get('print_freq', 1)
        pace = max(self.log.seconds.values(), default=1) * float(interval)
        return 'running' if quiet < max(QUIET, 10 * pace) else 'broken off'

    def data_folders(self) -> list[tuple[str, str, bool]]:
        """YAML key, path and whether it is there, of each folder of data."""
        return [(f'datasets.{name}.{key}', str(value), Path(value).expanduser().exists())
                for name, section in (self.options.get('datasets') or {}).items()
                for key, value in (section or {}).items() if key.startswith('dataroot') and value]


def read_experiment(folder: str | Path) -> Experiment:
    """Read the folder of an experiment.

    Raises:
        UserError: there is no such folder, or nothing in it is of an experiment.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no experiment '{folder}': give a folder such as experiments/NAME")
    option_files = sorted(folder.glob('*.y*ml'), key=lambda file: file.stat().st_mtime)
    text = option_files[-1].read_text(encoding='utf-8', errors='replace') if option_files else ''
    try:
        options = yaml.safe_load(text)
    except yaml.YAMLError:
        options = None
    log, models = read_logs(folder), folder / 'models'
    if not option_files and not log.files:
        raise UserError(f"'{folder}' is no experiment: it has neither a log (train_*.log) nor options (*.yml)")
    options = options if isinstance(options, dict) else {}
    for key in SECTIONS:
        if key in options and not isinstance(options[key], dict):
            options[key] = {}  # no training ran with such a file: someone has changed it since
    options['datasets'] = {name: section for name, section in options.get('datasets', {}).items()
                           if isinstance(section, dict)}
    # The newest weights of network_g, but not the best ones of some time ago.
    weights = [file for file in models.glob('net_g_*.pth') if re.fullmatch(r'net_g_(latest|\d+)\.pth', file.name)]
    newest = max(weights, key=lambda file: file.stat().st_mtime, default=None)
    return Experiment(folder, options, text, log, read_validations(folder), read_best(models), newest)


def read_logs(folder: Path) -> TrainingLog:
    """Read ``train_*.log`` of an experiment's folder; torn and foreign lines are passed over."""
    log = TrainingLog()
    for file in sorted(folder.glob('train_*.log'), key=lambda file: (file.stat().st_mtime, file.name)):
        log.files += 1
        log.ended = False
        first = None
        for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
            if stamped := _TIME.match(line):
                log.last = datetime.strptime(stamped[1], '%Y-%m-%d %H:%M:%S')
                first, log.begun = first or log.last, log.begun or log.last
                _read_message(log, stamped[2], stamped[3])
            elif found := _VERSION.match(line):
                log.versions[found[1]] = found[2]
            elif found := _COUNT.match(line):
                log.counts[found[1]] = found[2]
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
        iteration = int(step[1].replace(',', ''))
        log.rates[iteration] = [float(rate) for rate in step[2].split(',') if rate.strip()]
        if step[3]:
            log.seconds[iteration] = float(step[3])
        for name, value in _VALUE.findall(step[4]):
            log.values.setdefault(name, {})[iteration] = float(value)
    except ValueError:
        return  # the line was cut off while it was written
