"""Damaged, missing, mistaken and malicious checkpoints, and disks that take no more."""

import os
import pickle
import resource
import shutil

import pytest
import torch
from resume_tools import assert_same_end, experiment, load, make_world, options, train

from mssr_compat import checkpoint_sets
from mssr_compat.checkpoint_sets import SaveError, newest_set, remove_old_sets, write_file


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp('world'))


@pytest.fixture(scope='module')
def finished(world, tmp_path_factory):
    """A finished training of stage 1, whose sets have three files each."""
    root = tmp_path_factory.mktemp('finished')
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert train(monkeypatch, root, options(world, 'stage1', total=6, val__val_freq=100)) == 0
    return root


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / 'copy')
    return tmp_path / 'copy'


def truncate(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


FILES = ('training_states/6.state', 'models/net_g_6.pth', 'models/net_d_6.pth')
DAMAGES = {'truncated': truncate, 'emptied': lambda path: path.write_bytes(b''), 'removed': os.unlink,
           'of another iteration': lambda path: shutil.copy(str(path).replace('6.', '3.'), path)}
CASES = [(file, damage) for file in FILES for damage in DAMAGES] + [(file, 'a flipped bit') for file in FILES[1:]]


@pytest.mark.parametrize('file, damage', CASES)
def test_the_newest_complete_set_is_taken(finished, copy, file, damage):
    {**DAMAGES, 'a flipped bit': flip_a_byte}[damage](experiment(copy) / file)
    states, models = (experiment(copy) / name for name in ('training_states', 'models'))
    state, folder, complaints = newest_set(states, ['g', 'd'], [models])
    if damage == 'of another iteration' and file == FILES[0]:
        assert state.name == '6.state' and load(state)['iter'] == 3  # a copied state is what it says inside
        return
    assert (state.name, folder) == ('3.state', models)
    gone = damage == 'removed' and file == FILES[0]  # no state, no set
    assert len(complaints) == (0 if gone else 1)
    assert gone or ('iteration 6' in complaints[0] and os.path.basename(file) in complaints[0])


def test_auto_resume_falls_back_and_says_so(monkeypatch, capfd, world, finished, copy):
    truncate(experiment(copy) / 'models' / 'net_d_6.pth')
    (experiment(copy) / 'training_states' / 'latest.state').write_bytes(b'stray')
    opt = options(world, 'stage1', total=6, val__val_freq=100)
    assert train(monkeypatch, copy, opt, '--auto_resume') == 0
    log = capfd.readouterr().err
    assert 'Passed over the checkpoint of iteration 6' in log and 'net_d_6.pth' in log
    assert '3.state: it is the newest complete one' in log
    assert_same_end(experiment(finished), experiment(copy), 6)


def test_nothing_usable_is_an_error_and_nothing_is_archived(monkeypatch, capfd, world, copy):
    for state in (experiment(copy) / 'training_states').iterdir():
        truncate(state)
    assert train(monkeypatch, copy, options(world, 'stage1', total=6), '--auto_resume') == 2
    error = capfd.readouterr().err
    assert 'no checkpoint' in error and 'iteration 6' in error and 'iteration 3' in error
    assert [path.name for path in (copy / 'experiments').iterdir()] == ['run']


@pytest.mark.parametrize('key, file, said', [
    ('path__resume_state', 'models/net_g_6.pth', 'a training state'),
    ('path__pretrain_network_g', 'training_states/6.state', 'a training state of iteration 6'),
    ('path__resume_state', 'models/net_d_6.pth', 'discriminator'),
])
def test_a_state_and_weights_mistaken_for_each_other(monkeypatch, capfd, world, copy, key, file, said):
    opt = options(world, 'stage1', 'other', total=6, **{key: str(experiment(copy) / file)})
    assert train(monkeypatch, copy, opt) == 2
    error = capfd.readouterr().err
    assert said in error and file in error and key.replace('__', '.') in error


class Evil:
    def __init__(self, proof):
        self.proof = str(proof)

    def __reduce__(self):
        return os.mkdir, (self.proof,)


@pytest.mark.parametrize('how', ['torch', 'pickle'])
@pytest.mark.parametrize('place', [
    'resume_state', 'auto_resume', 'pretrain_network_g', 'degradation', 'beside a state'])
def test_code_in_a_checkpoint_is_not_run(monkeypatch, capfd, tmp_path, world, copy, how, place):
    """The pickle would make a folder; it is proven to do so where it is loaded as a pickle."""
    proof, file = tmp_path / 'executed', tmp_path / 'evil.pth'
    content = {'params': Evil(proof), 'iter': 3, 'optimizers': [], 'schedulers': []}
    if place == 'auto_resume':
        file = experiment(copy) / 'training_states' / '9.state'
    if place == 'beside a state':
        file = experiment(copy) / 'models' / 'net_g_6.pth'
        state = experiment(copy) / 'training_states' / '6.state'
        torch.save({key: value for key, value in load(state).items() if key != 'files'}, state)  # as BasicSR writes it
    if how == 'torch':
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content))
    stage = 'stage2' if place == 'degradation' else 'stage1'
    opt = options(world, stage, 'run' if place == 'auto_resume' else 'new', total=6)
    if place in ('resume_state', 'pretrain_network_g'):
        opt['path'][place] = str(file)
    if place == 'beside a state':
        opt['path']['resume_state'] = str(state)
    if place == 'degradation':
        opt['degradations'][0]['checkpoint'] = str(file)
    status = train(monkeypatch, copy, opt, *['--auto_resume'] * (place == 'auto_resume'))
    assert status == (0 if place == 'auto_resume' else 2)  # that falls back to the set before
    assert 'was refused' in capfd.readouterr().err
    assert not proof.exists()

    torch.load(file, weights_only=False) if how == 'torch' else pickle.loads(file.read_bytes())
    assert proof.exists()


