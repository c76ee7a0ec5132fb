"""An experiment's folder, as training left it: finished, running, or broken off anywhere."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from mssr_compat.errors import UserError
from mssr_monitor.experiment_record import read_best, read_validations
from mssr_report.training_log import TrainingLog, read_logs

QUIET = 120  # seconds without a log line, or ten intervals between lines, after which a run is not running any more
SECTIONS = ('datasets', 'network_g', 'network_d', 'path', 'train', 'val', 'logger')


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
        found = []
        for name, section in (self.options.get('datasets') or {}).items():
            for key, value in (section or {}).items():
                if key.startswith('dataroot') and value:
                    found.append((f'datasets.{name}.{key}', str(value), Path(value).expanduser().exists()))
        return found


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
    return Experiment(folder, options, text, log, read_validations(folder),
                      read_best(models), _newest(models))


def _newest(models: Path) -> Path | None:
    """The newest weights of network_g, whatever they are called, but not the best ones of some time ago."""
    files = [file for file in models.glob('net_g_*.pth') if re.fullmatch(r'net_g_(latest|\d+)\.pth', file.name)]
    return max(files, key=lambda file: file.stat().st_mtime, default=None)
