"""Resuming where something is not as it was: other options, other networks, an earlier state, a state out of shape."""

import errno
import os
import shutil

import pytest
import torch
from resume_tools import STAGES, Kill, assert_same_end, experiment, kill_at, load, make_world, options, train

import mssr_model
from mssr_compat import checkpoint_sets, untrusted
from mssr_compat.checkpoint_sets import iterations, newest_set, set_newer_aside, write_file
from mssr_compat.errors import UserError
from mssr_monitor.experiment_record import read_validations


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp('world'))


@pytest.fixture(scope='module')
def finished(world, tmp_path_factory):
    """A finished training of each stage, of six iterations."""
    root = tmp_path_factory.mktemp('finished')
    with pytest.MonkeyPatch.context() as monkeypatch:
        for stage in STAGES:
            assert train(monkeypatch, root, six(world, stage)) == 0
    return root


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / 'copy')
    return tmp_path / 'copy'


def six(world, stage, **changes):
    return options(world, stage, stage, **{'total': 6, 'val__val_freq': 100, **changes})


# --- the record -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('stage', STAGES)
def test_the_record_of_validations_is_that_of_an_undisturbed_run(monkeypatch, tmp_path, world, stage):
    """Its losses are means over the last ten that were logged, most of them before the interruption."""
    opt = options(world, stage, val__select='psnr')
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    cls = mssr_model.DegradationGANModel if stage == 'stage1' else mssr_model.MultiDegradationSRModel
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, cls, 8)
        train(patched, tmp_path / 'b', opt)
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    records = [[{key: value for key, value in entry.items() if key != 'time'}
                for entry in read_validations(experiment(tmp_path / name))] for name in 'ab']
    assert records[0] == records[1]
    assert [entry['iter'] for entry in records[0]] == [4, 8, 12] and records[0][1]['losses']


# --- options that changed ---------------------------------------------------------------------------------------------


def test_a_changed_schedule_is_said(monkeypatch, capfd, world, copy):
    """The state's counts; that must not go without a word."""
    opt = six(world, 'stage1', train__total_iter=7)
    opt['train']['scheduler'] |= {'total_iter': 7}
    opt['train']['optim_d'] = {**opt['train']['optim_d'], 'lr': 5e-4}
    assert train(monkeypatch, copy, opt, '--auto_resume') == 0
    log = capfd.readouterr().err
    assert 'train.optim_* or train.scheduler was changed, but the state counts' in log
    assert 'initial_lr 0.0001, not 0.0005' in log and 'decay_end 6, not 7' in log

    assert train(monkeypatch, copy, six(world, 'stage2', train__total_iter=7), '--auto_resume') == 0
    assert 'was changed' not in capfd.readouterr().err


def test_the_end_is_said_and_what_lies_beyond_it_is_an_error(monkeypatch, capfd, world, finished, copy):
    assert train(monkeypatch, copy, six(world, 'stage1'), '--auto_resume') == 0
    assert 'The training is complete: train.total_iter is 6.' in capfd.readouterr().err
    assert_same_end(experiment(finished, 'stage1'), experiment(copy, 'stage1'), 6)
    assert train(monkeypatch, copy, six(world, 'stage1', train__total_iter=5), '--auto_resume') == 2
    assert '6.state is of iteration 6, beyond train.total_iter, which is 5' in capfd.readouterr().err


@pytest.mark.parametrize('branches, feat, said', [
    (2, 12, 'a momentum of shape (16, 3, 3, 3) for weights of shape (12, 3, 3, 3)'),
    (1, 16, "moves 84 tensors in 1 groups and this training's 42 in 1")])
