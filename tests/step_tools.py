"""Single steps of tiny models of both stages, on batches of noise."""

import copy

import torch
from basicsr.models import build_model

import mssr_arch
import mssr_loss  # noqa: F401  (each import registers its classes)
import mssr_model  # noqa: F401
from model_options import TINY_DERESNET, stage1_options, stage2_options


def write_generators(root):
    """Options of two generators with their weights under ``root``."""
    for k in range(2):
        net = mssr_arch.DeResnet(num_feat=8, num_block=1)
        for noise in net.noises:
            torch.nn.init.constant_(noise.w, 0.5)
        torch.save({'params': net.state_dict()}, root / f'{k}.pth')
    return [{**TINY_DERESNET, 'checkpoint': str(root / f'{k}.pth')} for k in range(2)]


def build(stage, generators, **train_options):
    torch.manual_seed(1)
    if stage == 'stage1':
        model = build_model(stage1_options(**train_options))
        for noise in model.net_g.noises:
            torch.nn.init.constant_(noise.w, 0.5)
        return model
    return build_model(stage2_options(degradations=generators, **{'collab_start_iter': 0, **train_options}))


def batch(number, n=4):
    generator = torch.Generator().manual_seed(number)
    paths = {f'{role}_path': [f'{role}{number}-{i}.png' for i in range(n)] for role in ('gt', 'lq')}
    return {'gt': torch.rand(n, 3, 32, 32, generator=generator), 'lq': torch.rand(n, 3, 8, 8, generator=generator),
            **paths}


def step(model, iteration, data):
    model.update_learning_rate(iteration)
    model.feed_data(data)
    model.optimize_parameters(iteration)


def train_steps(model, steps=4, *, data):
    """Train for some steps on one batch; the log of each."""
    logs = []
    torch.manual_seed(0)
    for iteration in range(1, steps + 1):
        step(model, iteration, data)
        logs.append(model.get_current_log())
    return logs


def what_moves(model):
    nets = {name: net for name, net in vars(model).items() if name in ('net_g', 'net_d', 'net_g_ema') and net}
    return copy.deepcopy([{name: net.state_dict() for name, net in nets.items()},
                          [optimizer.state_dict()['state'] for optimizer in model.optimizers]])
