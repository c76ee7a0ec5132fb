"""Runs of the product's networks and model classes on the golden data, on a CPU or a GPU.

The recorded noise came from the CPU's generator: on a GPU, too, it is drawn there.
"""

from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from basicsr.archs import build_network
from basicsr.models import build_model

import golden_tools
import mssr_arch
import mssr_loss  # noqa: F401  (each import registers its classes)
import mssr_model  # noqa: F401
from golden_tools import fill_weights, golden, image, network_options
from model_options import stage1_options, stage2_options
from mssr_arch.degradation_base import DegradationNetwork

FORWARD = {item['tag']: item for item in golden()['forward']}
STAGE1 = [record['tag'] for record in golden()['stage1']]
STAGE2 = [record['tag'] for record in golden()['stage2']]
DERESNET = {'type': 'DeResnet', 'num_feat': 64, 'num_block': 8, 'scale': 4, 'noise_std': 0.1}
# The options that ship keep G pixel by pixel in memory. RaGAN and WGAN, which none of them uses, magnify rounding more.
CHANNELS_LAST = [tag for tag in STAGE1 if 'ragan' not in tag and 'wgan' not in tag]


@contextmanager
def noise_of_the_cpu():
    """In the block generators draw their noise on the CPU, wherever they are."""
    draw = DegradationNetwork.draw_noise

    def drawn(self, y, generator=None):
        return [n.to(y.device) for n in draw(self, torch.empty(y.shape), generator)]

    with patch.object(DegradationNetwork, 'draw_noise', drawn):
        yield


@torch.no_grad()
def run_forward(tag, device='cpu'):
    """A record's network, its float32 output, and, of a discriminator, in float64; on the CPU.

    The published discriminators returned probabilities, and so does this.
    """
    item = FORWARD[tag]
    network = fill_weights(build_network(network_options(item))).eval().to(device)  # noise stays active in evaluation
    x = image(item['input_seed'], item['input_shape']).to(device)
    torch.manual_seed(item['torch_seed'])
    with noise_of_the_cpu():
        output = network(x)
    if item['arch'] != 'Discriminator':
        return network, output.cpu(), None
    return network, output.double().sigmoid().cpu(), network.double()(x.double()).sigmoid().cpu()


def forward_tolerance(tag):
    """What a generator's output may differ by."""
    return 1e-4 if FORWARD[tag]['arch'] == 'HAN' else 1e-5


def generator_options(tag):
    """Stage 1's generator, as options for ``build_network``."""
    if tag.startswith('han'):
        return {'type': 'DegradationHAN'}
    return {'type': 'DSGAN'} if tag.startswith('dsgan') else DERESNET


def run_stage1(tag, channels_last=False, nudge=0.0, device='cpu'):
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
    options.update(performance={'channels_last': channels_last}, num_gpu=int(device != 'cpu'))
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
        with noise_of_the_cpu():
            model.optimize_parameters(i + 1)
        logs.append(model.get_current_log())
    return model, logs


def rounding(tag, logs, device='cpu'):
    """How far D's loss strays, up to each iteration, with other convolution kernels, and on photos a rounding away.

    Adam's first steps go by the sign of a gradient, also of one that is zero but for rounding, in which CPUs differ.
    """
    library = torch.backends.mkldnn if device == 'cpu' else torch.backends.cudnn
    with library.flags(enabled=False):
        others = [run_stage1(tag, device=device)[1]]
    others.append(run_stage1(tag, nudge=2**-22, device=device)[1])
    strayed = [max(abs(other[i]['l_d'] / losses['l_d'] - 1) for other in others) for i, losses in enumerate(logs)]
    return np.maximum.accumulate(strayed)


def stage1_tolerance(tag):
    """What losses may differ by where nothing magnifies rounding."""
    return 1e-4 if tag.startswith('han') else 1e-5


def run_stage2(tag, folder: Path, channels_last=False, device='cpu'):
    """The model that has run a record's iterations, and for each its learning rates and losses.

    ``folder`` takes the generators' weights.
    """
    record = golden_tools.record('stage2', tag)
    degradations = []
    for k, prefix in enumerate(record['prefix']):
        checkpoint = folder / f'{k}.pth'
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
    options.update(performance={'channels_last': channels_last}, num_gpu=int(device != 'cpu'))
    model = build_model(options)
    for prefix, branch in zip(record['prefix'], model.net_g.branches, strict=True):
        fill_weights(branch, f'{prefix}.')

    torch.manual_seed(record['torch_seed'])
    logs = []
    for i in range(len(record['log'])):
        model.feed_data({
            'gt': image(record['hr_seeds'][i], record['hr_shape']),
            'lq': image(record['lr_seeds'][i], record['lr_shape']),
        })
        model.update_learning_rate(i + 1)
        rates = model.get_current_learning_rate()
        with noise_of_the_cpu():
            model.optimize_parameters(i + 1)
        logs.append((rates, model.get_current_log()))
    return model, logs


def restored(model, record):
    """A trained stage 2 model's output for the record's photo, on the CPU."""
    model.feed_data({'lq': image(record['eval_seed'], record['eval_shape'])})
    model.test()
    return model.output.cpu()
