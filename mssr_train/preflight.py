"""``python train.py -opt X --check``: what would be trained on what, tried without leaving a trace."""

import math
import sys
import traceback
from os import path as osp

import torch

from mssr_compat.checkpoint import describe_weights, read_training_state, read_weights
from mssr_compat.errors import UserError
from mssr_train.data_report import describe_data
from mssr_train.trial import Trial, try_iteration


def run_preflight(opt: dict, args=None) -> None:
    """Print a report on options, data, checkpoints, networks and one iteration; nothing is trained or written.

    Args:
        opt: complete options, as BasicSR's ``parse_options`` gives them.
        args: the command line; its ``opt`` names the option file.

    Raises:
        UserError: what would go wrong, one problem a line, after the report of all that was looked at.
    """
    Preflight(opt, args).run()


class Preflight:
    """One report; lines go to standard output, on rank 0 alone."""

    def __init__(self, opt: dict, args=None):
        self.opt, self.file = opt, osp.basename(getattr(args, 'opt', ''))
        self.problems: list[str] = []
        self.out = sys.stdout  # the trial redirects it
        self.silent = opt.get('rank', 0) != 0

    def say(self, line: str) -> None:
        """Print a line of the report."""
        if not self.silent:
            self.out.write(f'{line}\n')
            self.out.flush()

    def problem(self, text: str) -> None:
        """Print a problem where it was found, and keep it for the end."""
        self.problems.append(text)
        self.say(f'  PROBLEM: {text}')

    def run(self) -> None:
        """The whole report."""
        opt = self.opt
        if self.file:
            self.say(self.file)
        self.say(f'{opt["name"]}: {opt["model_type"]}, scale {opt.get("scale", "none")}, {self._devices()}')
        self.say('\nData')
        for name, options in opt['datasets'].items():
            describe_data(name, options, self.say, self.problem)
        self.say('\nCheckpoints')
        self.checkpoints()
        self.say('\nNetworks' + (' and one iteration' if opt['is_train'] else ''))
        trial = self.iteration()
        self.say('\nRun')
        if trial is not None:
            self.length(trial)
        self.results()
        if self.problems:
            count = f'{len(self.problems)} problems' if len(self.problems) > 1 else 'one problem'
            raise UserError('\n'.join([f'{count} found:', *self.problems]))
        self.say('\nAll is well: run the same command without --check.')

    def _devices(self) -> str:
        number = self.opt['num_gpu']
        if not number:
            return 'on the CPU'
        names = {torch.cuda.get_device_name(i) for i in range(number)}
        return f'on {number} x {", ".join(sorted(names))}, {self.opt.get("world_size", 1)} processes'

    def checkpoints(self) -> None:
        """What the files hold that would be loaded."""
        opt, paths = self.opt, self.opt['path']
        files = [(f'path.{key}', value) for key, value in paths.items() if 'pretrain_network' in key]
        branches = (opt.get('network_g') or {}).get('branches') or ()
        for name, sections in (('network_g.branches', branches), ('degradations', opt.get('degradations') or ())):
            files += [(f'{name}[{k}].checkpoint', section.get('checkpoint')) for k, section in enumerate(sections)]
        files = [(key, value) for key, value in files if value]
        for key, value in files:
            try:
                self.say(f'  {key}: {value}: {describe_weights(read_weights(value, key))}')
            except UserError as error:
                self.problem(str(error))
        if paths.get('resume_state'):
            try:
                state = read_training_state(paths['resume_state'], 'path.resume_state')
                self.say(f'  path.resume_state: {paths["resume_state"]}: training state of iteration {state["iter"]}')
            except UserError as error:
                self.problem(str(error))
        if not files and not paths.get('resume_state'):
            self.say('  none: all networks start from random weights')

    def iteration(self) -> Trial | None:
        """What a trial iteration found, or None if it failed."""
        try:
            return try_iteration(self.opt, self.say)
        except torch.OutOfMemoryError:
            self.problem('one iteration does not fit into memory; lower datasets.train.batch_size_per_gpu or gt_size')
        except UserError as error:
            self.problem(str(error))
        except Exception as error:  # of other people's networks and losses, anything may come
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self.problem(f'the trial iteration failed: {type(error).__name__}: {error} '
                         f'({osp.basename(frame.filename)}:{frame.lineno})')
        return None

    def length(self, trial: Trial) -> None:
        """Iterations, passes over the data, and a first guess of the time."""
        train, total = self.opt['datasets']['train'], int(self.opt['train']['total_iter'])
        batch = train['batch_size_per_gpu'] * max(self.opt['num_gpu'] if not self.opt['dist'] else 1, 1)
        batch *= self.opt.get('world_size', 1)
        samples = trial.samples * train.get('dataset_enlarge_ratio', 1)
        self.say(f'  {samples:g} samples in batches of {batch}: {math.ceil(samples / batch)} iterations an epoch; '
                 f'{total} iterations are {total * batch / samples:.4g} epochs')
        duration = _duration(trial.seconds * total)
        self.say(f'  about {trial.seconds:.3g} s an iteration, judged by one: {duration} in all, without data loading')

    def results(self) -> None:
        """Where results will go, and what happens to what is there."""
        paths = self.opt['path']
        root = paths['experiments_root' if self.opt['is_train'] else 'results_root']
        fate = ''
        if osp.exists(root):
            states = osp.isdir(osp.join(root, 'training_states'))
            goes_on = (self.opt.get('auto_resume') and states) or paths.get('resume_state')
            fate = ' (goes on there)' if goes_on else ' (exists, and will be renamed to ..._archived_TIME)'
        self.say(f'  results: {root}{fate}')


def _duration(seconds: float) -> str:
    """``3.2 days``, ``5 hours``, ``40 s``."""
    for unit, length in (('days', 86400), ('hours', 3600), ('minutes', 60)):
        if seconds >= 2 * length:
            return f'{seconds / length:.2g} {unit}' if seconds < 100 * length else f'{seconds / length:.0f} {unit}'
    return f'{seconds:.0f} s'