def test_momenta_of_other_networks_are_refused(monkeypatch, capfd, world, copy, branches, feat, said):
    """Adam itself would take the ones of another shape without a word."""
    opt = six(world, 'stage2', train__total_iter=8, path__ignore_resume_networks=['network_g'])
    opt['network_g']['branches'] = [{**branch, 'num_feat': feat} for branch in opt['network_g']['branches'][:branches]]
    assert train(monkeypatch, copy, opt, '--auto_resume') == 2
    error = capfd.readouterr().err
    assert said in error and 'training_states/6.state does not fit these options' in error
    assert 'Traceback' not in error


# --- states out of shape ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('part, value', [
    ('iter', 'six'), ('iter', -3), ('iter', 6.0), ('optimizers', None), ('optimizers', [1, 2]), ('schedulers', [3, 4]),
    ('files', 3), ('files', {'net_g_6.pth': 5}), ('processes', [5]), ('seed', 'x'), ('best_metric_results', 3)])
def test_a_state_with_something_else_in_it_is_damaged(monkeypatch, capfd, world, copy, part, value):
    states = experiment(copy, 'stage1') / 'training_states'
    torch.save({**load(states / '6.state'), part: value}, states / '6.state')
    state, _, complaints = newest_set(states, ['g', 'd'], [states.parent / 'models'])
    assert state.name == '3.state' and 'iteration 6' in complaints[0] and f'its {part} is not as' in complaints[0]

    opt = six(world, 'stage1', path__resume_state=str(states / '6.state'))
    assert train(monkeypatch, copy, opt) == 2
    error = capfd.readouterr().err
    assert f'its {part} is not as it is written' in error and 'path.resume_state' in error


@pytest.mark.parametrize('change', [
    {'optimizers': []}, {'processes': [{'random': {'python': 3}}]}, {'schedulers': [{}, {'last_epoch': 'x'}, {}]}])
def test_a_state_that_cannot_be_loaded_is_the_user_s_error(monkeypatch, capfd, world, copy, change):
    state = experiment(copy, 'stage1') / 'training_states' / '6.state'
    torch.save({**load(state), **change}, state)
    assert train(monkeypatch, copy, six(world, 'stage1'), '--auto_resume') == 2
    error = capfd.readouterr().err
    assert '6.state does not fit these options' in error and 'Traceback' not in error


@pytest.mark.parametrize('file', ['training_states/6.state', 'models/net_d_6.pth'])
def test_a_file_that_cannot_be_read_is_passed_over(monkeypatch, copy, file):
    """Permissions, a stale mount: told as such, not as damage."""
    secret = experiment(copy, 'stage1') / file

    def refuse(path, *args, **kwargs):
        if str(path) == str(secret):
            raise PermissionError(errno.EACCES, 'Permission denied', str(path))
        return open(path, *args, **kwargs)

    for module in (untrusted, checkpoint_sets):
        monkeypatch.setattr(module, 'open', refuse, raising=False)
    states = experiment(copy, 'stage1') / 'training_states'
    state, _, complaints = newest_set(states, ['g', 'd'], [states.parent / 'models'])
    assert state.name == '3.state' and f'{secret} cannot be read: Permission denied' in complaints[0]


def test_a_folder_of_states_that_cannot_be_read_is_no_empty_one(tmp_path):
    assert iterations(tmp_path / 'absent') == []
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='file cannot be read: Not a directory'):
        iterations(tmp_path / 'file')


# --- going on from an earlier state -----------------------------------------------------------------------------------


def test_only_plain_numbers_are_states(tmp_path):
    for name in ('0', '7', '08', '-1', '7.5', 'latest', '٣', '10'):
        (tmp_path / f'{name}.state').touch()
    assert iterations(tmp_path) == [10, 7, 0]
    assert set_newer_aside(tmp_path, 7) == ['10.state.old']
    assert iterations(tmp_path) == [7, 0] and (tmp_path / '10.state.old').exists()


