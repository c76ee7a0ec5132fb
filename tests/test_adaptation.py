"""Stage 2's terms on real LR photos, beyond the published one."""

import pytest
import torch
import torch.nn.functional as F
from basicsr.losses import build_loss
from basicsr.models import build_model
from step_tools import batch, build, step, train_steps, what_moves, write_generators

from backbone_tools import write_backbone
from model_options import stage2_options
from mssr_arch.degradation_base import DegradationNetwork
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.sharpening import gaussian_blur
from mssr_compat.errors import UserError
from mssr_degradation import LearnedDegradation

L1 = {'type': 'L1Loss'}
DISTANCE = {'type': 'PairwiseDistanceLoss'}
NEW = {'consistency_opt': L1, 'distance_opt': DISTANCE, 'ema_decay': 0.9}


@pytest.fixture(scope='module')
def generators(tmp_path_factory):
    return write_generators(tmp_path_factory.mktemp('generators'))


def apart(model, share=0.05):
    """Averaged weights that are not those of the network."""
    generator = torch.Generator().manual_seed(2)
    for p in model.net_g_ema.parameters():
        p.data += share * p.abs().mean() * torch.randn(p.shape, generator=generator)
    return model


def inside(model):
    """Outputs away from the clamp, whose gradient is zero."""
    for net in (model.net_g, *([model.net_g_ema] if model.ema_decay else [])):
        for branch in net.branches:
            branch.conv_last.bias.data.fill_(0.5)
    return model


def terms_of(model, number=1):
    model.feed_data(batch(number))
    torch.manual_seed(3)
    return model.adaptation(model.lq, model.draw(model.gt))


class Means(DegradationNetwork):
    """Means of 4 x 4 pixels."""

    scale, noises = 4, torch.nn.ModuleList()

    def degrade(self, y, z):
        return F.avg_pool2d(y, 4)


def repeating(shift=0):
    """An ensemble of one branch, which repeats pixels."""
    return lambda x, all_branches: F.interpolate(x.roll(shift, -1), scale_factor=4)[None]


def test_a_result_that_degrades_to_its_photo_is_consistent(generators):
    model = build('stage2', generators[:1], consistency_opt=L1, adapt_opt=None)
    model.sources, model.degradations = [[0]], [LearnedDegradation(Means())]
    x = torch.rand(2, 3, 12, 16)
    found = []
    for shift in (0, 1):
        model.net_g = repeating(shift)
        (term,) = model.adaptation(x, []).values()
        found.append(term.item())
    assert found[0] < 1e-6 < 0.05 < found[1]


def test_noise_that_the_network_removed_is_hardly_a_fault_and_a_blur_is_one(generators):
    model = build('stage2', generators[:1], consistency_opt=L1, adapt_opt=None)
    model.sources, model.degradations = [[0]], [LearnedDegradation(Means())]
    stripes = (torch.arange(32) // 4 % 2).float().expand(1, 3, 32, 32)
    noise = 0.1 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    model.net_g = lambda x, all_branches: F.interpolate(stripes, scale_factor=4)[None]
    (removed,) = model.adaptation(stripes + noise, []).values()
    assert removed < 0.35 * noise.abs().mean()
    model.net_g = lambda x, all_branches: F.interpolate(gaussian_blur(stripes, 2.0), scale_factor=4)[None]
    (blurred,) = model.adaptation(stripes, []).values()
    assert blurred > 0.1


@pytest.mark.parametrize('strength, share', [(None, 1.0), ([0.2, 0.6], 0.4)])
def test_results_are_degraded_at_the_mean_strength_without_noise(generators, strength, share):
    """By each generator that a branch learns from: a single branch, from both."""
    model = inside(build('stage2', generators, consistency_opt=L1, lq_strength=strength, lq_round=True))
    model.sources = [[0, 1], [1]]
    x = batch(1)['lq']
    S_x = model.net_g(x, all_branches=True).detach()

    def misfit(k, m):
        bicubic, G = bicubic_downsample(S_x[k], 4), model.degradations[m].net(S_x[k], False)
        return (gaussian_blur(bicubic + share * (G - bicubic), 1.0) - gaussian_blur(x, 1.0)).abs().mean().item()

    terms = terms_of(model)
    assert terms['l_consistency_1'].item() == pytest.approx((misfit(0, 0) + misfit(0, 1)) / 2, rel=1e-5)
    assert terms['l_consistency_2'].item() == pytest.approx(misfit(1, 1), rel=1e-5)


@pytest.mark.parametrize('name', ['consistency', 'distance'])
def test_gradients_reach_the_branch_and_nothing_else(generators, name):
    model = apart(inside(build('stage2', generators, **NEW)))
    others = [p for G in model.degradations for p in G.parameters()] + list(model.net_g_ema.parameters())
    before = [p.detach().clone() for p in others]
    for k, (branch, other) in enumerate(zip(model.net_g.branches, reversed(model.net_g.branches), strict=True), 1):
        model.net_g.zero_grad()
        terms_of(model)[f'l_{name}_{k}'].backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in branch.parameters())
        assert max(p.grad.abs().max() for p in branch.parameters()) > 0
        assert not any(p.grad is not None and p.grad.any() for p in other.parameters())
    assert all(p.grad is None and torch.equal(p, value) for p, value in zip(others, before, strict=True))


