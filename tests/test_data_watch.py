"""The warning of a loop that waits for its data."""

import pytest

from mssr_train import loaders
from mssr_train.loaders import DataWatch


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loaders.time, 'perf_counter', lambda: now[0])
    return now


def watch(monkeypatch, warnings, rank=0, num_gpu=1, **train):
    monkeypatch.setattr(loaders, 'get_root_logger', lambda: type('L', (), {'warning': warnings.append}))
    monkeypatch.setattr(loaders.os, 'cpu_count', lambda: 16)
    train = {'type': 'UnpairedImageDataset', 'num_worker_per_gpu': 6, **train}
    return DataWatch({'logger': {'print_freq': 10}, 'datasets': {'train': train}, 'rank': rank, 'num_gpu': num_gpu})


def run(watch, clock, iterations, step, wait):
    for _ in range(iterations):
        clock[0] += step + wait
        watch.batch(wait)


def test_a_loop_that_waits_is_told_once_after_the_first_interval(monkeypatch, clock):
    warnings = []
    watched = watch(monkeypatch, warnings)
    run(watched, clock, 19, 1.0, 0.1)  # the first interval has the start of the workers in it
    assert not warnings
    run(watched, clock, 31, 1.0, 0.1)
    assert len(warnings) == 1
    for word in ('last 10 iterations', '9%', 'mssr prepare', 'num_worker_per_gpu from 6 towards 16',
                 'prefetch_mode to cuda'):
        assert word in warnings[0]


@pytest.mark.parametrize('step, wait, rank', [(1.0, 0.05, 0), (1.0, 0.5, 1)])
def test_silence_where_data_keep_up_and_in_other_processes(monkeypatch, clock, step, wait, rank):
    warnings = []
    run(watch(monkeypatch, warnings, rank), clock, 50, step, wait)
    assert not warnings


def test_remedies_are_those_that_are_left(monkeypatch, clock):
    watched = watch(monkeypatch, [], num_gpu=0, num_worker_per_gpu=16, io_backend={'type': 'lmdb'})
    assert watched.remedies() == ['a faster disk, or more processor cores']
