"""Stage 1: learn a probabilistic degradation generator p(x | y) from unpaired photos (paper, section 3.1)."""

from collections import OrderedDict

import torch
from basicsr.losses import build_loss
from basicsr.models.srgan_model import SRGANModel
from basicsr.utils.registry import MODEL_REGISTRY

from mssr_arch.imresize import bicubic_downsample
from mssr_degradation import LearnedDegradation
from mssr_degradation.blending import mean_of_pair
from mssr_degradation.real_photos import build_coding
from mssr_model.base import TrainingBase
from mssr_model.stepping import batch_mean
from mssr_monitor.degradation_monitor import DegradationMonitor


@MODEL_REGISTRY.register()
class DegradationGANModel(TrainingBase, SRGANModel):
    """Trains ``network_g``, which turns clean HR photos into LR photos that ``network_d`` takes for real.

    A training batch holds ``gt``, clean HR crops (N, 3, H, W), and ``lq``, real LR crops (N, 3, H/s, W/s) of other
    photos, RGB in [0, 1]. A validation batch holds an HR photo and its aligned LR photo, which the generator's LR is
    measured against, or an HR photo alone.

    Options under ``train``: ``color_opt``, ``perceptual_opt``, ``gan_opt`` (a loss each), ``spectrum_opt`` (one that
    compares generated with real LR crops, of other scenes), ``relativistic`` (RaGAN for D), ``gp_opt`` (WGAN's
    penalty), ``disc_freq`` and ``gen_freq`` (step D or G every so many iterations), ``optim_g.noise_lr`` (rate of the
    noise weights), ``lq_jpeg`` (generated LR goes through JPEG as the real LR photos did: see
    :mod:`mssr_degradation.real_photos`), ``content_antithetic`` (colour and perceptual loss judge the mean of the draws
    for z and -z, in which noise cancels and all else stays, so that they do not punish noise).
    """

    monitor_class = DegradationMonitor

    def __init__(self, opt):
        self.jpeg = None  # what generated LR goes through; a test has none
        super().__init__(opt)

    def init_training_settings(self):
        train_opt = self.opt['train']
        train_set = (self.opt.get('datasets') or {}).get('train') or {}
        self.jpeg = build_coding(train_opt.get('lq_jpeg'), train_set, self.device)
        self.degradation = self.degradation_of(self.net_g)
        self.relativistic = train_opt.get('relativistic', False)
        self.disc_freq = train_opt.get('disc_freq', 1)
        self.gen_freq = train_opt.get('gen_freq', 1)
        self.content_antithetic = train_opt.get('content_antithetic', False)
        super().init_training_settings()
        self.cri_color = build_loss(train_opt['color_opt']).to(self.device) if train_opt.get('color_opt') else None
        spectrum_opt = train_opt.get('spectrum_opt')
        self.cri_spectrum = build_loss(spectrum_opt).to(self.device) if spectrum_opt else None
        self.cri_gp = build_loss(train_opt['gp_opt']).to(self.device) if train_opt.get('gp_opt') else None

    def setup_optimizers(self):
        """Adam for G, its noise weights at a rate of their own, and Adam for D."""
        noise = [p for name, p in self.net_g.named_parameters() if 'noises.' in name]
        others = [p for name, p in self.net_g.named_parameters() if 'noises.' not in name]
        groups = [{'params': others}]
        if noise:
            optim_g = self.opt['train']['optim_g']
            groups.append({'params': noise, 'lr': optim_g.get('noise_lr', optim_g['lr'])})
        self.optimizer_g = self.build_optimizer('optim_g', groups)
        self.optimizer_d = self.build_optimizer('optim_d', self.net_d.parameters())

    def optimize_parameters(self, current_iter):
        """One published step: D first, then G, judged by the updated D."""
        with self.steps.iteration(current_iter) as i:
            z = self.degradation.draw_noise(self.gt)
            G = self.steps.once(lambda y, z: self.degradation.degrade(y, list(z)))  # x_fake = G(y, z)

            # D: tell real high frequencies from generated ones.
            def L_D(y, x, *z):
                x_fake = self.degradation.as_file(G(y, z).detach())
                d_real, d_fake = self.net_d(x), self.net_d(x_fake)
                real, fake = self.relate(d_real, d_fake)
                l_d = self.cri_gan(real, True, is_disc=True) + self.cri_gan(fake, False, is_disc=True)
                losses = {}
                if self.cri_gp:
                    losses['l_d_gp'] = self.cri_gp(self.net_d, x, x_fake)
                    l_d = l_d + losses['l_d_gp']
                return l_d, {**losses, 'l_d': l_d, 'out_d_real': self.score(real)}

            # G: keep the colours of the HR photo, take the texture of the real LR photos.
            def L_G(y, x, *z):
                x_fake, y_down = G(y, z), bicubic_downsample(y, self.opt['scale'])
                content = x_fake
                if self.content_antithetic:
                    content = mean_of_pair(x_fake, lambda maps: self.degradation.degrade(y, maps), z,
                                           self.degradation.generator.opposite)
                losses = {}
                losses['l_g_color'] = self.cri_color(content, y_down) if self.cri_color else x_fake.new_zeros(())
                x_file = self.degradation.as_file(x_fake)  # colours are judged before, where gradients are whole
                judged = self.judge(x_file)
                losses['l_g_gan'] = self.cri_gan(judged, True, is_disc=False)
                if self.cri_spectrum:
                    losses['l_g_spectrum'] = self.cri_spectrum(x_file, x)
                if self.cri_perceptual:
                    losses['l_g_percep'] = self.cri_perceptual(content, y_down)
                return sum(losses.values()), {**losses, 'out_d_fake': self.score(judged)}

            if i % self.disc_freq == 0:
                self.steps.descend(self.optimizer_d, L_D, self.gt, self.lq, *z)
            if i % self.gen_freq == 0:
                self.steps.descend(self.optimizer_g, L_G, self.gt, self.lq, *z)
                self.update_ema()

    def relate(self, d_real, d_fake):
        """D's logits; for RaGAN each less the batch mean of the other side, position by position."""
        if not self.relativistic:
            return d_real, d_fake
        return d_real - batch_mean(d_fake), d_fake - batch_mean(d_real)

    def score(self, logits):
        """D's mean score for the log: a probability, or for the Wasserstein losses, which know none, the logit."""
        return (logits if self.cri_gan.gan_type.startswith('wgan') else logits.sigmoid()).mean()

    def degradation_of(self, net_g):
        """The degradation with a generator: that which is trained, or averaged weights."""
        return LearnedDegradation(net_g, self.opt['scale'], jpeg=self.jpeg)

    def description_of(self, net_label):
        """The qualities of the JPEG that the generator's LR is meant to go through."""
        return {'jpeg_qualities': self.jpeg.qualities} if self.jpeg and net_label == 'net_g' else {}

    def test(self):
        """Degrade the validation HR photo with one fresh draw."""
        degradation = self.degradation_of(self.shown_net()).eval()
        with torch.no_grad():
            self.output = degradation(self.gt)
        self.net_g.train()

    def feed_data(self, data):
        """As BasicSR's; a validation set of one folder (``SingleImageDataset``) holds HR photos without aligned LR."""
        super().feed_data(data)
        if 'gt' not in data:
            self.gt, self.lq = self.lq, None

    def get_current_visuals(self):
        """``result``: generated LR; ``gt``: the aligned real LR it is measured against. BasicSR's names, LR sizes."""
        visuals = OrderedDict(result=self.output.detach().cpu())
        if self.lq is not None:
            visuals['gt'] = self.lq.detach().cpu()
        return visuals
