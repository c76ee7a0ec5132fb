"""Whole training steps of the published code, run through the product's own model classes.

Left out of the comparison after training: biases in front of an InstanceNorm. Their gradient is mathematically zero,
and Adam turns its rounding error into steps of the size of the learning rate; none of them is in a generator or SR
network, so no compared tensor is affected.
"""

import numpy as np
import pytest
import torch
from basicsr.models import build_model

import golden_tools
import mssr_arch
import mssr_loss  # noqa: F401
import mssr_model  # noqa: F401
from golden_tools import fill_weights, golden, image, network_options
from model_options import stage1_options, stage2_options

STAGE1 = [record['tag'] for record in golden()['stage1']]
STAGE2 = [record['tag'] for record in golden()['stage2']]
DERESNET = {'type': 'DeResnet', 'num_feat': 64, 'num_block': 8, 'scale': 4, 'noise_std': 0.1}


def generator_options(tag):
    if tag.startswith('han'):
        return {'type': 'DegradationHAN'}
    return {'type': 'DSGAN'} if tag.startswith('dsgan') else DERESNET


def assert_same_norms(net, expected, tolerance=1e-4):
    """The L2 norm of every tensor, relative to ``tolerance``; the sum, relative to the size of its summands."""
    state = net.state_dict()
    assert set(state) == set(expected)
    for name, (total, norm) in expected.items():
        value = state[name].double()
        assert value.norm().item() == pytest.approx(norm, rel=tolerance), name
        assert value.sum().item() == pytest.approx(total, abs=tolerance * value.abs().sum().item()), name


# The options that ship keep G pixel by pixel in memory. RaGAN and WGAN, which none of them uses, magnify rounding more.
CHANNELS_LAST = [tag for tag in STAGE1 if 'ragan' not in tag and 'wgan' not in tag]


