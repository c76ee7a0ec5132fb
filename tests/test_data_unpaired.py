"""The unpaired data set: what a batch is, and that nothing but seed and iteration decides it."""

import os
import pickle

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader, build_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools import folder_to_lmdb, lmdb_options, options, photo, write_folder, write_photo
from mssr_compat.errors import UserError
from mssr_data.datasets import UnpairedImageDataset
from mssr_data.sampler import IterationSampler, SampleIndex


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """7 HR and 5 LR photos, as folders and as LMDBs."""
    root = tmp_path_factory.mktemp('data')
    write_folder(root / 'gt', 6, 48, 60, first=100)
    write_photo(root / 'gt' / 'more' / 'deep.png', photo(99, 50, 50))
    write_folder(root / 'lq', 5, 12, 15)
    for role in ('gt', 'lq'):
        folder_to_lmdb(root / role, root / f'{role}.lmdb')
    return root


def batches(opt, iterations=6, *, start=0, world=1, rank=0, seed=5, dataset=None, loader_seed=0):
    """Batches of the given iterations, from the loader that BasicSR builds."""
    dataset = dataset or build_dataset(opt)
    sampler = IterationSampler(dataset, world, rank, 100, seed=seed, batch_size=opt['batch_size_per_gpu'],
                               start_iter=start)
    loader = build_dataloader(dataset, opt, num_gpu=0, dist=False, sampler=sampler, seed=loader_seed)
    out = []
    for batch in loader:
        out.append(batch)
        if len(out) == iterations - start:
            return out
    raise AssertionError('too few batches')


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a['gt'], b['gt']) and torch.equal(a['lq'], b['lq']) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize('workers', [0, 2])
def test_photos_in_memory_give_the_same_batches(root, workers):
    plain, cached = (options(root, cache_data=cache, num_worker_per_gpu=workers) for cache in (False, True))
    assert same(batches(plain, 12), batches(cached, 12))


def test_photos_in_memory_are_decoded_once(root, monkeypatch):
    from mssr_data import image_source

    decoded, decode = [], image_source.decode_image
    monkeypatch.setattr(image_source, 'decode_image', lambda data, name: decoded.append(name) or decode(data, name))
    dataset = UnpairedImageDataset(options(root, cache_data=True))
    for draw in range(40):
        dataset[SampleIndex(draw % 5, draw=draw)]
    assert len(decoded) == len(set(decoded)) == 7 + 5
    assert pickle.loads(pickle.dumps(dataset))[SampleIndex(1, draw=1)]['gt'].shape == (3, 32, 32)


def test_photos_that_would_fill_the_memory_are_refused(root, monkeypatch):
    monkeypatch.setattr('os.sysconf', {'SC_PAGE_SIZE': 1024, 'SC_PHYS_PAGES': 200}.__getitem__)
    opt = options(root, cache_data=True, num_worker_per_gpu=2)  # 7 photos of about 8 kB and 5 of 0.5 kB, twice
    with pytest.raises(UserError, match=r'datasets\.train\.cache_data is true.* in 2 workers.*set it to false'):
        UnpairedImageDataset(opt)
    UnpairedImageDataset(opt | {'cache_data': False})
    UnpairedImageDataset(opt | {'num_worker_per_gpu': 0})


def test_a_sample(root):
    dataset = UnpairedImageDataset(options(root))
    assert len(dataset) == 5
    sample = dataset[SampleIndex(3, draw=0)]
    assert sample['gt'].shape == (3, 32, 32) and sample['lq'].shape == (3, 8, 8)
    for name in ('gt', 'lq'):
        image = sample[name]
        assert image.dtype == torch.float32 and image.is_contiguous() and image.min() >= 0 and image.max() <= 1
        levels = image * 255
        assert (levels - levels.round()).abs().max() < 1e-4
    assert sample['lq_path'] == str(root / 'lq' / 'p003.png')


