"""Find what a run goes on from."""

import os
from os import path as osp
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from basicsr.utils import misc

from mssr_compat.checkpoint import read_training_state
from mssr_compat.checkpoint_sets import iterations, newest_set, read_set
from mssr_compat.distributed import from_first, world
from mssr_compat.errors import UserError


def load_resume_state(opt: dict) -> tuple[dict[str, Any] | None, list[str]]:
    """The state that a run goes on from, on any device and from any folder, and what to tell about it.

    ``--auto_resume`` takes the newest complete set of the experiment, and without any ``path.resume_state``. BasicSR's
    function asks CUDA for the current device, looks below the current folder, and takes the newest state, damaged or
    not. The networks are looked for beside the state, so that a run may go on from another experiment's.

    Sets, in ``opt``, the weights to load (as BasicSR does), ``resume_iter``, ``resume_layouts``,
    ``resume_threads`` and the ``manual_seed`` of the first start.

    Returns:
        The state, or None for a fresh start; lines for the log.

    Raises:
        UserError: the state that is asked for, or the whole experiment, is damaged; it says how.
    """
    found = from_first(_choose(opt) if world()[0] == 0 else None)
    if found.complaint:
        raise UserError(found.complaint)
    if found.state is None:
        return None, found.lines
    state = read_training_state(found.state, 'path.resume_state')
    opt['path']['resume_state'] = str(found.state)
    models, opt['path']['models'] = opt['path']['models'], str(found.models)
    misc.check_resume(opt, state['iter'])
    opt['path']['models'] = models
    opt['resume_layouts'], opt['resume_threads'] = state.get('layouts'), state.get('threads')
    opt['resume_iter'], total = state['iter'], opt['train']['total_iter']
    if state['iter'] > total:
        raise UserError(f'{found.state} is of iteration {state["iter"]}, beyond train.total_iter, which is {total}: '
                        'nothing is left to train. Raise train.total_iter, or name an earlier state with '
                        'path.resume_state and without --auto_resume.')
    if state['iter'] == total:
        found.lines.append(f'The training is complete: train.total_iter is {total}.')
    seed = state.get('seed', opt['manual_seed'])
    if seed != opt['manual_seed']:
        found.lines.append(f'manual_seed is {seed}, as when this training began, not {opt["manual_seed"]}.')
        opt['manual_seed'] = seed
    make_folders(opt)
    return state, found.lines


class _Choice(NamedTuple):
    """A state file and the folder of its networks, or None twice; lines for the log; why neither will do."""

    state: Path | None
    models: Path | None
    lines: list[str]
    complaint: str | None = None


def _choose(opt: dict) -> _Choice:
    """The first process decides for all."""
    named, states = opt['path'].get('resume_state'), Path(opt['path']['training_states'])
    if opt['auto_resume'] and iterations(states):
        file, models, complaints = newest_set(states, *_needs(opt, states / 'any'))
        if file is None:
            return _Choice(None, None, [], f'--auto_resume: no checkpoint in {states} is complete: '
                           f'{"; ".join(complaints)}. To begin anew, start without --auto_resume: the folder is then '
                           'kept under another name.')
        lines = [f'Passed over the checkpoint of {complaint}.' for complaint in complaints]
        why = 'the newest complete one' if complaints else 'the newest one'
        return _Choice(file, models, [*lines, f'Going on from {file}: it is {why}.'])
    if named:
        try:
            _, models = read_set(named, *_needs(opt, Path(named)), 'path.resume_state')
        except UserError as error:
            return _Choice(None, None, [], str(error))
        return _Choice(Path(named), models, [f'Going on from {named}, as path.resume_state says.'])
    if opt['auto_resume'] and osp.isdir(opt['path']['experiments_root']):
        line = f'--auto_resume: {states} has no checkpoint yet: training begins, in the same folder.'
        return _Choice(None, None, [line])
    return _Choice(None, None, [])


def _needs(opt: dict, file: Path) -> tuple[list[str], list[Path]]:
    """Networks that a resumed run loads, and folders in which they may be."""
    ignored = opt['path'].get('ignore_resume_networks') or ()
    networks = [key for key in opt if key.startswith('network_') and key not in ignored]
    folders = [file.parent.parent / 'models', file.parent, Path(opt['path']['models'])]
    return [key.removeprefix('network_') for key in networks], folders


def make_folders(opt: dict) -> None:
    """The experiment's folders, as they are where they exist: BasicSR's renames them."""
    with patch.object(misc, 'mkdir_and_rename', keep_folder):
        misc.make_exp_dirs(opt)


def keep_folder(path: str) -> None:
    """In place of ``mkdir_and_rename``, for a run that was asked to go on."""
    os.makedirs(path, exist_ok=True)
