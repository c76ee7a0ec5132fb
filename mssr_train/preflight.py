"""``python train.py -opt X --check``: what would be trained on what, tried without leaving a trace."""

import contextlib
import copy
import math
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from os import path as osp

import torch
from basicsr.data import build_dataset
from basicsr.models import build_model
from torch import nn
from torch.utils.data import default_collate

from mssr_compat.checkpoint import describe_weights, read_training_state, read_weights
from mssr_compat.errors import UserError
from mssr_options.quiet import quiet
from mssr_train.data_sets import describe_data, describe_groups

_PATIENCE = 10.0  # seconds; after a slower step there is no second one
_FOLDERS = ('experiments_root', 'results_root', 'models', 'training_states', 'log', 'visualization')


def run_preflight(opt: dict, args=None) -> None:
    """Print a report on options, data, checkpoints, networks and one iteration; nothing is trained or written.

    Args:
        opt: complete options, as BasicSR's ``parse_options`` gives them.
        args: the command line; its ``opt`` names the option file.

    Raises:
        UserError: what would go wrong, one problem a line, after the report of all that was looked at.
    """
    _Report(opt).run(osp.basename(getattr(args, 'opt', '')))


class _Report:
    """Lines go to standard output, on rank 0 alone."""

    def __init__(self, opt: dict):
        self.opt, self.problems = opt, []
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

    def run(self, file: str) -> None:
        """The whole report."""
        opt = self.opt
        self.say(file)
        number = opt['num_gpu']
        names = ', '.join(sorted({torch.cuda.get_device_name(i) for i in range(number)}))
        devices = f'on {number} x {names}, {opt.get("world_size", 1)} processes' if number else 'on the CPU'
        self.say(f'{opt["name"]}: {opt["model_type"]}, scale {opt.get("scale", "none")}, {devices}')
        self.say('\nData')
        for name in opt['datasets']:
            describe_data(name, opt, self.say, self.problem)
        describe_groups(opt, self.say, self.problem)
        self.say('\nCheckpoints')
        self.checkpoints()
        self.say('\nNetworks' + (' and one iteration' if opt['is_train'] else ''))
        self.iteration()
        root = opt['path']['experiments_root' if opt['is_train'] else 'results_root']
        goes_on = opt['path'].get('resume_state') or (
            opt.get('auto_resume') and osp.isdir(osp.join(root, 'training_states')))
        fate = ' (goes on there)' if goes_on else ' (exists, and will be renamed to ..._archived_TIME)'
        self.say(f'\nResults: {root}{fate if osp.exists(root) else ""}')
        if self.problems:
            count = f'{len(self.problems)} problems' if len(self.problems) > 1 else 'one problem'
            raise UserError('\n'.join([f'{count} found:', *self.problems]))
        self.say('\nAll is well: run the same command without --check.')

    def checkpoints(self) -> None:
        """What the files hold that would be loaded."""
        opt, paths = self.opt, self.opt['path']
        files = {f'path.{key}': value for key, value in paths.items() if 'pretrain_network' in key}
        branches = (opt.get('network_g') or {}).get('branches') or ()
        for name, sections in (('network_g.branches', branches), ('degradations', opt.get('degradations') or ())):
            files |= {f'{name}[{k}].checkpoint': section.get('checkpoint') for k, section in enumerate(sections)}
        files['path.resume_state'] = paths.get('resume_state')
        files = {key: value for key, value in files.items() if value}
        for key, value in files.items():
            try:
                if key == 'path.resume_state':
                    held = f'training state of iteration {read_training_state(value, key)["iter"]}'
                else:
                    held = describe_weights(read_weights(value, key))
                self.say(f'  {key}: {value}: {held}')
            except UserError as error:
                self.problem(str(error))
        if not files:
            self.say('  none: all networks start from random weights')

    def iteration(self) -> None:
        """What a trial iteration finds."""
        try:
            try_iteration(self.opt, self.say)
        except torch.OutOfMemoryError:
            self.problem('one iteration does not fit into memory; lower datasets.train.batch_size_per_gpu or gt_size')
        except UserError as error:
            self.problem(str(error))
        except Exception as error:  # of other people's networks and losses, anything may come
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self.problem(f'the trial iteration failed: {type(error).__name__}: {error} '
                         f'({osp.basename(frame.filename)}:{frame.lineno})')


