"""HR crops that are as varied as the LR crop they are compared with."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools import options, photo, write_photo
from mssr_data.crops import coarse_contrast, nearest_contrast
from mssr_data.datasets import UnpairedImageDataset
from mssr_data.sampler import SampleIndex


@pytest.fixture(scope='module')
def half_flat(tmp_path_factory):
    """An HR photo that is flat on its left, two LR photos: a flat one and a textured one."""
    root = tmp_path_factory.mktemp('half_flat')
    hr = photo(3, 64, 256)
    hr[:, :128] = 90
    write_photo(root / 'gt' / 'half.png', hr)
    write_photo(root / 'lq' / 'a_flat.png', np.full((16, 16, 3), 200, np.uint8))
    write_photo(root / 'lq' / 'b_textured.png', photo(7, 16, 16))
    return root


def samples(root, index, count=30, **changes):
    dataset = UnpairedImageDataset(options(root, **changes))
    return [dataset[SampleIndex(index, draw)] for draw in range(count)]


def test_flat_crops_are_compared_with_flat_crops(half_flat):
    def flat(index, tries):
        return np.mean([sample['gt'].std() < 1e-3 for sample in samples(half_flat, index, content_match=tries)])

    assert flat(0, 1) == flat(1, 1) and 0.2 < flat(0, 1) < 0.8  # whatever comes
    assert flat(0, 16) == 1
    assert flat(1, 16) == 0


def test_one_try_is_the_data_set_without_the_option(half_flat):
    for one, other in zip(samples(half_flat, 1), samples(half_flat, 1, content_match=1), strict=True):
        assert torch.equal(one['gt'], other['gt']) and torch.equal(one['lq'], other['lq'])


def test_a_sample_is_a_function_of_its_index(half_flat):
    one, other = (samples(half_flat, 1, content_match=4) for _ in range(2))
    assert all(torch.equal(a['gt'], b['gt']) for a, b in zip(one, other, strict=True))
    assert len({sample['gt'].numpy().tobytes() for sample in one}) > 20
    plain = samples(half_flat, 1)
    assert all(torch.equal(a['lq'], b['lq']) for a, b in zip(one, plain, strict=True))  # LR is what is matched


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), side=st.sampled_from([8, 15, 40]), tries=st.integers(1, 6))
def test_no_other_try_is_nearer(seed, side, tries):
    rng = np.random.default_rng(seed)
    crops = [(photo(seed + k, 4 * side, 4 * side) * rng.uniform(0.1, 1)).astype(np.uint8) for k in range(tries)]
    wanted, cells = photo(seed + 50, side, side), max(side // 4, 2)
    chosen = nearest_contrast(crops, wanted, side)
    distances = [abs(coarse_contrast(crop, cells) - coarse_contrast(wanted, cells)) for crop in [chosen, *crops]]
    assert distances[0] == min(distances)
    assert any(chosen is crop for crop in crops)


@pytest.mark.parametrize('camera', ['blur', 'noise'])
def test_contrast_is_blind_to_the_camera(camera):
    """Coarser than the pixels that blur and noise change: neither moves it as far as other content does."""
    x = np.kron(photo(11, 8, 8), np.ones((5, 5, 1))).astype(np.uint8)  # structure of 5 px
    if camera == 'blur':
        padded = np.pad(x.astype(float), ((1, 1), (1, 1), (0, 0)), 'edge')
        seen = (sum(np.roll(padded, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9)[1:-1, 1:-1]
    else:
        seen = x + np.random.default_rng(0).normal(0, 10, x.shape)
    seen = seen.clip(0, 255).astype(np.uint8)
    assert abs(coarse_contrast(seen, 10) - coarse_contrast(x, 10)) < 0.15
    assert coarse_contrast(x, 10) - coarse_contrast(x // 2, 10) > 0.6
