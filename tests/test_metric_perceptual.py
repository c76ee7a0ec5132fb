import numpy as np
import pytest
import torch
from basicsr.losses import build_loss
from basicsr.metrics import calculate_metric

import mssr_loss  # noqa: F401
import mssr_metric  # noqa: F401
from backbone_tools import FILES, write_backbone
from mssr_compat.errors import UserError
from mssr_metric.perceptual_metrics import _network


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    yield {net: str(write_backbone(folder, net)) for net in FILES}
    _network.cache_clear()


def pair(height=40, width=33, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def measure(img, img2, weights, net='alex', **options):
    options |= {'type': 'calculate_lpips', 'net': net, 'device': 'cpu', 'weights': weights[net]}
    return calculate_metric({'img': img, 'img2': img2}, options)


@pytest.mark.parametrize('net', FILES)
def test_is_the_loss_of_the_same_images_in_rgb(weights, net):
    img, img2 = pair()
    x, y = (torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255 for image in (img, img2))
    loss = build_loss({'type': 'LPIPSLoss', 'net': net, 'weights': weights[net], 'loss_weight': 1})
    value = measure(img, img2, weights, net)
    assert isinstance(value, float)
    assert value == pytest.approx(loss(x, y).item(), rel=1e-5)
    assert value != pytest.approx(loss(x.flip(1), y.flip(1)).item(), rel=1e-5)
    assert measure(img, img, weights, net) == 0


def test_dists_is_the_loss_of_the_same_images_in_rgb(weights):
    img, img2 = pair()
    x, y = (torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255 for image in (img, img2))
    loss = build_loss({'type': 'DISTSLoss', 'weights': weights['vgg'], 'loss_weight': 1})
    options = {'type': 'calculate_dists', 'device': 'cpu', 'weights': weights['vgg'], 'crop_border': 0}
    value = calculate_metric({'img': img, 'img2': img2}, options)
    assert isinstance(value, float) and value == pytest.approx(loss(x, y).item(), rel=1e-4)
    assert value != pytest.approx(loss(x.flip(1), y.flip(1)).item(), rel=1e-4)
    assert calculate_metric({'img': img, 'img2': img}, options) == pytest.approx(0, abs=1e-6)
    with pytest.raises(UserError, match='DISTS compares'):
        calculate_metric({'img': img, 'img2': img2[:, :-1]}, options)


def test_the_border_is_cut(weights):
    img, img2 = pair(48, 44)
    expected = measure(img[4:-4, 4:-4], img2[4:-4, 4:-4], weights)
    assert measure(img, img2, weights, crop_border=4) == expected
    img2[:4] = 0
    assert measure(img, img2, weights, crop_border=4) == expected


def test_gray_is_three_equal_channels(weights):
    img, img2 = (image[..., 0] for image in pair())
    expected = measure(np.stack([img] * 3, -1), np.stack([img2] * 3, -1), weights)
    assert measure(img, img2, weights) == pytest.approx(expected)


def test_the_network_is_built_once_and_leaves_training_alone(weights):
    img, img2 = pair()
    measure(img, img2, weights)
    built = _network.cache_info().misses
    state = torch.get_rng_state()
    measure(img, img2, weights, better='lower')
    assert _network.cache_info().misses == built
    _network.cache_clear()
    measure(img, img2, weights)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.is_grad_enabled()


def test_mistakes_are_named(weights):
    img, img2 = pair()
    with pytest.raises(UserError, match=r'LPIPS \(alex\) compares.*33x40.*32x40'):
        measure(img, img2[:, :-1], weights)
    with pytest.raises(UserError, match=r'LPIPS \(alex\) needs at least 31 px.*33x40 and 2 px'):
        measure(img, img2, weights, crop_border=2)
    with pytest.raises(UserError, match='val.metrics.<name>.weights: there is no file absent.pth'):
        measure(img, img2, {'alex': 'absent.pth'})
    with pytest.raises(UserError, match='no net: squeeze'):
        measure(img, img2, {'squeeze': None}, 'squeeze')
