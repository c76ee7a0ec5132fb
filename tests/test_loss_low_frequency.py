import pytest
import torch
from basicsr.losses import build_loss
from hypothesis import given, settings
from hypothesis import strategies as st

import mssr_loss  # noqa: F401
from golden_tools import FILTERS, golden, image
from mssr_compat.errors import UserError

RECORDS = [item for item in golden()['loss'] if item['tag'].startswith('color_loss/')]


@pytest.mark.parametrize('item', RECORDS, ids=lambda item: item['tag'])
def test_equals_the_published_value(item):
    loss = build_loss({'type': 'LowFrequencyLoss', 'filter': FILTERS[item['tag'].split('/')[1]], 'loss_weight': 2.0})
    x, y = (image(seed, item['input_shape']) for seed in item['input_seeds'])
    assert loss(x, y).item() == pytest.approx(2 * item['value'], rel=1e-5)


def test_three_filters_are_recorded():
    assert len(RECORDS) == 3


@settings(max_examples=20, deadline=None)
@given(st.integers(5, 20), st.integers(5, 20), st.sampled_from(['wavelet', 'gaussian', 'average', None]))
def test_is_a_distance_at_any_size(height, width, name):
    loss = build_loss({'type': 'LowFrequencyLoss', 'filter': name})
    x, y = torch.rand(2, 1, 3, height, width)
    assert loss(x, x) == 0
    assert loss(x, y) == loss(y, x) > 0


def test_high_frequencies_are_free():
    loss = build_loss({'type': 'LowFrequencyLoss'})
    checkers = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 0.4 - 0.2
    x = torch.full((1, 3, 8, 8), 0.5)
    assert loss(x + checkers, x) == pytest.approx(0, abs=1e-7)
    assert loss(x + 0.2, x) == pytest.approx(0.2)


def test_gradient_is_finite_and_the_loss_stays_out_of_checkpoints():
    loss = build_loss({'type': 'LowFrequencyLoss', 'filter': 'gaussian'})
    x = torch.rand(2, 3, 9, 7, requires_grad=True)
    loss(x, torch.rand(2, 3, 9, 7)).backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0
    assert not loss.state_dict() and not list(loss.parameters())


def test_mistakes_are_named():
    with pytest.raises(UserError, match='haar'):
        build_loss({'type': 'LowFrequencyLoss', 'filter': 'haar'})
    with pytest.raises(UserError, match='4 x 4'):
        build_loss({'type': 'LowFrequencyLoss', 'filter': 'average'})(*torch.rand(2, 1, 3, 4, 4))