@pytest.mark.parametrize('num_branch', [1, 2, 3])
def test_terms_begin_with_the_gate_by_themselves_and_together(generators, num_branch):
    def last(**train):
        torch.manual_seed(1)
        model = inside(build_model(stage2_options(num_branch, generators, collab_start_iter=1, **train)))
        _, before, log = train_steps(model, 3, data=batch(1))
        assert not {name for name in before if name.startswith(('l_adapt', 'l_consistency', 'l_distance'))}
        assert all(value > 0 for name, value in log.items() if name.startswith(('l_consistency', 'l_distance')))
        return {name for name in log if name[-1].isdigit() and not name.startswith(('l_sup', 'l_collab'))}

    def names(*terms):
        return {f'l_{term}_{k}' for term in terms for k in range(1, num_branch + 1)}

    assert last(**NEW, adapt_opt=None) == names('consistency', 'distance')
    assert last(consistency_opt=L1, adapt_opt=None) == names('consistency')
    assert last(**NEW) == names('adapt', 'consistency', 'distance')


def test_the_ramp_is_adaptation_s(generators):
    ramps = [{'total_iter': 10}, {'total_iter': 30}, {'adapt_ramp': 'constant'}]
    tenth, thirtieth, constant = (
        train_steps(inside(build('stage2', generators, collab_start_iter=2, **NEW, **ramp)), data=batch(1))[3]
        for ramp in ramps)
    for name in ('l_consistency_1', 'l_distance_2'):
        assert tenth[name] == pytest.approx(3 / 10 * constant[name])
        assert thirtieth[name] == pytest.approx(3 / 30 * constant[name])


@pytest.mark.parametrize('adapt', [L1, None])
def test_without_weight_the_step_is_the_published_one(generators, adapt):
    """To the bit, random numbers included: the new terms draw none. Without any term, momentum's step remains."""
    nothing = {'loss_weight': 0.0}
    weightless = {'consistency_opt': {**L1, **nothing}, 'distance_opt': {**DISTANCE, **nothing}}
    plain = {'adapt_opt': adapt or {**L1, **nothing}}
    ends = []
    for terms in ({**weightless, 'adapt_opt': adapt}, plain):
        model = inside(build('stage2', generators, ema_decay=0.9, **terms))
        train_steps(model, data=batch(1))
        ends.append((what_moves(model), torch.get_rng_state()))
    (one, drawn), (other, drawn_too) = ends
    assert torch.equal(drawn, drawn_too)
    for net in ('net_g', 'net_g_ema'):
        assert all(torch.equal(value, other[0][net][name]) for name, value in one[0][net].items())


def test_parts_of_a_batch_are_the_batch(generators):
    """Draws, real photos and averaged weights are cut alike."""
    found = []
    for parts in (1, 3):
        model = apart(inside(build('stage2', generators, accumulate=parts, adapt_ramp='constant', **NEW)), 0.2)
        kept = []
        model.steps.guard.passes = lambda losses, gradients, *_, kept=kept: kept.append(
            [p.grad.clone() for p, _ in gradients])
        torch.manual_seed(5)
        step(model, 3, batch(3))
        found.append((kept[1], model.get_current_log()))
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)
    for a, b in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-4 * max(g.abs().max().item() for g in found[0][0]))


def test_averaged_weights_are_needed(generators):
    with pytest.raises(UserError, match=r'train\.distance_opt needs train\.ema_decay above 0'):
        build('stage2', generators, distance_opt=DISTANCE)


