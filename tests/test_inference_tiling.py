"""Tiles: what a network sees, where a photo is cut, and that the parts make the whole."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_tools import TINY_RRDB, enliven
from mssr_arch import DegradationHAN, DeResnet, SREnsemble
from mssr_compat.errors import UserError
from mssr_inference.networks import Loaded
from mssr_inference.tiling import FADE, TileRunner, exact_reach, plan_tiles
from mssr_inference.upscaler import Upscaler, lock_color

CPU = torch.device('cpu')


def upscaler(*branches, **options):
    net = enliven(SREnsemble([dict(branch) for branch in branches])).requires_grad_(False)
    with torch.no_grad():
        scale = net(torch.zeros(1, 3, 8, 8)).shape[-1] // 8
    return Upscaler(Loaded(net, {}, scale, 'x', ''), CPU, **options)


def assemble(function, scale, image, plan):
    """All tiles put together, (3, H, W)."""
    height, width = image.shape[-2:]
    runner = TileRunner(function, scale, lambda y0, y1, x0, x1: image[..., y0:y1, x0:x1], height, width, plan)
    tiles = []
    whole = runner.into(np.full((height * scale, width * scale, 3), np.nan, np.float32), lambda *at: tiles.append(at))
    assert not np.isnan(whole).any()
    assert tiles == [(k + 1, plan.num_tiles) for k in range(plan.num_tiles)]
    return whole.transpose(2, 0, 1)


@pytest.mark.parametrize('kernel', [1, 3, 7])
def test_reach_of_a_convolution_is_half_its_kernel(kernel):
    layer = torch.nn.Conv2d(3, 3, kernel, padding=kernel // 2)
    assert exact_reach(layer) == kernel // 2


def test_reach_adds_up_over_layers_and_strides():
    halving = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Conv2d(3, 3, 3, 2, 1))
    # The strided output at j sees inputs 2j-1 .. 2j+1 of the first layer's output, hence 2j-2 .. 2j+2.
    assert exact_reach(halving, multiple=2) in (2, 3)
    doubling = torch.nn.Sequential(torch.nn.Upsample(scale_factor=2), torch.nn.Conv2d(3, 3, 3, padding=1))
    assert exact_reach(doubling) == 1


def test_attention_over_the_whole_image_has_no_reach():
    han = DegradationHAN(num_feat=4, num_group=1, num_block=1, reduction=1).eval()
    assert exact_reach(lambda y: han(y, noise=False), multiple=4, widest=128) is None
    assert exact_reach(DeResnet(num_feat=4, num_block=2).eval(), multiple=4) < 32


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 120), st.integers(0, 40), st.sampled_from([1, 2, 4, 8]))
def test_cuts_cover_the_photo_and_leave_room_to_fade(height, width, tile, reach, multiple):
    plan = plan_tiles(height, width, tile, reach, multiple)
    for cuts, length in ((plan.rows, height), (plan.columns, width)):
        assert (cuts[0], cuts[-1]) == (0, length)
        assert all(cut % multiple == 0 for cut in cuts[:-1])
        if len(cuts) > 2:
            assert min(np.diff(cuts)) >= 2 * FADE
    assert plan.fade <= FADE


@pytest.mark.parametrize('scale', [1, 2, 4])
def test_exact_overlap_gives_the_whole_picture(scale):
    up = upscaler({**TINY_RRDB, 'scale': scale}, TINY_RRDB | {'scale': scale, 'num_block': 2})
    width = 83 * 4 // scale  # unshuffling makes the network see further
    image = torch.rand(1, 3, 61, width)
    plan = up.plan(61, width, tile=24, overlap='exact')
    assert plan.num_tiles > 6
    assert plan.reach < width / 2
    tiled, whole = assemble(up, scale, image, plan), up(image)[0].numpy()
    assert np.abs(tiled - whole).max() < 1e-5


@pytest.mark.parametrize('options', [{'self_ensemble': True}, {'color_lock': True}, {'precision': 'bf16'}])
def test_tiles_equal_the_whole_to_one_level(options):
    up = upscaler(TINY_RRDB, **options)
    image = torch.rand(1, 3, 70, 90)
    tiled, whole = assemble(up, 4, image, up.plan(70, 90, tile=40)), up(image)[0].numpy()
    assert np.abs(np.rint(tiled * 255) - np.rint(whole * 255)).max() <= 1


def test_a_deep_network_needs_less_overlap_than_it_can_see():
    up = upscaler({**TINY_RRDB, 'num_block': 12})
    assert up.exact_reach > 180
    assert up.practical_reach < up.exact_reach / 2
    image = torch.rand(1, 3, 150, 70)
    plan = up.plan(150, 70, tile=40)
    assert plan.num_tiles > 4
    tiled, whole = assemble(up, 4, image, plan), up(image)[0].numpy()
    assert 0 < np.abs(tiled - whole).max() < 1 / 255


def test_too_little_overlap_is_seen():
    """The tests above would notice a tile that sees too little."""
    up = upscaler(TINY_RRDB)
    image = torch.rand(1, 3, 64, 64)
    tiled = assemble(up, 4, image, up.plan(64, 64, tile=32, overlap=0))
    assert np.abs(tiled - up(image)[0].numpy()).max() > 2 / 255


def test_swinir_tiles_lie_on_its_windows():
    up = upscaler({'type': 'SwinIR', 'upscale': 2, 'img_size': 8, 'window_size': 8, 'depths': [2], 'embed_dim': 8,
                   'num_heads': [2], 'mlp_ratio': 2, 'upsampler': 'pixelshuffledirect'})
    assert up.multiple == 8
    image = torch.rand(1, 3, 72, 100)
    tiled = assemble(up, 2, image, up.plan(72, 100, tile=32, overlap='exact'))
    assert np.abs(tiled - up(image)[0].numpy()).max() < 1e-4


class Limited:
    """A network in a memory that holds ``most`` input pixels."""

    def __init__(self, function, most, error):
        self.function, self.most, self.error = function, most, error
        self.refused = 0

    def __call__(self, lq):
        if lq.shape[-1] * lq.shape[-2] > self.most:
            self.refused += 1
            raise self.error
        return self.function(lq)


@pytest.mark.parametrize('error', [torch.OutOfMemoryError('CUDA out of memory'), MemoryError(),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=type)
def test_running_out_of_memory_makes_tiles_smaller(error):
    up = upscaler(TINY_RRDB)
    image = torch.rand(1, 3, 90, 110)
    plan = plan_tiles(90, 110, 64, up.exact_reach)
    limited = Limited(up, 75 * 75, error)
    tiled = assemble(limited, 4, image, plan)
    assert 0 < limited.refused < 8  # it learns
    assert np.abs(tiled - up(image)[0].numpy()).max() < 1e-5


def test_no_memory_at_all_is_an_error_and_other_errors_pass():
    up = upscaler(TINY_RRDB)
    image = torch.rand(1, 3, 40, 40)
    plan = plan_tiles(40, 40, None, up.exact_reach)
    with pytest.raises(MemoryError, match='smallest'):
        assemble(Limited(up, 0, MemoryError()), 4, image, plan)
    with pytest.raises(RuntimeError, match='other'):
        assemble(Limited(up, 0, RuntimeError('some other error')), 4, image, plan)


def test_automatic_tiles_fit_the_given_memory():
    up = upscaler(TINY_RRDB)
    assert up.plan(50, 50).num_tiles == 1
    plan = up.plan(400, 400, memory=up.bytes_per_pixel * 150 * 150)
    assert plan.num_tiles > 9
    side = max(np.diff(plan.rows)) + 2 * (plan.fade + plan.reach)
    assert side <= 150 + 2


def test_exact_overlap_of_a_global_network_is_refused():
    rcan = {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_group': 1, 'num_block': 1,
            'squeeze_factor': 2, 'upscale': 4}
    up = upscaler(rcan)
    with pytest.raises(UserError, match='whole photo'):
        up.plan(100, 100, tile=32, overlap='exact')
    assert up.plan(100, 100, tile=32).num_tiles > 4
    assert up.plan(100, 100, tile=0).num_tiles == 1


def test_self_ensemble_is_equivariant():
    """Turning the photo turns the result, which a network alone does not do."""
    up = upscaler(TINY_RRDB, self_ensemble=True)
    image = torch.rand(1, 3, 9, 12)
    turned = image.rot90(1, (-2, -1)).flip(-1)
    expected = up(image).rot90(1, (-2, -1)).flip(-1)
    assert torch.allclose(up(turned), expected, atol=1e-6)
    plain = upscaler(TINY_RRDB)
    assert not torch.allclose(plain(turned), plain(image).rot90(1, (-2, -1)).flip(-1), atol=1e-3)


def test_colour_lock_takes_drift_away_and_leaves_texture():
    lq = torch.rand(1, 3, 40, 40) * 0.4 + 0.3
    output = F.interpolate(lq, scale_factor=4, mode='nearest') + 0.01 * torch.randn(1, 3, 160, 160)
    locked = lock_color(output, lq, 4)
    drifted = lock_color(output + torch.tensor([0.1, 0, -0.1]).view(1, 3, 1, 1), lq, 4)
    assert (drifted - locked).abs().max() < 1e-4
    texture = output - F.avg_pool2d(output, 33, 1, 16)
    kept = locked - F.avg_pool2d(locked, 33, 1, 16)
    inside = (..., slice(40, 120), slice(40, 120))
    assert (kept - texture)[inside].abs().max() < 0.2 * texture[inside].abs().max()
