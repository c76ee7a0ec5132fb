import copy
import urllib.error
from pathlib import Path

import pytest
import torch
import torchvision
from basicsr.losses import build_loss
from torch.nn import functional as F

import mssr_loss  # noqa: F401
from backbone_tools import FILES, backbone_state, write_backbone
from mssr_compat.errors import UserError
from mssr_loss import backbone


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Paths of random weight files, and no way to the network."""
    folder = tmp_path_factory.mktemp('weights')
    return {net: str(write_backbone(folder, net)) for net in FILES}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No weights in any folder of this machine, and a download that fails."""
    def fail(url, *args, **kwargs):
        raise urllib.error.URLError('no network')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', fail)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(backbone, '_REPOSITORY', tmp_path / 'repository')
    monkeypatch.delenv('MSSR_WEIGHTS', raising=False)
    monkeypatch.chdir(tmp_path)


def lpips_loss(weights, net='alex', **options):
    return build_loss({'type': 'LPIPSLoss', 'net': net, 'weights': weights[net], **options})


def test_lpips_equals_the_package(weights, monkeypatch):
    import lpips

    net = torchvision.models.alexnet()
    net.load_state_dict(backbone_state('alex'), strict=False)
    monkeypatch.setattr(torchvision.models, 'alexnet', lambda pretrained: net)
    reference = lpips.LPIPS(net='alex', verbose=False)
    x, y = torch.rand(2, 3, 3, 37, 64)
    expected = reference(2 * x - 1, 2 * y - 1).mean()
    assert lpips_loss(weights, loss_weight=0.01)(x, y).item() == pytest.approx(0.01 * expected.item(), rel=1e-6)


@pytest.mark.parametrize('use_input_norm', [False, True])
def test_vgg_is_the_squared_distance_after_the_fifth_pooling(weights, use_input_norm):
    state = backbone_state('vgg')

    def features(x):
        if use_input_norm:
            x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
                [0.229, 0.224, 0.225])[:, None, None]
        index = 0
        for convolutions in (2, 2, 3, 3, 3):
            for _ in range(convolutions):
                x = F.relu(F.conv2d(x, state[f'features.{index}.weight'], state[f'features.{index}.bias'], padding=1))
                index += 2
            x = F.max_pool2d(x, 2)
            index += 1
        return x

    x, y = torch.rand(2, 1, 3, 32, 40)
    loss = build_loss({'type': 'VGGFeatureLoss', 'loss_weight': 3, 'weights': weights['vgg'],
                       'use_input_norm': use_input_norm})
    assert loss(x, y).item() == pytest.approx(3 * (features(x) - features(y)).pow(2).mean().item(), rel=1e-5)


def test_dists_equals_the_package(weights, monkeypatch):
    """Built as the package does it, on torchvision's VGG16; its own weights lie beside it, not where it looks."""
    from DISTS_pytorch import DISTS_pt

    net = torchvision.models.vgg16()
    net.load_state_dict(backbone_state('vgg'), strict=False)
    monkeypatch.setattr(torchvision.models, 'vgg16', lambda pretrained=False: copy.deepcopy(net))
    monkeypatch.setattr(DISTS_pt.sys, 'prefix', str(Path(DISTS_pt.__file__).parent))
    reference = DISTS_pt.DISTS()
    x, y = torch.rand(2, 3, 3, 37, 64)
    loss = build_loss({'type': 'DISTSLoss', 'loss_weight': 3, 'weights': weights['vgg']})
    assert loss(x, y).item() == pytest.approx(3 * reference(x, y).mean().item(), rel=1e-5)
    assert loss(x, y) > 1e-3


def test_weights_of_half_precision_are_computed_with_in_full(weights, tmp_path):
    torch.save({name: tensor.half() for name, tensor in backbone_state('vgg').items()}, tmp_path / 'half.pth')
    x, y = torch.rand(2, 1, 3, 32, 32)
    for options in ({'type': 'LPIPSLoss', 'net': 'vgg'}, {'type': 'DISTSLoss'}, {'type': 'VGGFeatureLoss'}):
        half, full = (build_loss({**options, 'weights': file})(x, y) for file in (
            str(tmp_path / 'half.pth'), weights['vgg']))
        assert half.dtype == torch.float32 and half.item() == pytest.approx(full.item(), rel=0.05)


def losses(weights):
    return [lpips_loss(weights), lpips_loss(weights, 'vgg'),
            build_loss({'type': 'VGGFeatureLoss', 'weights': weights['vgg']}),
            build_loss({'type': 'DISTSLoss', 'weights': weights['vgg']})]


def test_the_network_stays_out_of_training(weights):
    for loss in losses(weights):
        assert not list(loss.parameters()) and not loss.state_dict()
        loss.train()
        assert not any(module.training for module in loss.net.modules())
        assert not any(parameter.requires_grad for parameter in loss.net.parameters())