@pytest.mark.parametrize('keep_last', [None, 1])
def test_from_an_earlier_state_auto_resume_goes_on_with_what_is_new(monkeypatch, capfd, world, copy, keep_last):
    """Not with the states that the run left behind; and ``keep_last`` does not take them for the newest."""
    opt = six(world, 'stage1', logger__save_checkpoint_freq=1,
              path__resume_state=str(experiment(copy, 'stage1') / 'training_states' / '3.state'))
    if keep_last:
        opt['logger']['keep_last'] = keep_last
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, mssr_model.DegradationGANModel, 5)
        train(patched, copy, opt)
    assert 'later states are now called 6.state.old' in capfd.readouterr().err
    states = experiment(copy, 'stage1') / 'training_states'
    assert iterations(states) == ([4] if keep_last else [4, 3])
    opt['path']['resume_state'] = None
    assert train(monkeypatch, copy, opt, '--auto_resume') == 0
    assert '4.state: it is the newest one' in capfd.readouterr().err


def test_a_damaged_newest_set_does_not_displace_good_ones(monkeypatch, world, copy):
    """``keep_last: 1``, the newest set damaged, a save before its iteration is reached again, and a kill."""
    states = experiment(copy, 'stage1') / 'training_states'
    os.truncate(states / '6.state', 100)
    opt = six(world, 'stage1', logger__save_checkpoint_freq=1, logger__keep_last=1)
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, mssr_model.DegradationGANModel, 5)
        train(patched, copy, opt, '--auto_resume')
    assert newest_set(states, ['g', 'd'], [states.parent / 'models'])[0].name == '4.state'


# --- disks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('number, said', [(errno.ENOSPC, 'Make room, then'), (errno.EACCES, 'Mend that, then')])
def test_what_a_save_says_of_the_disk(monkeypatch, capfd, tmp_path, world, number, said):
    def replace(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(checkpoint_sets.os, 'replace', replace)
    assert train(monkeypatch, tmp_path, six(world, 'stage1')) == 2
    error = capfd.readouterr().err
    assert said in error and ('MiB are free' in error) == (number == errno.ENOSPC) and 'Traceback' not in error


def test_a_disk_that_fills_up_with_anything_else_ends_in_a_sentence_too(monkeypatch, capfd, tmp_path, world):
    """Pictures, records, logs; here the record of a validation, and then there is no room for a checkpoint either."""
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'validation.jsonl')

    opt = six(world, 'stage2', val__val_freq=4)
    with monkeypatch.context() as patched:
        patched.setattr('mssr_monitor.validation.append_validation', full)
        assert train(patched, tmp_path, opt) == 2
    error = capfd.readouterr().err
    assert 'error: validation.jsonl: No space left on device' in error and 'Traceback' not in error
    assert 'Iteration 4 is saved' in error
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0


def test_a_log_that_the_disk_does_not_take(monkeypatch, capfd, tmp_path, world):
    """Each line would be a traceback; and the option file that is copied first is not the file to blame."""
    def full(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr('logging.FileHandler.flush', full, raising=False)
        assert train(patched, tmp_path, six(world, 'stage1')) == 0
    assert 'Logging error' not in capfd.readouterr().err

    def copy_opt_file(source, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source, None, f'{folder}/stage1.yml')

    monkeypatch.setattr('basicsr.train.copy_opt_file', copy_opt_file)
    assert train(monkeypatch, tmp_path, six(world, 'stage1')) == 2
    assert f"{experiment(tmp_path, 'stage1')}/stage1.yml: No space left" in capfd.readouterr().err


def test_a_folder_that_cannot_be_flushed(monkeypatch, tmp_path):
    """Some network file systems do not know how to; what is in the file is flushed all the same."""
    flush = os.fsync

    def fsync(descriptor):
        if os.path.isdir(f'/proc/self/fd/{descriptor}'):
            raise OSError(errno.EINVAL, 'Invalid argument')
        flush(descriptor)

    monkeypatch.setattr(checkpoint_sets.os, 'fsync', fsync)
    assert write_file(tmp_path / 'a.pth', {'a': 1})['size'] == (tmp_path / 'a.pth').stat().st_size