def test_crops_are_rgb_windows_of_the_photo_that_the_path_names(root):
    dataset = UnpairedImageDataset(options(root, use_hflip=False, use_rot=False))
    for draw in range(20):
        sample = dataset[SampleIndex(draw % 5, draw)]
        for name, size in (('gt', 32), ('lq', 8)):
            whole = np.ascontiguousarray(cv2.imread(sample[f'{name}_path'])[..., ::-1])
            crop = np.rint(sample[name].numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
            windows = np.lib.stride_tricks.sliding_window_view(whole, (size, size, 3))
            assert (windows[:, :, 0] == crop).all(axis=(2, 3, 4)).any()


@pytest.mark.parametrize('workers', [1, 2, 4])
@pytest.mark.parametrize('kind', [options, lmdb_options])
def test_the_number_of_workers_changes_nothing(root, kind, workers):
    assert same(batches(kind(root)), batches(kind(root, num_worker_per_gpu=workers), loader_seed=workers))


def test_folder_and_lmdb_give_the_same_batches(root):
    folder, database = batches(options(root)), batches(lmdb_options(root))
    assert same(folder, database)
    assert database[0]['lq_path'][0] == folder[0]['lq_path'][0].replace('lq/', 'lq.lmdb/')[:-len('.png')]


@pytest.mark.parametrize('workers', [0, 2])
def test_a_resumed_run_draws_what_the_whole_run_would_have(root, workers):
    whole = batches(options(root, num_worker_per_gpu=workers), 6)
    assert same(whole[4:], batches(options(root, num_worker_per_gpu=workers), 6, start=4))


def test_two_ranks_share_one_batch(root):
    one = batches(options(root, batch_size_per_gpu=4), 4)
    ranks = [batches(options(root, batch_size_per_gpu=2), 4, world=2, rank=rank) for rank in (0, 1)]
    joined = [{name: torch.cat([part[name] for part in parts]) for name in ('gt', 'lq')}
              for parts in zip(*ranks, strict=True)]
    assert same(one, joined)


def test_epochs_and_seeds_differ(root):
    first = batches(options(root), 10)
    assert not same(first[:5], first[5:]) and not same(first, batches(options(root), 10, seed=6))
    crops = {crop.numpy().tobytes() for batch in first for crop in batch['lq']}
    assert len(crops) > 35  # of 40: crops and flips are drawn anew


@pytest.mark.parametrize('kind', [options, lmdb_options])
@pytest.mark.parametrize('workers', [0, 2])
def test_without_the_sampler_epochs_differ_too(root, kind, workers):
    dataset = build_dataset(kind(root))
    loader = torch.utils.data.DataLoader(dataset, 5, num_workers=workers)
    first, second = next(iter(loader)), next(iter(loader))
    assert first['lq_path'] == second['lq_path']
    assert not torch.equal(first['lq'], second['lq']) and not torch.equal(first['gt'], second['gt'])


@given(seed=st.integers(0, 2**40), start=st.integers(0, 10**6))
@settings(deadline=None, max_examples=20)
def test_each_hr_photo_comes_once_a_pass(root, seed, start):
    dataset = UnpairedImageDataset(options(root))
    paths = [dataset[SampleIndex(0, start * 7 + draw, seed)]['gt_path'] for draw in range(14)]
    assert len(set(paths[:7])) == 7 and len(set(paths[7:])) == 7


def test_hr_and_lr_are_augmented_apart(tmp_path):
    """With one square photo a side that the crop fills, the crop shows the symmetry that was drawn."""
    square = photo(0, 32, 32)
    write_photo(tmp_path / 'gt' / 'a.png', square)
    write_photo(tmp_path / 'lq' / 'a.png', square[:8, :8])

    def symmetries(**changes):
        dataset = UnpairedImageDataset(options(tmp_path, **changes))
        samples = [dataset[SampleIndex(0, draw)] for draw in range(60)]
        return {(s['gt'][:, :8, :8].numpy().tobytes(), s['lq'].numpy().tobytes()) for s in samples}

    assert len(symmetries()) > 20  # of 64
    assert len(symmetries(use_hflip=False, use_rot=False)) == 1


def test_meta_info_chooses_the_photos(root, tmp_path):
    (tmp_path / 'some.txt').write_text('p004.png (13,15,3) 1\n\np001.png\n')
    for opt in (options(root), lmdb_options(root)):
        dataset = UnpairedImageDataset(opt | {'meta_info_lq': str(tmp_path / 'some.txt')})
        assert [image.name for image in dataset.sources['lq'].images] == ['p001.png', 'p004.png']
        assert dataset[0]['lq'].shape == (3, 8, 8)


def test_one_lmdb_serves_two_data_sets_at_once(root):
    one, other = UnpairedImageDataset(lmdb_options(root)), UnpairedImageDataset(lmdb_options(root))
    index = SampleIndex(1, draw=4)
    assert torch.equal(one[index]['gt'], other[index]['gt'])
    del one
    assert other[index]['lq'].shape == (3, 8, 8)


@pytest.mark.parametrize('kind', [options, lmdb_options])
def test_a_used_data_set_survives_pickling_and_forking(root, kind):
    dataset = build_dataset(kind(root))
    index = SampleIndex(2, draw=9)
    sample = dataset[index]
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[index]['gt'], sample['gt'])
    used, fresh = batches(kind(root, num_worker_per_gpu=2), dataset=dataset), batches(kind(root))
    assert same(used, fresh) and torch.equal(dataset[index]['lq'], sample['lq'])


def test_spawned_workers_can_read_an_lmdb(root):
    dataset = build_dataset(lmdb_options(root))
    loader = torch.utils.data.DataLoader(dataset, 5, sampler=IterationSampler(dataset, 1, 0, batch_size=5),
                                         num_workers=1, multiprocessing_context='spawn')
    assert torch.equal(next(iter(loader))['lq'], batches(options(root, batch_size_per_gpu=5), 1, seed=0)[0]['lq'])


def test_hidden_files_and_links_that_lead_back_are_passed_over(root, tmp_path):
    write_folder(tmp_path / 'gt', 2, 40, 40)
    os.symlink(tmp_path / 'gt', tmp_path / 'gt' / 'loop')
    os.symlink(root / 'gt', tmp_path / 'gt' / 'linked')
    write_photo(tmp_path / 'gt' / '.hidden' / 'x.png', photo(0, 40, 40))
    (tmp_path / 'gt' / '._p000.png').write_bytes(b'junk of another system')
    (tmp_path / 'gt' / 'notes.txt').write_text('hello')
    dataset = UnpairedImageDataset(options(tmp_path, dataroot_lq=str(root / 'lq')))
    assert [image.name for image in dataset.sources['gt'].images][:2] == ['linked/more/deep.png', 'linked/p000.png']
    assert len(dataset.sources['gt']) == 9