def try_iteration(opt: dict, say: Callable[[str], None]) -> None:
    """Build the model as training does, and take two steps: the first, and one in which all terms count.

    On the CPU the batch is one sample, and a slow first step stays the only one, so that the trial of a large network
    does not take minutes. Of a test only the networks are built.

    Args:
        opt: complete options, as BasicSR's ``parse_options`` gives them.
        say: takes a line of the report.

    Raises:
        UserError: options, data or checkpoints cannot be used.
        ValueError: a loss is not finite.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        opt = copy.deepcopy(opt)
        opt['root_path'] = folder
        opt['path'].update((key, folder) for key in _FOLDERS if key in opt['path'])
        train_opt = opt['datasets'].get('train')
        train_set = build_dataset(train_opt) if opt['is_train'] else None
        model = build_model(opt)
        on_gpu = model.device.type == 'cuda'
        for name, net in networks(model):
            say(f'  {name}: {type(net).__name__}, {sum(p.numel() for p in net.parameters()):,} parameters')

        if train_set is None:
            return
        batch = train_opt['batch_size_per_gpu'] * max(opt['num_gpu'], 1) if on_gpu else 1
        data = default_collate([train_set[i % len(train_set)] for i in range(batch)])
        shapes = ', '.join(f'{key} {tuple(value.shape)}' for key, value in data.items() if torch.is_tensor(value))
        cpu = f'the CPU ({torch.get_num_threads()} threads)'
        say(f'  a batch on {torch.cuda.get_device_name(model.device) if on_gpu else cpu}: {shapes}')
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(model.device)
        for iteration in (1, int(opt['train']['total_iter'])):
            start = time.perf_counter()
            model.feed_data(data)
            model.optimize_parameters(iteration)
            losses = {name: float(value) for name, value in model.get_current_log().items()}  # waits for the device
            seconds = time.perf_counter() - start
            shown = ', '.join(f'{name} {value:.4g}' for name, value in losses.items())
            say(f'  losses, iteration {iteration}: {shown}')
            wrong = [name for name, value in losses.items() if not math.isfinite(value)]
            if wrong:
                raise ValueError(f'{wrong[0]} is {losses[wrong[0]]} in iteration {iteration}')
            if seconds > _PATIENCE:
                break
        if on_gpu:
            peak, total = torch.cuda.max_memory_allocated(model.device), torch.cuda.mem_get_info(model.device)[1]
            say(f'  peak GPU memory: {peak / 2**30:.2f} of {total / 2**30:.1f} GiB')
        else:
            with contextlib.suppress(ImportError):  # Windows has no such module
                import resource

                unit = 1 if sys.platform == 'darwin' else 1024
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
                say(f'  peak memory of this process: {peak / 2**30:.2f} GiB')
        seconds *= 1 if on_gpu else train_opt['batch_size_per_gpu']
        hours = seconds * int(opt['train']['total_iter']) / 3600
        say(f'  about {seconds:.3g} s an iteration, judged by one: {hours:.3g} hours in all, without data loading')


def networks(model) -> list[tuple[str, nn.Module]]:
    """(name, network) of all that a model holds, branches of an ensemble and lists of networks included."""
    found = []
    for name, value in vars(model).items():
        if name.startswith('net_') and isinstance(value, nn.Module):
            net = model.get_bare_model(value)
            found.append((name, net))
            found += [(f'{name}.branches[{k}]', branch) for k, branch in enumerate(getattr(net, 'branches', ()))]
        elif isinstance(value, list | tuple) and value and all(isinstance(item, nn.Module) for item in value):
            found += [(f'{name}[{k}]', getattr(item, 'generator', item)) for k, item in enumerate(value)]
    return found