def test_gradient_reaches_the_generated_image_alone(weights):
    for loss in losses(weights):
        x, y = (torch.rand(1, 3, 32, 32, requires_grad=True) for _ in range(2))
        loss(x, y).backward()
        assert x.grad.isfinite().all() and x.grad.abs().sum() > 0
        assert y.grad is None
        assert loss(x, x).item() == pytest.approx(0, abs=1e-8)


def test_full_precision_under_autocast(weights):
    x, y = torch.rand(2, 1, 3, 32, 32)
    for loss in losses(weights):
        with torch.autocast('cpu', dtype=torch.bfloat16):
            value = loss(x, y)
        assert value.dtype == torch.float32 and value == loss(x, y)


def test_follows_its_device_and_copies(weights):
    loss = lpips_loss(weights)
    twin = copy.deepcopy(loss)
    assert loss.to('meta') is loss
    assert {parameter.device.type for parameter in loss.net.parameters()} == {'meta'}
    assert {parameter.device.type for parameter in twin.net.parameters()} == {'cpu'}


def test_building_draws_no_random_number(weights):
    before = torch.get_rng_state()
    losses(weights)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize('net', FILES)
def test_small_crops_are_named(weights, net):
    smallest = backbone.LPIPS_SMALLEST[net]
    loss = lpips_loss(weights, net)
    loss(*torch.rand(2, 1, 3, smallest, smallest))
    with pytest.raises(UserError, match=rf'{smallest} pixels.*40x{smallest - 1}.*gt_size'):
        loss(*torch.rand(2, 1, 3, smallest - 1, 40))
    with pytest.raises(UserError, match='32 pixels.*31x31'):
        build_loss({'type': 'VGGFeatureLoss', 'weights': weights['vgg']})(*torch.rand(2, 1, 3, 31, 31))


@pytest.mark.parametrize('place', ['weights', 'repository/weights', 'hub/checkpoints', 'elsewhere'])
def test_weights_are_found(place, tmp_path, monkeypatch):
    path = write_backbone(tmp_path / place)
    if place == 'elsewhere':
        monkeypatch.setenv('MSSR_WEIGHTS', str(tmp_path / place))
    found = backbone.find_weights(backbone.BACKBONES['alex'], None, 'key')
    assert found.resolve() == path.resolve()
    build_loss({'type': 'LPIPSLoss'})


def test_weights_are_downloaded_once(tmp_path, monkeypatch):
    calls = []

    def download(url, path, hash_prefix, progress):
        calls.append((url, hash_prefix))
        write_backbone(tmp_path / 'hub' / 'checkpoints')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    build_loss({'type': 'LPIPSLoss'})
    build_loss({'type': 'LPIPSLoss'})
    assert calls == [('https://download.pytorch.org/models/alexnet-owt-7be5be79.pth', '7be5be79')]


@pytest.mark.parametrize(('options', 'file'), [
    ({'type': 'LPIPSLoss'}, FILES['alex']),
    ({'type': 'LPIPSLoss', 'net': 'vgg'}, FILES['vgg']),
    ({'type': 'DISTSLoss'}, FILES['vgg']),
    ({'type': 'VGGFeatureLoss'}, FILES['vgg']),
])
def test_a_failed_download_says_where_to_put_the_file(options, file):
    with pytest.raises(UserError, match='could not be downloaded') as error:
        build_loss(options)
    message = str(error.value)
    for part in (f'https://download.pytorch.org/models/{file}', 'no network', 'weights/', '$MSSR_WEIGHTS',
                 'train.perceptual_opt.weights'):
        assert part in message
    assert '\n' not in message


def test_wrong_weights_are_named(weights, tmp_path):
    with pytest.raises(UserError, match='there is no file .*absent.pth'):
        build_loss({'type': 'LPIPSLoss', 'weights': 'absent.pth'})
    with pytest.raises(UserError, match='holds a VGG with 13 convolutions, but torchvision\'s AlexNet'):
        build_loss({'type': 'LPIPSLoss', 'weights': weights['vgg']})
    with pytest.raises(UserError, match='holds an AlexNet, but torchvision\'s VGG16'):
        build_loss({'type': 'VGGFeatureLoss', 'weights': weights['alex']})
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(b'PK\x03\x04 half a file')
    with pytest.raises(UserError, match='train.perceptual_opt.weights: .*broken.pth is damaged'):
        build_loss({'type': 'LPIPSLoss', 'weights': str(broken)})
    with pytest.raises(UserError, match='no net: squeeze'):
        build_loss({'type': 'LPIPSLoss', 'net': 'squeeze'})