def test_in_lower_precision_both_networks_round_alike(generators):
    """Averaged weights in float32 would be at a distance that is rounding."""
    options = stage2_options(degradations=generators, **NEW)
    options['performance']['amp'] = 'bf16'
    torch.manual_seed(1)
    model = inside(build_model(options))
    terms = terms_of(model)
    assert terms['l_distance_1'] == terms['l_distance_2'] == 0 < terms['l_consistency_1']
    terms['l_consistency_1'].backward()
    assert all(p.grad.isfinite().all() for p in model.net_g.branches[0].parameters())


# --- the loss of distances --------------------------------------------------------------------------------------------


@pytest.fixture(scope='module', params=[None, 'vgg'])
def distance(request, tmp_path_factory):
    """Builds the loss on patches, or on VGG16 with random weights."""
    weights = request.param and str(write_backbone(tmp_path_factory.mktemp('weights'), 'vgg'))
    return lambda **options: build_loss({**DISTANCE, 'net': request.param, 'weights': weights, **options})


def outputs(seed=1, n=2, side=24):
    """Of T on real and on drawn LR, away from 0 and 1, and a change."""
    generator = torch.Generator().manual_seed(seed)
    T_x, T_a, change = torch.rand(3, n, 3, side, side, generator=generator).unbind()
    return 0.25 + T_x / 2, 0.25 + T_a / 2, (change - 0.5) / 5


def test_a_network_that_is_its_average_is_at_no_distance(distance):
    T_x, T_a, change = outputs()
    loss, S_x = distance(), T_x.clone().requires_grad_()
    found = loss(S_x, T_x, T_a, T_a)
    found.backward()
    assert found == 0 and S_x.grad.isfinite().all()
    assert loss(T_x + change, T_x, T_a, T_a) > 1e-3 and loss(T_x, T_x, T_a + change, T_a) > 1e-3


def test_what_is_done_alike_to_real_and_drawn_photos_is_free():
    """What S added to both does not move it back, as a distance to T would."""
    T_x, T_a, _ = outputs()
    loss = build_loss(DISTANCE)
    assert loss(T_x + 0.1, T_x, T_a + 0.1, T_a) < 1e-4 < 0.1 < loss(T_x + 0.1, T_x, T_a, T_a)


def test_the_change_of_draws_need_not_be_at_the_same_places():
    """Gram matrices know statistics alone; intra distances are those of places."""
    T_x, T_a, change = outputs()
    moved = change.roll((8, -4), (-2, -1))  # whole patches
    inter = build_loss({**DISTANCE, 'inter_weight': 1e6})
    whole, other = (inter(T_x + change, T_x, T_a + delta, T_a).item() for delta in (moved, 2 * moved))
    intra = build_loss({**DISTANCE, 'inter_weight': 0.0})(T_x + change, T_x, T_a + moved, T_a).item()
    assert whole == pytest.approx(intra, abs=0.01) and other > 100 * whole


def test_a_step_makes_the_distances_alike(distance):
    T_x, T_a, change = outputs()
    loss, S_x = distance(), (T_x + change).requires_grad_()
    before = loss(S_x, T_x, T_a, T_a)
    before.backward()
    with torch.no_grad():
        assert loss(S_x - 0.01 * S_x.grad / S_x.grad.abs().max(), T_x, T_a, T_a) < before


def test_it_is_a_mean_over_photos(distance):
    T_x, T_a, change = outputs(n=3)
    change = change * torch.tensor([1.0, 0.3, 3.0]).view(3, 1, 1, 1)
    loss = distance(loss_weight=2.0)
    each = [loss(*(images[k:k + 1] for images in (T_x + change, T_x, T_a, T_a))).item() for k in range(3)]
    assert loss(T_x + change, T_x, T_a, T_a).item() == pytest.approx(sum(each) / 3, rel=1e-5)
    assert distance()(T_x + change, T_x, T_a, T_a).item() == pytest.approx(sum(each) / 6, rel=1e-5)


def test_small_crops_and_unknown_networks_are_refused(distance):
    T_x, T_a, _ = outputs(side=3)
    with pytest.raises(UserError, match=r'PairwiseDistanceLoss needs HR crops of [48] pixels'):
        distance()(T_x, T_x, T_a, T_a)
    for wrong, said in (({'net': 'alex'}, 'net'), ({'patch': 0}, 'patch')):
        with pytest.raises(UserError, match=f'PairwiseDistanceLoss.*{said}'):
            build_loss({**DISTANCE, **wrong})
