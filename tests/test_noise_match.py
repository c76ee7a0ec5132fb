"""How much of a generator's noise the real LR photos have."""

import numpy as np
import pytest
import torch
from basicsr.models import build_model
from basicsr.utils import get_root_logger
from resume_tools import Kill, assert_same, experiment, kill_at, load, make_world, options, train
from step_tools import batch, step, write_generators
from torch import nn

import mssr_model
from data_tools import photo, write_photo
from degradation_world import DEGRADATIONS, as_photos, degrade, lr_photos, tiles
from model_options import stage2_options
from mssr_arch import BicubicDegradation
from mssr_arch.degradation_base import DegradationNetwork
from mssr_arch.jpeg_coding import JPEGCoding
from mssr_compat.errors import UserError
from mssr_degradation import LearnedDegradation
from mssr_degradation.real_photos import matched_shares, read_hr, read_real
from mssr_metric.noise_level import noise_level
from mssr_metric.photo_sets import as_8bit


class Camera(DegradationNetwork):
    """Adds white noise of ``levels`` to the bicubic LR."""

    scale, num_noise = 1, 1

    def __init__(self, levels):
        super().__init__()
        self.deviation = nn.Parameter(torch.tensor(levels / 255))

    def draw_noise(self, y, generator=None):
        return [torch.randn(y.shape, generator=generator)]

    def forward(self, x, z):
        return x + self.deviation * z[0]


def shares_of(G, world, strength=(0, 1), coding=None):
    return matched_shares(LearnedDegradation(G, 4, strength, jpeg=coding), read_hr(world, 4), read_real(world))


