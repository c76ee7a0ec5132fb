"""Learned degradations inside BasicSR's own trainings: LR photos are drawn from stage-1 generators on the fly."""

import torch
from basicsr.models.esrgan_model import ESRGANModel
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

from mssr_degradation.learned_degradation import LearnedDegradation, frozen_generators
from mssr_degradation.real_photos import build_coding
from mssr_model.base import TrainingBase


class DrawingBase(TrainingBase):
    """Put first among the bases of any model of BasicSR that trains on ``lq`` and ``gt``.

    In training, ``lq`` of a batch is replaced by draws from the frozen generators that ``degradations:`` lists, each
    photo by one of them, chosen at random; the data set needs to give ``gt`` alone (``CleanImageDataset``).
    Validation takes ``lq`` as it comes. ``train.lq_strength``, ``lq_noise``, ``lq_jpeg`` (lowest and highest quality)
    and ``lq_round`` (default true) say what becomes of a draw: see :class:`mssr_degradation.LearnedDegradation`.
    """

    def init_training_settings(self):
        train_opt, scale = self.opt['train'], self.opt['scale']
        jpeg = build_coding(train_opt.get('lq_jpeg'), {}, self.device)
        self.degradations = [
            LearnedDegradation(self.acceleration.prepare(net), scale, train_opt.get('lq_strength'),
                               train_opt.get('lq_noise'), jpeg, train_opt.get('lq_round', True))
            for net in frozen_generators(self.opt)]
        super().init_training_settings()

    @torch.no_grad()
    def draw_lq(self, y: Tensor) -> Tensor:
        """HR photos (N, 3, H, W) to LR photos (N, 3, H/s, W/s), RGB in [0, 1], each by a generator drawn for it."""
        scale = self.opt['scale']
        chosen = torch.randint(len(self.degradations), (len(y),))
        x = y.new_empty(len(y), y.shape[1], y.shape[2] // scale, y.shape[3] // scale)
        for k, degradation in enumerate(self.degradations):
            members = (chosen == k).nonzero().flatten().to(y.device)
            if len(members):
                x[members] = degradation.draw(y[members])
        return self.degradations[0].as_file(x)  # the same for all

    def feed_data(self, data):
        if not self.is_train or self.validator.is_running:
            super().feed_data(data)
            return
        # BasicSR reads lq, so that something has to stand there.
        super().feed_data({**data, 'lq': data['gt']})
        self.lq = self.draw_lq(self.gt)


@MODEL_REGISTRY.register()
class LearnedDegradationSRModel(DrawingBase, SRModel):
    """Trains any SR network, as RealESRNet is trained, on LR photos drawn from ``degradations``.

    Options are those of ``SRModel`` (``train.pixel_opt``, ``train.perceptual_opt``, ``train.ema_decay``) and of
    :class:`DrawingBase`.
    """

    def setup_optimizers(self):
        self.optimizer_g = self.build_optimizer('optim_g', self.net_g.parameters())

    def optimize_parameters(self, current_iter):
        with self.steps.iteration(current_iter):
            self.steps.descend(self.optimizer_g, self.losses_of, self.lq, self.gt)
            self.update_ema()

    def losses_of(self, x, y):
        """``cri(S(x), y)``, summed over pixel, perceptual and style loss."""
        losses, output = {}, self.net_g(x)
        if self.cri_pix:
            losses['l_pix'] = self.cri_pix(output, y)
        if self.cri_perceptual:
            names = ('l_percep', 'l_style')
            terms = self.cri_perceptual(output, y)
            terms = terms if isinstance(terms, tuple) else (terms,)
            losses.update({name: term for name, term in zip(names, terms, strict=False) if term is not None})
        return sum(losses.values()), losses


@MODEL_REGISTRY.register()
class LearnedDegradationESRGANModel(DrawingBase, ESRGANModel):
    """Trains ESRGAN, as Real-ESRGAN is trained, on LR photos drawn from ``degradations``; the step is BasicSR's.

    It refuses no step (``train.on_nan``), takes a batch whole (``train.accumulate``), and has no ``amp: fp16``.
    """

    def setup_optimizers(self):
        super().setup_optimizers()
        for optimizer in self.optimizers:
            optimizer.register_step_pre_hook(self.steps.before_step)

    def optimize_parameters(self, current_iter):
        with self.steps.iteration(current_iter):
            super().optimize_parameters(current_iter)

    def get_current_log(self):
        return {**self.log_dict, **super().get_current_log()}