def run_stage1(tag, channels_last=False, nudge=0.0):
    """The model that has run a record's iterations, on photos brighter by a factor of ``1 + nudge``, and its losses."""
    record = golden_tools.record('stage1', tag)
    options = stage1_options(
        optim_g={'type': 'Adam', 'lr': record['lr'], 'noise_lr': record['noise_lr'], 'betas': record['betas']},
        optim_d={'type': 'Adam', 'lr': record['lr'], 'betas': record['betas']},
        color_opt={
            'type': 'LowFrequencyLoss',
            'filter': golden_tools.FILTERS[record['filter']],
            'loss_weight': record['w_col'],
        },
        gan_opt={
            'type': 'GANLoss' if record['wgan'] else 'SigmoidGANLoss',
            'gan_type': 'wgan' if record['wgan'] else 'vanilla',
            'loss_weight': record['w_tex'],
        },
        relativistic=record['ragan'],
        gp_opt={'type': 'GradientPenalty', 'loss_weight': 10.0} if record['wgan'] else None,
    )
    options['performance'] = {'channels_last': channels_last}
    options['network_g'] = generator_options(tag)
    options['network_d'] = network_options(record)
    model = build_model(options)
    fill_weights(model.net_g)
    fill_weights(model.net_d)

    torch.manual_seed(record['torch_seed'])
    logs = []
    for i in range(len(record['log'])):
        size, n = record['crop'], record['batch']
        model.feed_data({
            'gt': image(record['hr_seeds'][i], (n, 3, size, size)) * (1 + nudge),
            'lq': image(record['lr_seeds'][i], (n, 3, size // 4, size // 4)) * (1 + nudge),
        })
        model.update_learning_rate(i + 1)
        model.optimize_parameters(i + 1)
        logs.append(model.get_current_log())
    return model, logs


def rounding(tag, logs):
    """How far D's loss strays, up to each iteration, with other convolution kernels, and on photos a rounding away.

    Adam's first steps go by the sign of a gradient, also of one that is zero but for rounding, in which CPUs differ.
    """
    with torch.backends.mkldnn.flags(enabled=False):
        others = [run_stage1(tag)[1]]
    others.append(run_stage1(tag, nudge=2**-22)[1])
    strayed = [max(abs(other[i]['l_d'] / losses['l_d'] - 1) for other in others) for i, losses in enumerate(logs)]
    return np.maximum.accumulate(strayed)


@pytest.mark.parametrize('tag, channels_last', [*((t, False) for t in STAGE1), *((t, True) for t in CHANNELS_LAST)])
def test_stage1_steps(tag, channels_last):
    record = golden_tools.record('stage1', tag)
    model, logs = run_stage1(tag, channels_last)
    strayed = [0] * len(logs) if tag in CHANNELS_LAST else rounding(tag, logs)
    assert max(strayed) < 1e-3
    for i, (log, losses) in enumerate(zip(record['log'], logs, strict=True)):
        tolerance = max(1e-4 if tag.startswith('han') else 1e-5, 4 * strayed[i])
        assert losses['l_d'] == pytest.approx(log['d_loss'], rel=tolerance)
        assert losses['l_g_color'] == pytest.approx(record['w_col'] * log['color'], rel=tolerance)
        # The texture term may differ by twice that: where D saturates (RaGAN's record), the order in which its
        # gradients are summed shows in the sixth digit. The generator's whole loss is held to the tolerance.
        if not record['wgan']:
            assert losses['l_g_color'] + losses['l_g_gan'] == pytest.approx(log['g_loss'], rel=tolerance)
        # The Wasserstein loss does not fix the level of D's scores: the gradients of D's last biases are sums that
        # cancel, exactly or but for rounding, and Adam turns that rounding into steps of the learning rate. The level
        # thus depends on the number of threads; real against fake, which the loss has, does not.
        level = {'abs': 3 * record['lr'] * (i + 1)} if record['wgan'] else {'rel': 2 * tolerance, 'abs': tolerance}
        assert losses['l_g_gan'] / record['w_tex'] == pytest.approx(log['texture'], **level)
        assert losses['out_d_real'] == pytest.approx(log['real_score'], **level)
        assert losses['out_d_fake'] == pytest.approx(log['fake_score'], **level)
    if record['generator_after'] is not None:
        assert_same_norms(model.net_g, record['generator_after'])


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('tag', STAGE2)
def test_stage2_steps(tag, channels_last, tmp_path):
    record = golden_tools.record('stage2', tag)
    degradations = []
    for k, prefix in enumerate(record['prefix']):
        checkpoint = tmp_path / f'{k}.pth'
        net = fill_weights(mssr_arch.deresnet_arch.DeResnet(), f'{prefix}.')
        torch.save({'params': net.state_dict()}, checkpoint)
        degradations.append({**DERESNET, 'checkpoint': str(checkpoint)})
    loss = {'type': {'l1': 'L1Loss', 'mse': 'MSELoss'}[record['sup_loss']]}
    options = stage2_options(
        degradations=degradations,
        optim_g={'type': 'Adam', 'lr': record['base_lr'], 'betas': record['betas']},
        scheduler={'type': 'MultiStepLR', 'milestones': [record['decay_step']], 'gamma': 0.5},
        total_iter=record['iterations'],
        pixel_opt={**loss, 'loss_weight': record['sup_weight']},
        collab_opt={**loss, 'loss_weight': record['col_weight']},
        feature_opt={**loss, 'loss_weight': record['feat_weight']} if record['feat_weight'] else None,
        adapt_opt=loss,
        collab_start_iter=record['col_start_iter'],
    )
    options['performance'] = {'channels_last': channels_last}
    model = build_model(options)
    for prefix, branch in zip(record['prefix'], model.net_g.branches, strict=True):
        fill_weights(branch, f'{prefix}.')

    torch.manual_seed(record['torch_seed'])
    for i, log in enumerate(record['log']):
        model.feed_data({
            'gt': image(record['hr_seeds'][i], record['hr_shape']),
            'lq': image(record['lr_seeds'][i], record['lr_shape']),
        })
        model.update_learning_rate(i + 1)
        assert model.get_current_learning_rate() == [pytest.approx(log['lr'])]
        model.optimize_parameters(i + 1)
        losses = model.get_current_log()
        for k in ('1', '2'):
            assert losses[f'l_sup_{k}'] == pytest.approx(record['sup_weight'] * log[f'sup_{k}'], rel=1e-5)
            assert losses[f'l_collab_{k}'] == pytest.approx(record['col_weight'] * log[f'col_{k}'], rel=1e-5)
            assert losses.get(f'l_adapt_{k}', 0.0) == pytest.approx(log[f'adapt_{k}'], rel=1e-5)
    for key, branch in zip(('net_1_after', 'net_2_after'), model.net_g.branches, strict=True):
        assert_same_norms(branch, record[key])

    model.feed_data({'lq': image(record['eval_seed'], record['eval_shape'])})
    model.test()
    assert golden_tools.relative_error(model.output, golden_tools.array(f'stage2/{tag}/ensemble')) < 1e-5
