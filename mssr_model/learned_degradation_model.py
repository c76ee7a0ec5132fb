"""Learned degradations inside BasicSR's own trainings: LR photos are drawn from stage-1 generators on the fly."""

import torch
from basicsr.models.esrgan_model import ESRGANModel
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

from mssr_compat.checkpoint import load_into, read_weights
from mssr_compat.errors import UserError
from mssr_compat.provenance import note_start
from mssr_degradation.file_coding import build_coding
from mssr_degradation.frozen_degradation import build_frozen
from mssr_degradation.strength import draw_lq
from mssr_model.training_mixin import TrainingMixin


class LearnedDegradation:
    """Put first among the bases of any model of BasicSR that trains on ``lq`` and ``gt``.

    In training, ``lq`` of a batch is replaced by draws from the frozen generators that ``degradations:`` lists, each
    photo by one of them, chosen at random; the data set needs to give ``gt`` alone (``CleanImageDataset``).
    Validation takes ``lq`` as it comes. ``train.lq_round`` (default true) clamps the draws and rounds them to 8 bits,
    as files are; ``train.lq_jpeg`` (lowest and highest quality) sends them through JPEG first; before that,
    ``train.lq_strength`` and ``lq_noise`` move them towards the bicubic LR (:mod:`mssr_degradation.strength`).
    """

    is_validating = False

    def init_training_settings(self):
        options = self.opt.get('degradations')
        if not options:
            raise UserError('degradations is missing: a list of generators that stage 1 trained, each with checkpoint.')
        self.degradations = [self.build_degradation(k, g) for k, g in enumerate(options)]
        self.lq_round = self.opt['train'].get('lq_round', True)
        self.shares = self.opt['train'].get('lq_strength'), self.opt['train'].get('lq_noise')
        self.coding = build_coding(self.opt['train'].get('lq_jpeg'), {}, self.device)
        super().init_training_settings()

    def build_degradation(self, k, options):
        """Generator ``k`` with the weights of its ``checkpoint:``."""
        def load(net, path, key):
            load_into(net, read_weights(path, key, param_key='params_ema'), path, key)
            note_start(self.opt, path)

        net = build_frozen(k, options, load)
        if self.opt['scale'] % net.scale:
            raise UserError(f'degradations[{k}] degrades by {net.scale}, which does not divide scale '
                            f'{self.opt["scale"]}.')
        prepare = getattr(self, 'accelerate', lambda net: net.to(self.device))
        return prepare(net)

    @torch.no_grad()
    def draw_lq(self, y: Tensor) -> Tensor:
        """HR photos (N, 3, H, W) to LR photos (N, 3, H/s, W/s), RGB in [0, 1], each by a generator drawn for it."""
        scale = self.opt['scale']
        chosen = torch.randint(len(self.degradations), (len(y),))
        x = y.new_empty(len(y), y.shape[1], y.shape[2] // scale, y.shape[3] // scale)
        for k, G in enumerate(self.degradations):
            members = (chosen == k).nonzero().flatten().to(y.device)
            if len(members):
                x[members] = draw_lq(G, y[members], scale, *self.shares)
        if self.coding is not None:
            x = self.coding(x)
        return (x.clamp(0, 1) * 255).round() / 255 if self.lq_round else x

    def feed_data(self, data):
        if not self.is_train or self.is_validating:
            super().feed_data(data)
            return
        # BasicSR reads lq, so that something has to stand there.
        super().feed_data({**data, 'lq': data['gt']})
        self.lq = self.draw_lq(self.gt)

    def validation(self, *args, **kwargs):
        self.is_validating = True
        try:
            super().validation(*args, **kwargs)
        finally:
            self.is_validating = False


@MODEL_REGISTRY.register()
class LearnedDegradationSRModel(LearnedDegradation, TrainingMixin, SRModel):
    """Trains any SR network, as RealESRNet is trained, on LR photos drawn from ``degradations``.

    Options are those of ``SRModel`` (``train.pixel_opt``, ``train.perceptual_opt``, ``train.ema_decay``) and of
    :class:`LearnedDegradation`.
    """

    def setup_optimizers(self):
        self.optimizer_g = self.build_optimizer('optim_g', self.net_g.parameters())

    def optimize_parameters(self, current_iter):
        with self.iteration(current_iter):
            self.descend(self.optimizer_g, self.losses_of, self.lq, self.gt)
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
class LearnedDegradationESRGANModel(LearnedDegradation, ESRGANModel):
    """Trains ESRGAN, as Real-ESRGAN is trained, on LR photos drawn from ``degradations``; all else is BasicSR's."""
