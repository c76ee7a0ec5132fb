import math

import pytest
import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from torch import nn

import mssr_arch  # noqa: F401
import mssr_loss  # noqa: F401
from golden_tools import fill_weights, golden, image, network_options
from mssr_compat.errors import UserError

RECORDS = [item for item in golden()['stage1'] if item['tag'].startswith('deresnet')]


def gan_options(item):
    return {'type': 'GANLoss', 'gan_type': 'wgan'} if item['wgan'] else {'type': 'SigmoidGANLoss'}


@pytest.mark.parametrize('item', RECORDS, ids=lambda item: item['tag'])
def test_first_discriminator_loss_equals_the_published_one(item):
    net_g = fill_weights(build_network({'type': 'DeResnet'})).train()
    net_d = fill_weights(build_network(network_options(item))).train()
    gan = build_loss(gan_options(item))
    torch.manual_seed(item['torch_seed'])
    n, size = item['batch'], item['crop']
    x = image(item['lr_seeds'][0], (n, 3, size // 4, size // 4))
    x_fake = net_g(image(item['hr_seeds'][0], (n, 3, size, size))).detach()
    real, fake = net_d(x), net_d(x_fake)
    if item['ragan']:
        real, fake = real - fake.mean(0, keepdim=True), fake - real.mean(0, keepdim=True)
    loss = gan(real, True, is_disc=True) + gan(fake, False, is_disc=True)
    if item['wgan']:
        loss = loss + build_loss({'type': 'GradientPenalty'})(net_d, x, x_fake)
    assert loss.item() == pytest.approx(item['log'][0]['d_loss'], rel=1e-5)


def test_records_cover_every_term():
    assert len(RECORDS) == 4 and any(item['wgan'] for item in RECORDS) and any(item['ragan'] for item in RECORDS)


@pytest.mark.parametrize('real', [True, False])
def test_vanilla_equals_basicsr_until_d_saturates(real):
    logits = torch.linspace(-9, 9, 50)
    ours = build_loss({'type': 'SigmoidGANLoss', 'loss_weight': 0.005})
    theirs = build_loss({'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.005})
    for is_disc in (True, False):
        assert ours(logits, real, is_disc) == pytest.approx(theirs(logits, real, is_disc).item(), rel=1e-4)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_a_saturated_score_costs_what_eps_says(dtype):
    loss = build_loss({'type': 'SigmoidGANLoss'})
    logits = torch.tensor([-200.0], dtype=dtype, requires_grad=True)
    value = loss(logits, True)
    value.backward()
    assert value.dtype == torch.float32 and value.item() == pytest.approx(-math.log(1e-8))
    assert logits.grad == 0
    assert loss(-logits, False).item() == pytest.approx(-math.log(1e-8))


def test_unknown_type_is_named():
    with pytest.raises(UserError, match='train.gan_opt.gan_type is wgan.*GANLoss'):
        build_loss({'type': 'SigmoidGANLoss', 'gan_type': 'wgan'})


class Slope(nn.Module):
    """Logits whose gradient is known: ``a * sum(x)`` per image, shape (N, 1)."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, x):
        return self.a * x.flatten(1).sum(1, keepdim=True)


def test_penalty_of_a_known_slope():
    # The gradient of the mean over 4 images is a / 4 at each of 4 * 12 pixels.
    net_d, images = Slope(3.0), torch.rand(2, 4, 3, 2, 2)
    penalty = build_loss({'type': 'GradientPenalty', 'loss_weight': 7.0})(net_d, *images)
    norm = 3 / 4 * 48**0.5
    assert penalty.item() == pytest.approx(7 * (norm - 1) ** 2)
    penalty.backward()
    assert net_d.a.grad.item() == pytest.approx(7 * 2 * (norm - 1) * norm / 3)


def test_penalty_draws_one_number_and_reaches_d_alone():
    real, fake = torch.rand(2, 2, 3, 8, 8)
    fake.requires_grad_(True)
    net_d = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 3))
    penalty = build_loss({'type': 'GradientPenalty'})
    torch.manual_seed(5)
    first = penalty(net_d, real, fake)
    after = torch.rand(1)
    torch.manual_seed(5)
    torch.rand(1)
    assert torch.rand(1) == after
    first.backward()
    assert fake.grad is None and net_d[0].weight.grad.abs().sum() > 0
    torch.manual_seed(5)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert penalty(net_d, real, fake) == first
