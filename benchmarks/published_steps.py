"""The published training steps, written from the paper and docs/paper_to_code.md: what the product is timed against.

Separate forward passes, float32, contiguous tensors, torch's default Adam, one per network (in stage 2 four Adam steps
an iteration), and discriminator gradients that the generator's step computes and throws away. The networks are the
product's own modules, which are golden-tested; where the published layer does more work (HAN's repeated
concatenation), it is written out here. The bicubic LR is given, since the published data loader makes it.
"""

import copy

import torch
from torch.nn.functional import l1_loss

from mssr_arch.frequency_filters import build_filter


def adam(parameters, lr):
    return torch.optim.Adam(parameters, lr, betas=(0.5, 0.999))


def concatenate_repeatedly(han):
    """HAN as published: after each body member all outputs so far are copied once more."""

    def degrade(y, z):
        first = h = han.head(y)
        outputs = None
        for k, member in enumerate(han.body):
            h = han.inject(k, member(h), z)
            newest = h.unsqueeze(1)
            outputs = newest if outputs is None else torch.cat((newest, outputs), dim=1)
        across = han.last_conv(han.la(outputs))
        within = han.csa(han.inject(len(han.body), h, z))
        return han.tail(han.last(torch.cat((within, across), dim=1)) + first)

    han.degrade = degrade
    return han


class PublishedStage1:
    """Takes copies of the networks, so that both sides start from the same weights."""

    def __init__(self, net_g, net_d, lr=1e-4):
        self.net_g, self.net_d = copy.deepcopy(net_g), copy.deepcopy(net_d)
        if hasattr(self.net_g, 'la'):
            concatenate_repeatedly(self.net_g)
        self.low = build_filter('wavelet').low
        noise = list(self.net_g.noise_parameters())
        others = [p for p in self.net_g.parameters() if all(p is not w for w in noise)]
        self.adam_g = adam([{'params': noise}, {'params': others}], lr)
        self.adam_d = adam(self.net_d.parameters(), lr)

    def step(self, y, x, y_down):
        x_fake = self.net_g(y)
        d_real, d_fake = self.net_d(x).sigmoid(), self.net_d(x_fake.detach()).sigmoid()
        self.adam_d.zero_grad()
        (-torch.log(d_real + 1e-8).mean() - torch.log(1 - d_fake + 1e-8).mean()).backward()
        self.adam_d.step()

        texture = -torch.log(self.net_d(x_fake).sigmoid() + 1e-8).mean()
        self.adam_g.zero_grad()
        (l1_loss(self.low(x_fake), self.low(y_down)) + 0.005 * texture).backward()
        self.adam_g.step()


class PublishedStage2:
    """Two generators, two SR networks, every batch through every network on its own."""

    def __init__(self, generators, branches, lr=1e-5, total_iter=1_000_000):
        self.generators = copy.deepcopy(list(generators))
        self.s1, self.s2 = copy.deepcopy(branches[0]), copy.deepcopy(branches[1])
        self.adam_1, self.adam_2 = adam(self.s1.parameters(), lr), adam(self.s2.parameters(), lr)
        self.total_iter = total_iter

    def step(self, y, x, t):
        with torch.no_grad():
            a, b = (generator(y) for generator in self.generators)
        s1_a, s1_b, s2_b = self.s1(a).clamp(0, 1), self.s1(b).clamp(0, 1), self.s2(b).clamp(0, 1)
        (l1_loss(s1_a, y) + 0.01 * l1_loss(s1_b, s2_b.detach())).backward(retain_graph=True)
        self.adam_1.step()
        self.adam_1.zero_grad()

        s2_a = self.s2(a).clamp(0, 1)
        (l1_loss(s2_b, y) + 0.01 * l1_loss(s2_a, s1_a.detach())).backward()
        self.adam_2.step()
        self.adam_2.zero_grad()

        s1_x, s2_x = self.s1(x).clamp(0, 1), self.s2(x).clamp(0, 1)
        p = (0.5 * s1_x + 0.5 * s2_x).detach()
        for s_x, optimizer in ((s1_x, self.adam_1), (s2_x, self.adam_2)):
            (l1_loss(p, s_x) * t / self.total_iter).backward()
            optimizer.step()
            optimizer.zero_grad()