def write_world(root, real, half=0):
    """Clean HR tiles and the other tiles as real LR photos; the section ``datasets.train``."""
    for role, images in (('gt', tiles(half)), ('lq', real)):
        for k, image in enumerate(images):
            write_photo(root / role / f'{k:03d}.png', image[..., ::-1])
    return {f'dataroot_{role}': str(root / role) for role in ('gt', 'lq')} | {'io_backend': {'type': 'disk'}}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Real LR photos with noise of six levels."""
    return write_world(tmp_path_factory.mktemp('noisy'), lr_photos(1, 'noisy'))


@pytest.mark.parametrize('levels', [8, 12, 24])
def test_generated_photos_are_as_noisy_as_real_ones(world, levels):
    shares = shares_of(Camera(levels), world)
    assert all(abs(share * levels - 6) < 1.5 for share in shares)


def test_never_more_than_the_generators_noise(world):
    assert shares_of(Camera(3.0), world, [1, 1]) == [1] * 5


def test_no_noise_where_real_photos_have_none(tmp_path):
    shares = shares_of(Camera(12.0), write_world(tmp_path, lr_photos(1, 'bicubic')))
    assert max(shares) < 0.2


def test_real_photos_that_are_not_alike(tmp_path):
    """Half of them quiet, half noisy: so are the draws."""
    real = [degrade(tile, k, noise=(1, 10)[k % 2]) for k, tile in enumerate(tiles(1))]
    world = write_world(tmp_path, real)
    shares = shares_of(Camera(12.0), world)
    assert shares[0] < 0.3 and shares[-1] > 0.65
    torch.manual_seed(0)
    degradation, photos = LearnedDegradation(Camera(12.0), 4, [0, 1], shares), 5 * as_photos(*tiles(0))
    drawn = [degradation.draw(y[None])[0].detach() for y in photos]
    least, most = np.quantile([noise_level([as_8bit(x)]) for x in drawn], [0.05, 0.75])
    assert least < 4 and 8.5 < most < 12  # twelve, if all of the noise were drawn: more, with the photos' texture


def test_photos_without_flat_regions_do_not_tell(tmp_path):
    """Real photos have no noise; a third of either kind is all texture, that of the real ones the stronger."""
    def photos(contrast):
        random = np.random.default_rng(0)
        return [random.normal(128, contrast, tile.shape).clip(0, 255).astype(np.uint8) if k % 3 == 0 else tile
                for k, tile in enumerate(tiles(0))]

    world = write_world(tmp_path, [degrade(image, k) for k, image in enumerate(photos(60))])
    for k, image in enumerate(photos(50)):
        write_photo(tmp_path / 'gt' / f'{k:03d}.png', image)
    assert max(shares_of(Camera(4.0), world)) < 0.3


def test_noise_that_is_never_seen_stays(world):
    assert shares_of(Camera(0.01), world) == [1] * 5


def test_what_jpeg_takes_from_noise_is_given_back(tmp_path):
    """Photos of a quality of 60: the shares are those of the noise before JPEG."""
    real = [degrade(tile, k, noise=9, jpeg=60) for k, tile in enumerate(tiles(1))]
    world = write_world(tmp_path, real, half=1)
    shares = shares_of(Camera(18.0), world, [0, 1], JPEGCoding([60]))
    assert abs(np.median(shares) * 18 - 9) < 3
    assert np.median(shares_of(Camera(18.0), world)) * 18 < 5  # what is left of 9


def test_the_same_each_time_and_no_random_number_of_trainings_is_used(world):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    shares = shares_of(Camera(12.0), world, [0, 1], JPEGCoding([80, 90]))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert shares_of(Camera(12.0), world, [0, 1], JPEGCoding([80, 90])) == shares


def test_a_generator_without_noise_has_no_share():
    assert matched_shares(LearnedDegradation(BicubicDegradation()), [], []) is None


@pytest.mark.parametrize('side, message', [(None, 'dataroot_lq'), (4, 'has no photo of')])
def test_photos_that_are_missing_or_too_small_are_named(tmp_path, side, message):
    world = write_world(tmp_path, [photo(1, side, side)] if side else [])
    with pytest.raises(UserError, match=message):
        shares_of(Camera(9.0), world)


def test_stage_2_draws_each_generators_shares(world, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(get_root_logger(), 'propagate', True)
    opt = stage2_options(degradations=write_generators(tmp_path), lq_noise='auto', lq_strength=[0, 0.5])
    opt['datasets'] = {'train': world}
    for k, generator in enumerate(opt['degradations']):
        content = torch.load(generator['checkpoint'])
        for name in content['params']:
            if name.startswith('noises'):
                content['params'][name] *= 20 + 20 * k
        torch.save(content, generator['checkpoint'])
    with caplog.at_level('INFO', logger='basicsr'):
        model = build_model(opt)
    assert len({line for line in caplog.text.splitlines() if 'noise on flat regions' in line}) == 2
    expected = [shares_of(G.net, world, [0, 0.5]) for G in model.degradations]
    assert [G.noise for G in model.degradations] == expected and expected[0] != expected[1]
    step(model, 1, batch(1))
    assert np.isfinite(model.get_current_log()['l_sup_1'])


def test_training_resumes_exactly(monkeypatch, tmp_path):
    world = make_world(tmp_path / 'world')
    opt = options(world, 'stage2', total=6, train__lq_noise='auto')
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, mssr_model.MultiDegradationSRModel, 5)
        train(patched, tmp_path / 'b', opt)
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    assert_same(*(load(experiment(tmp_path / name) / 'models' / 'net_g_6.pth') for name in 'ab'))


def test_shares_are_drawn_between_quantiles():
    quantiles = [0.1, 0.2, 0.6, 0.6, 1.0]
    torch.manual_seed(0)
    y = torch.zeros(4000, 3, 4, 4)
    z = torch.full((4000, 3, 1, 1), 1.0)
    camera = Camera(255.0)
    camera.draw_noise = lambda *_: [z]
    shares = LearnedDegradation(camera, 4, noise=quantiles).draw(y)[:, 0, 0, 0].detach()
    assert np.allclose(np.quantile(shares, np.linspace(0, 1, 5)), quantiles, atol=0.02)


def test_degradations_of_this_world_have_no_hidden_noise():
    """What the tests above rest on."""
    assert 'noise' not in DEGRADATIONS['bicubic'] and noise_level(as_photos(*lr_photos(1, 'bicubic'))) < 2.5
