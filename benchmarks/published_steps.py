"""The published training steps, written from the paper and docs/paper_to_code.md: what the product is timed against.

Separate forward passes, float32, contiguous tensors, torch's default Adam, one per network (in stage 2 four Adam steps
an iteration), and discriminator gradients that the generator's step computes and throws away. The networks are the
product's own modules, which are golden-tested; where a published layer does more work (PyTorch's PReLU, noise and
residuals in passes of their own, HAN's repeated concatenation), it is written out here. The bicubic LR is given, since
the published data loader makes it.
"""

import copy

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, l1_loss

from mssr_arch.degradation_base import NoiseInjection
from mssr_arch.deresnet_arch import PReLU, ResidualBlock
from mssr_arch.frequency_filters import build_filter
from mssr_arch.han_arch import (
    RCAB,
    ChannelAttention,
    ChannelSpatialAttention,
    DegradationHAN,
    LayerAttention,
    ResidualGroup,
)


def adam(parameters, lr):
    return torch.optim.Adam(parameters, lr, betas=(0.5, 0.999))


class PlainResidualBlock(ResidualBlock):
    def forward(self, h):
        return h + self.conv2(self.prelu(self.conv1(h)))


class PlainNoiseInjection(NoiseInjection):
    def forward(self, h, n):
        return h + self.w * (self.std * n)


class PlainRCAB(RCAB):
    def forward(self, h):
        r = self.body[:3](h)
        return h + r * self.body[3](r)


class PlainChannelAttention(ChannelAttention):
    def forward(self, h):
        return self.conv_du(adaptive_avg_pool2d(h, 1))


class PlainResidualGroup(ResidualGroup):
    def forward(self, h):
        return h + self.body(h)


class PlainLayerAttention(LayerAttention):
    def forward(self, layers):
        values = layers.flatten(2)
        energy = values @ values.mT
        attention = (energy.amax(-1, keepdim=True) - energy).softmax(-1)
        return (self.gamma * (attention @ values).view_as(layers) + layers).flatten(1, 2)


class PlainChannelSpatialAttention(ChannelSpatialAttention):
    def forward(self, h):
        return h * self.conv(h.unsqueeze(1)).sigmoid().squeeze(1)


class ConcatenatingHAN(DegradationHAN):
    """After each body member all outputs so far are copied once more."""

    def degrade(self, y, z):
        first = h = self.head(y)
        outputs = None
        for k, member in enumerate(self.body):
            h = self.inject(k, member(h), z)
            newest = h.unsqueeze(1)
            outputs = newest if outputs is None else torch.cat((newest, outputs), dim=1)
        across = self.last_conv(self.la(outputs))
        within = self.csa(self.inject(len(self.body), h, z))
        return self.tail(self.last(torch.cat((within, across), dim=1)) + first)


PUBLISHED = {PReLU: nn.PReLU, ResidualBlock: PlainResidualBlock, NoiseInjection: PlainNoiseInjection,
             RCAB: PlainRCAB, ChannelAttention: PlainChannelAttention, ResidualGroup: PlainResidualGroup,
             LayerAttention: PlainLayerAttention, ChannelSpatialAttention: PlainChannelSpatialAttention,
             DegradationHAN: ConcatenatingHAN}


def as_published(net):
    """A copy of ``net`` with contiguous weights and the published layers."""
    net = copy.deepcopy(net)
    for module in net.modules():
        module.__class__ = PUBLISHED.get(type(module), type(module))
    for p in net.parameters():
        p.data = p.data.contiguous()
    return net


class PublishedStage1:
    """Takes copies of the networks, so that both sides start from the same weights.

    A step returns the weighted losses by the product's names, as tensors.
    """

    def __init__(self, net_g, net_d, lr=1e-4, noise_lr=1e-4):
        self.net_g, self.net_d = as_published(net_g), as_published(net_d)
        self.low = build_filter('wavelet').low
        noise = list(self.net_g.noise_parameters())
        others = [p for p in self.net_g.parameters() if all(p is not w for w in noise)]
        self.adam_g = adam([{'params': noise, 'lr': noise_lr}, {'params': others}], lr)
        self.adam_d = adam(self.net_d.parameters(), lr)

    def step(self, y, x, y_down):
        x_fake = self.net_g(y)
        d_real, d_fake = self.net_d(x).sigmoid(), self.net_d(x_fake.detach()).sigmoid()
        self.adam_d.zero_grad()
        l_d = -torch.log(d_real + 1e-8).mean() - torch.log(1 - d_fake + 1e-8).mean()
        l_d.backward()
        self.adam_d.step()

        texture = -torch.log(self.net_d(x_fake).sigmoid() + 1e-8).mean()
        self.adam_g.zero_grad()
        color = l1_loss(self.low(x_fake), self.low(y_down))
        (color + 0.005 * texture).backward()
        self.adam_g.step()
        return {'l_d': l_d.detach(), 'l_g_color': color.detach(), 'l_g_gan': 0.005 * texture.detach()}


class PublishedStage2:
    """Two generators, two SR networks, every batch through every network on its own; ``t`` counts from 0."""

    def __init__(self, generators, branches, lr=1e-5, total_iter=1_000_000):
        self.generators = [as_published(generator) for generator in generators]
        self.s1, self.s2 = as_published(branches[0]), as_published(branches[1])
        self.adam_1, self.adam_2 = adam(self.s1.parameters(), lr), adam(self.s2.parameters(), lr)
        self.total_iter = total_iter

    def step(self, y, x, t):
        with torch.no_grad():
            a, b = (generator(y) for generator in self.generators)
        s1_a, s1_b, s2_b = self.s1(a).clamp(0, 1), self.s1(b).clamp(0, 1), self.s2(b).clamp(0, 1)
        losses = {'l_sup_1': l1_loss(s1_a, y), 'l_collab_1': 0.01 * l1_loss(s1_b, s2_b.detach())}
        (losses['l_sup_1'] + losses['l_collab_1']).backward(retain_graph=True)
        self.adam_1.step()
        self.adam_1.zero_grad()

        s2_a = self.s2(a).clamp(0, 1)
        losses |= {'l_sup_2': l1_loss(s2_b, y), 'l_collab_2': 0.01 * l1_loss(s2_a, s1_a.detach())}
        (losses['l_sup_2'] + losses['l_collab_2']).backward()
        self.adam_2.step()
        self.adam_2.zero_grad()

        s1_x, s2_x = self.s1(x).clamp(0, 1), self.s2(x).clamp(0, 1)
        p = (0.5 * s1_x + 0.5 * s2_x).detach()
        for k, s_x, optimizer in ((1, s1_x, self.adam_1), (2, s2_x, self.adam_2)):
            losses[f'l_adapt_{k}'] = l1_loss(p, s_x) * t / self.total_iter
            losses[f'l_adapt_{k}'].backward()
            optimizer.step()
            optimizer.zero_grad()
        return {name: loss.detach() for name, loss in losses.items()}
