"""The batch sequence is a pure function of the iteration, whatever the epochs, ranks and interruptions."""

import math
import pickle
from itertools import islice

import pytest
from basicsr.data.prefetch_dataloader import CPUPrefetcher
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from mssr_data.sampler import IterationSampler, SampleIndex


class Numbers(Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return int(index)


def draws(sampler, epochs):
    """(index, draw) of all samples of the given epochs."""
    out = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        samples = list(sampler)
        assert len(samples) == len(sampler)
        out += [(int(sample), sample.draw) for sample in samples]
    return out


sizes = st.integers(1, 40)
batches = st.integers(1, 20)


def test_sample_index_is_an_integer_that_survives_pickling():
    index = SampleIndex(5, draw=11, seed=7)
    copy = pickle.loads(pickle.dumps(index))
    assert copy == 5 and (copy.draw, copy.seed) == (11, 7) and type(copy) is SampleIndex
    assert ['a', 'b', 'c', 'd', 'e', 'f'][copy] == 'f'


@given(size=sizes, batch=batches, seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_every_pass_shows_each_photo_once(size, batch, seed):
    sampler = IterationSampler(Numbers(size), 1, 0, seed=seed, batch_size=batch)
    indices = [index for index, _ in draws(sampler, range(6))]
    for start in range(0, len(indices) - size + 1, size):
        assert sorted(indices[start:start + size]) == list(range(size))


@given(size=sizes, batch=batches, ratio=st.integers(1, 5), start=st.integers(0, 200))
@settings(deadline=None)
def test_a_resumed_run_continues_the_sequence(size, batch, ratio, start):
    whole = IterationSampler(Numbers(size), 1, 0, ratio, seed=3, batch_size=batch)
    resumed = IterationSampler(Numbers(size), 1, 0, ratio, seed=3, batch_size=batch, start_iter=start)
    last = start // whole.iters_per_epoch + 3
    first = max(start - 1, 0) // whole.iters_per_epoch  # the epoch that BasicSR saved
    assert draws(resumed, range(first, last)) == draws(whole, range(last))[start * batch:]


@given(size=sizes, batch=st.integers(1, 6), ranks=st.integers(1, 4), ratio=st.integers(1, 5))
@settings(deadline=None)
def test_ranks_share_one_large_batch(size, batch, ranks, ratio):
    one = draws(IterationSampler(Numbers(size), 1, 0, ratio, batch_size=batch * ranks), range(3))
    each = [draws(IterationSampler(Numbers(size), ranks, rank, ratio, batch_size=batch), range(3))
            for rank in range(ranks)]
    starts = range(0, len(each[0]), batch)
    assert [sample for start in starts for rank in each for sample in rank[start:start + batch]] == one


@given(size=sizes, batch=batches, ratios=st.tuples(st.integers(1, 5), st.integers(1, 5)))
@settings(deadline=None)
def test_the_epoch_length_changes_nothing(size, batch, ratios):
    one, other = (draws(IterationSampler(Numbers(size), 1, 0, ratio, batch_size=batch), range(6)) for ratio in ratios)
    shorter = min(len(one), len(other))
    assert one[:shorter] == other[:shorter]


def test_seeds_and_passes_differ():
    def sequence(seed):
        return [index for index, _ in draws(IterationSampler(Numbers(50), 1, 0, seed=seed, batch_size=50), range(2))]

    assert sequence(0) != sequence(1)
    assert sequence(0)[:50] != sequence(0)[50:]


@pytest.mark.parametrize('resumed_at', [0, 1, 7, 20])
@pytest.mark.parametrize('size, batch, workers', [(23, 16, 0), (23, 16, 2), (23, 64, 0), (23, 1, 0), (16, 16, 0),
                                                  (1, 4, 0)])
def test_the_trainers_loop_runs_every_iteration(size, batch, resumed_at, workers):
    """BasicSR's own loop over a loader that drops the last batch."""
    total_iter = 20
    ipe = math.ceil(size / batch)
    total_epochs = math.ceil(total_iter / ipe)
    sampler = IterationSampler(Numbers(size), 1, 0, batch_size=batch, start_iter=resumed_at)
    prefetcher = CPUPrefetcher(DataLoader(Numbers(size), batch, sampler=sampler, drop_last=True, num_workers=workers))
    iteration = resumed_at
    seen = []
    for epoch in range(max(resumed_at - 1, 0) // ipe, total_epochs + 1):
        sampler.set_epoch(epoch)
        prefetcher.reset()
        while (data := prefetcher.next()) is not None and iteration < total_iter:
            iteration += 1
            seen += data.tolist()
    assert iteration == total_iter
    whole = IterationSampler(Numbers(size), 1, 0, total_iter * batch, batch_size=batch)
    assert seen == list(islice(whole, resumed_at * batch, total_iter * batch))


def test_counts_iterations_as_told_where_the_loader_has_a_larger_batch():
    sampler = IterationSampler(Numbers(30), 1, 0, batch_size=8, iters_per_epoch=10)
    assert len(sampler) == 80 and len(draws(sampler, [3])) == 80


def test_feeds_any_dataset_of_basicsr():
    names = ['a', 'b', 'c', 'd']
    loader = DataLoader(names, 2, sampler=IterationSampler(names, 1, 0, batch_size=2), drop_last=True)
    assert sorted(name for batch in loader for name in batch) == names


@pytest.mark.parametrize('wrong', [{'size': 0}, {'rank': 2}, {'batch_size': 0}, {'start_iter': -1}])
def test_impossible_numbers_are_refused(wrong):
    options = {'size': 3, 'rank': 0, 'batch_size': 1, 'start_iter': 0} | wrong
    with pytest.raises(ValueError):
        IterationSampler(Numbers(options.pop('size')), 2, options.pop('rank'), **options)