# --- writing --------------------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    """The kernel itself refuses: no file may become larger than 64 KiB."""
    path = tmp_path / 'net_g_1.pth'
    write_file(path, {'params': torch.zeros(10)})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    try:
        with pytest.raises(SaveError, match=r'net_g_1.pth cannot be saved: File too large; it needs 0\.[0-9] MiB, and'):
            write_file(path, {'params': torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ['net_g_1.pth']


@pytest.mark.parametrize('nth', [1, 2, 3])
def test_a_full_disk_stops_with_a_message_and_the_last_checkpoint(monkeypatch, capfd, tmp_path, world, finished, nth):
    """At each file of the second set; then there is room again."""
    opt, calls, write = options(world, 'stage1', total=6, val__val_freq=100), [], checkpoint_sets.os.fsync

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == 2 * (3 + nth) - 1:  # each file is flushed, and then its folder
            raise OSError(28, 'No space left on device')
        write(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_sets.os, 'fsync', fsync)
        assert train(patched, tmp_path, opt) == 2
    error = capfd.readouterr().err
    assert 'No space left on device' in error and 'the checkpoint of iteration 3 is intact' in error
    assert 'Traceback' not in error
    assert not list(experiment(tmp_path).rglob('*.aside'))
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    assert_same_end(experiment(finished), experiment(tmp_path), 6)


@pytest.mark.parametrize('keep_last, keep_every, kept', [
    (1, 0, [12]), (2, 0, [10, 12]), (2, 4, [4, 8, 10, 12]), (100, 0, [2, 4, 6, 8, 10, 12])])
def test_the_disk_is_bounded(monkeypatch, tmp_path, world, keep_last, keep_every, kept):
    opt = options(world, 'stage1', logger__keep_last=keep_last, logger__save_checkpoint_freq=2, val__val_freq=100)
    if keep_every:
        opt['logger']['keep_every'] = keep_every
    assert train(monkeypatch, tmp_path, opt) == 0
    states = experiment(tmp_path) / 'training_states'
    assert sorted(int(path.stem) for path in states.iterdir()) == kept
    for label in 'gd':
        files = {path.name for path in (experiment(tmp_path) / 'models').glob(f'net_{label}_*')}
        assert files == {f'net_{label}_{n}.pth' for n in (*kept, 'latest')}


def test_left_overs_of_a_killed_run_go(tmp_path):
    """Networks whose state was never written; but not those of other names."""
    for name in ('net_g_1.pth', 'net_g_2.pth', 'net_g_5.pth', 'net_g_latest.pth', 'net_g_best.pth', 'mine.pth'):
        (tmp_path / name).touch()
    (tmp_path / '2.state').touch()
    remove_old_sets(tmp_path, tmp_path, keep_last=1)
    assert {path.name for path in tmp_path.iterdir()} == {
        '2.state', 'net_g_2.pth', 'net_g_5.pth', 'net_g_latest.pth', 'net_g_best.pth', 'mine.pth'}
