"""Images whose damage only shows when they are decoded, in mid-run: named, then skipped or the end of the run."""

import os

import pytest
import torch
from basicsr.data import build_dataset
from basicsr.utils import get_root_logger

from data_tools import lmdb_options, options, photo, rewrite, tiny_sets, write_photo
from mssr_compat.errors import UserError
from mssr_data.sampler import IterationSampler, SampleIndex

GT, LQ = 'datasets.train.dataroot_gt', 'datasets.train.dataroot_lq'


@pytest.fixture
def root(tmp_path):
    return tiny_sets(tmp_path)


def spoil_in_folder(root):
    os.truncate(root / 'lq' / 'p001.png', 200)
    return options(root), 'p001.png'


def spoil_in_lmdb(root):
    rewrite(root / 'lq.lmdb', lambda transaction: transaction.put(b'p001', transaction.get(b'p001')[:200]))
    return lmdb_options(root), 'lq.lmdb/p001'


def spoil_with_nothing(root):
    rewrite(root / 'lq.lmdb', lambda transaction: transaction.put(b'p001', b''))
    return lmdb_options(root), 'lq.lmdb/p001'


def shrunk_since_it_was_listed(root):
    write_photo(root / 'lq' / 'p001.png', photo(0, 5, 5))
    (root / 'lq.txt').write_text(''.join(f'p00{number}.png (12,15,3) 1\n' for number in range(3)))
    return options(root, meta_info_lq=str(root / 'lq.txt')), 'p001.png'


SPOILED = [spoil_in_folder, spoil_in_lmdb, spoil_with_nothing, shrunk_since_it_was_listed]


def loader(opt, workers):
    dataset = build_dataset(opt)
    sampler = IterationSampler(dataset, 1, 0, 10, batch_size=6)
    return dataset, torch.utils.data.DataLoader(dataset, 6, sampler=sampler, num_workers=workers)


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('spoil', SPOILED)
def test_a_corrupt_image_in_mid_run_stops_it_by_name(root, spoil, workers):
    opt, culprit = spoil(root)
    batches = iter(loader(opt, workers)[1])
    try:
        with pytest.raises(UserError) as error:
            list(batches)
    finally:
        if workers:  # left to the garbage collector, they are waited for five seconds each
            batches._shutdown_workers()
    message = str(error.value)
    assert culprit in message and 'on_corrupt' in message
    assert message.startswith(LQ) and '\n' not in message


@pytest.mark.parametrize('spoil', SPOILED)
def test_a_corrupt_image_in_mid_run_is_skipped_with_a_count(root, spoil, monkeypatch):
    """The next image takes its place, whatever the number of workers; it is named once and counted once."""
    opt, culprit = spoil(root)
    warnings = []
    monkeypatch.setattr(get_root_logger(), 'warning', warnings.append)
    dataset, batches = loader(opt | {'on_corrupt': 'skip'}, 0)
    whole = list(batches)
    assert len(warnings) == 1 and culprit in warnings[0] and LQ in warnings[0] and '1 so far' in warnings[0]
    assert dataset.num_corrupt == 1
    paths = {path for batch in whole for path in batch['lq_path']}
    assert len(paths) == 2 and not any(culprit in path for path in paths)

    others, batches = loader(opt | {'on_corrupt': 'skip'}, 2)
    assert all(torch.equal(one['lq'], other['lq']) for one, other in zip(whole, batches, strict=True))
    assert others.num_corrupt == 1


def test_a_set_of_corrupt_images_alone_stops_also_when_they_are_skipped(root):
    for number in range(3):
        os.truncate(root / 'lq' / f'p00{number}.png', 200)
    dataset = build_dataset(options(root, on_corrupt='skip'))
    with pytest.raises(UserError, match='none of the 3 images') as error:
        dataset[SampleIndex(0, 0)]
    assert LQ in str(error.value)


def test_skipping_begins_before_training(root):
    """What the headers show is skipped and counted at the start; the rest of the set is used."""
    (root / 'lq' / 'nil.png').write_bytes(b'')
    write_photo(root / 'lq' / 'tiny.png', photo(1, 5, 5))
    dataset = build_dataset(options(root, on_corrupt='skip'))
    assert dataset.num_corrupt == 2 and len(dataset) == 5
    assert {dataset[SampleIndex(index, index)]['lq'].shape for index in range(5)} == {(3, 8, 8)}
