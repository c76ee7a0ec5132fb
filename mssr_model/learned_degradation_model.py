"""Learned degradations inside BasicSR's own trainings: LR photos are drawn from stage-1 generators on the fly."""

import torch
from basicsr.models.esrgan_model import ESRGANModel
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

from mssr_degradation.learned_degradation import LearnedDegradation, frozen_generators
from mssr_degradation.real_photos import build_coding
from mssr_model.base import TrainingBase
from mssr_model.perception import PerceptionBase


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
class LearnedDegradationSRModel(DrawingBase, PerceptionBase, SRModel):
    """Trains any SR network, as RealESRNet or Real-ESRGAN is trained, on LR photos drawn from ``degradations``.

    Options are those of ``SRModel`` (``train.pixel_opt``, ``train.ema_decay``), of :class:`DrawingBase`, and of
    :class:`mssr_model.perception.PerceptionBase`.
    """

    def optimize_parameters(self, current_iter):
        with self.steps.iteration(current_iter):
            S = self.steps.once(self.net_g)

            # L_D: tell clean photos from restored ones.
            def L_D(x, y):
                return self.loss_of_d([S(x)], y)

            # L: restore what was clean, and what the perceptual losses and D take for clean.
            def L(x, y):
                losses = {'l_pix': self.cri_pix(S(x), y)} if self.cri_pix else {}
                losses |= self.perceived(S(x), y)
                return sum(losses.values()), losses

            if self.cri_gan:
                self.steps.descend(self.optimizer_d, L_D, self.lq, self.gt)
            if self.restorer_learns(current_iter):
                self.steps.descend(self.optimizer_g, L, self.lq, self.wanted(self.gt))
                self.update_ema()


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
