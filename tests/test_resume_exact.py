"""Interrupted and resumed, a training is bit-identical to an undisturbed one."""

import os
import shutil
import signal

import pytest
from resume_tools import (
    L1,
    STAGES,
    Kill,
    assert_same_end,
    experiment,
    kill_at,
    load,
    log_lines,
    make_world,
    options,
    train,
)


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp('world'))


@pytest.fixture(scope='module')
def undisturbed(world, tmp_path_factory):
    """Experiments of both stages that nothing interrupted."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        root = tmp_path_factory.mktemp('undisturbed')
        for stage in STAGES:
            assert train(monkeypatch, root, options(world, stage, stage)) == 0
    return root


def type_of(stage):
    import mssr_model
    return {'stage1': mssr_model.DegradationGANModel, 'stage2': mssr_model.MultiDegradationSRModel}[stage]


@pytest.mark.parametrize('stage', STAGES)
@pytest.mark.parametrize('killed, workers, prefetch', [(5, 0, None), (9, 2, 'cpu'), (11, 1, None)])
def test_killed_and_resumed(monkeypatch, tmp_path, world, undisturbed, stage, killed, workers, prefetch):
    """Epochs have four iterations, checkpoints three, validations four; other workers after the restart than before."""
    opt = options(world, stage, stage)
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, type_of(stage), killed)
        train(patched, tmp_path, opt)
    states = sorted(int(path.stem) for path in (experiment(tmp_path, stage) / 'training_states').iterdir())
    assert states == list(range(3, killed, 3))

    opt['datasets']['train'] |= {'num_worker_per_gpu': workers, 'prefetch_mode': prefetch}
    monkeypatch.chdir('/')
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    one, other = experiment(undisturbed, stage), experiment(tmp_path, stage)
    assert_same_end(one, other, 12)
    assert log_lines(one) == log_lines(other)
    assert len(log_lines(one)) == 12 + 1  # and the validations
    assert not list(other.parent.glob('*_archived_*'))


def test_a_validation_that_was_due_at_the_checkpoint_is_made_up_for(monkeypatch, tmp_path, world):
    """It belongs to the best metrics, and its random draws are not those of the training."""
    opt = options(world, 'stage1', val__val_freq=3)
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    validation = type_of('stage1').nondist_validation
    with monkeypatch.context() as patched, pytest.raises(Kill):
        def nondist_validation(self, loader, current_iter, *args):
            if current_iter == 6:
                raise Kill
            validation(self, loader, current_iter, *args)

        patched.setattr(type_of('stage1'), 'nondist_validation', nondist_validation)
        train(patched, tmp_path / 'b', opt)
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    one, other = experiment(tmp_path / 'a'), experiment(tmp_path / 'b')
    assert_same_end(one, other, 12)
    assert log_lines(one)['validations'] == log_lines(other)['validations']
    assert len(log_lines(one)['validations']) == 4
    assert load(one / 'training_states' / '12.state')['best_metric_results']['pairs']['psnr']['iter'] > 0


def test_averaged_weights_that_are_learned_from_come_back(monkeypatch, tmp_path, world):
    """Distances are those to them; all other terms of adaptation are on, too."""
    opt = options(world, 'stage2', total=6, train__consistency_opt=L1,
                  train__distance_opt={'type': 'PairwiseDistanceLoss'}, val__val_freq=6)
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, type_of('stage2'), 5)
        train(patched, tmp_path / 'b', opt)
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    one, other = experiment(tmp_path / 'a'), experiment(tmp_path / 'b')
    assert_same_end(one, other, 6)
    assert log_lines(one)[6] == log_lines(other)[6] and 'l_distance_2' in log_lines(one)[6]


@pytest.mark.parametrize('stage', STAGES)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_iteration_and_saves(monkeypatch, capfd, tmp_path, world, undisturbed, stage, number):
    opt = options(world, stage, stage)
    step = type_of(stage).optimize_parameters
    before = signal.getsignal(number)  # a shell's background job, say, ignores Ctrl-C
    with monkeypatch.context() as patched:
        def optimize_parameters(self, current_iter):
            if current_iter == 5:
                os.kill(os.getpid(), number)
            step(self, current_iter)

        patched.setattr(type_of(stage), 'optimize_parameters', optimize_parameters)
        assert train(patched, tmp_path, opt) == 128 + number
    folder = experiment(tmp_path, stage)
    assert (folder / 'training_states' / '5.state').is_file()
    message = capfd.readouterr().err
    assert 'after iteration 5' in message and '--auto_resume' in message and 'Traceback' not in message
    assert signal.getsignal(number) == before

    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    assert_same_end(experiment(undisturbed, stage), folder, 12)


@pytest.mark.parametrize('place', ['before the step', 'in the data', 'after the step'])
def test_a_crash_saves_where_it_can(monkeypatch, capfd, tmp_path, world, undisturbed, place):
    """What is saved is the end of an iteration: what the failed one has changed is taken back."""
    stage, opt = 'stage2', options(world, 'stage2', 'stage2')
    cls = type_of(stage)
    names = {'before the step': 'restore', 'in the data': 'feed_data', 'after the step': 'update_ema'}
    method = getattr(cls, names[place])

    def failing(self, *args):
        if (self.checkpoints.before or {}).get('iter') == 7:
            raise RuntimeError('a network burst')
        return method(self, *args)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match='burst'):
        patched.setattr(cls, names[place], failing)
        train(patched, tmp_path, opt)
    folder = experiment(tmp_path, stage)
    message = capfd.readouterr().err
    saved = place != 'after the step'
    assert ('Iteration 7 is saved' if saved else 'The last checkpoint is as it was') in message
    assert (folder / 'training_states' / '7.state').is_file() == saved
    assert '--auto_resume' in message
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    assert_same_end(experiment(undisturbed, stage), folder, 12)


def test_from_an_option_file_inside_the_experiment_and_another_folder(monkeypatch, tmp_path, world, undisturbed):
    opt = options(world, 'stage2', 'stage2')
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, type_of('stage2'), 8)
        train(patched, tmp_path, opt)
    folder = experiment(tmp_path, 'stage2')
    monkeypatch.chdir(folder / 'models')
    monkeypatch.setattr('sys.argv', ['train.py', '-opt', '../stage2.yml', '--auto_resume'])
    from mssr_train import pipeline
    pipeline.train(str(tmp_path))
    assert_same_end(experiment(undisturbed, 'stage2'), folder, 12)
    assert [path.name for path in folder.parent.iterdir()] == ['stage2']


def test_from_a_state_of_another_experiment(monkeypatch, tmp_path, world, undisturbed):
    """The networks beside the state are taken, and the run that is copied stays as it is."""
    source = tmp_path / 'kept elsewhere'
    shutil.copytree(experiment(undisturbed, 'stage1'), source)
    opt = options(world, 'stage1', 'again', path__resume_state=str(source / 'training_states' / '6.state'))
    assert train(monkeypatch, tmp_path, opt) == 0
    assert_same_end(source, experiment(tmp_path, 'again'), 12)


def test_a_run_without_a_checkpoint_is_begun_again_in_its_folder(monkeypatch, tmp_path, world, undisturbed):
    opt = options(world, 'stage1', 'stage1')
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, type_of('stage1'), 2)
        train(patched, tmp_path, opt)
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    assert [path.name for path in (tmp_path / 'experiments').iterdir()] == ['stage1']
    assert_same_end(experiment(undisturbed, 'stage1'), experiment(tmp_path, 'stage1'), 12)


def test_the_drawn_seed_is_kept(monkeypatch, tmp_path, world):
    opt = options(world, 'stage1', manual_seed=None, total=6)
    assert train(monkeypatch, tmp_path, opt) == 0
    first = load(experiment(tmp_path) / 'training_states' / '6.state')
    (experiment(tmp_path) / 'training_states' / '6.state').unlink()
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    second = load(experiment(tmp_path) / 'training_states' / '6.state')
    assert first['seed'] == second['seed']
    assert str(first['optimizers']) == str(second['optimizers'])
