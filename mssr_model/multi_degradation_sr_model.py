"""Stage 2: collaborative learning of one SR network per degradation generator (paper, section 3.2)."""

import torch
from basicsr.losses import build_loss
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY

from mssr_compat.checkpoint import read_weights
from mssr_degradation.frozen_degradation import build_frozen
from mssr_degradation.noise_match import matched_shares, read_hr, read_real
from mssr_degradation.strength import draw_lq
from mssr_model.training_mixin import TrainingMixin
from mssr_monitor.branch_monitor import BranchMonitor


@MODEL_REGISTRY.register()
class MultiDegradationSRModel(BranchMonitor, TrainingMixin, SRModel):
    """Trains ``network_g``, an ``SREnsemble`` of K branches, on LR photos drawn from frozen ``degradations``.

    A training batch holds ``gt``, clean HR crops y (N, 3, H, W), and ``lq``, real LR crops x (N, 3, H/s, W/s) of other
    photos, RGB in [0, 1]. With as many generators as branches, branch k learns from generator k. With more, branch k
    also learns from generators k + K, k + 2K, ...; with fewer, generators serve several branches. With two of each the
    step is the published one.

    Options under ``train``: ``pixel_opt`` (supervised), ``collab_opt``, ``adapt_opt`` and ``feature_opt`` (a loss each;
    without one the term is off), ``collab_start_iter``, ``adapt_ramp`` (``linear``: t / T, or ``constant``),
    ``lq_jpeg`` (generated LR goes through JPEG as the real LR photos did: see :mod:`mssr_degradation.file_coding`),
    ``lq_strength``, ``lq_noise`` (generated LR between bicubic LR and what the generator makes: see
    :mod:`mssr_degradation.strength`; ``lq_noise: auto``: as noisy as real LR, see :mod:`mssr_degradation.noise_match`),
    ``lq_round`` (generated LR clamped and rounded to 8 bits), ``lq_refresh`` (draw anew every so many iterations).
    """

    shown_branch = None  # the branch that validation shows; None: the ensemble

    def __init__(self, opt):
        super().__init__(opt)
        if not self.is_train:
            self.load_branches()
        else:
            frozen = [self.build_degradation(k, g) for k, g in enumerate(opt['degradations'])]
            self.noise_shares = self.shares_of_noise(frozen)
            self.degradations = [self.accelerate(G) for G in frozen]

    def build_degradation(self, k, options):
        """A frozen generator, with the weights of its ``checkpoint:``, averaged ones where stage 1 kept such."""
        return build_frozen(k, options, lambda net, path, key: self.load_network(
            net, path, param_key='params_ema', key=key)).to(self.device)

    def shares_of_noise(self, generators):
        """For each generator the shares of its noise, as :func:`mssr_degradation.strength.draw_lq` takes them."""
        wanted, scale = self.opt['train'].get('lq_noise'), self.opt['scale']
        if wanted != 'auto':
            return [wanted] * len(generators)
        train_set = self.opt['datasets']['train']
        hr, real = read_hr(train_set, scale), read_real(train_set)
        return [matched_shares(G, hr, real, scale, self.lq_strength, self.coding) for G in generators]

    def load_network(self, net, load_path, strict=True, param_key='params', key=None):
        """A file with a single SR network (ESRGAN's, say) starts every branch."""
        ensemble = self.get_bare_model(net)
        if ensemble is self.get_bare_model(self.net_g) or ensemble is getattr(self, 'net_g_ema', None):
            state = read_weights(load_path, key, param_key=param_key)
            if not any(name.startswith('branches.') for name in state):
                for branch in ensemble.branches:
                    super().load_network(branch, load_path, strict, param_key, key)
                return
        super().load_network(net, load_path, strict, param_key, key)

    def load_branches(self):
        """Each branch's own ``checkpoint:``, unless ``path.pretrain_network_g`` (a resumed run's too) brought all."""
        if self.opt['path'].get('pretrain_network_g'):
            return
        branches = self.get_bare_model(self.net_g).branches
        for k, (branch, options) in enumerate(zip(branches, self.opt['network_g']['branches'], strict=True)):
            if options.get('checkpoint'):
                key = f'network_g.branches[{k}].checkpoint'
                self.load_network(branch, options['checkpoint'], param_key='params_ema', key=key)

    def init_training_settings(self):
        self.load_branches()
        super().init_training_settings()

        train_opt = self.opt['train']
        self.cri_collab, self.cri_adapt, self.cri_feature = (
            build_loss(train_opt[key]).to(self.device) if train_opt.get(key) else None
            for key in ('collab_opt', 'adapt_opt', 'feature_opt')
        )
        K, M = len(self.opt['network_g']['branches']), len(self.opt['degradations'])
        if K == 1 and (self.cri_collab or self.cri_feature):
            get_root_logger().warning('train.collab_opt and train.feature_opt need two branches or more: both are off.')
            self.cri_collab = self.cri_feature = None
        self.own = [[m for m in range(M) if m % K == k] or [k % M] for k in range(K)]
        self.collab_start_iter = train_opt.get('collab_start_iter', 0)
        self.adapt_ramp = train_opt.get('adapt_ramp', 'linear')
        self.total_iter = train_opt['total_iter']
        self.lq_round = train_opt.get('lq_round', False)
        self.lq_strength = train_opt.get('lq_strength')
        self.lq_refresh = train_opt.get('lq_refresh', 1)
        self.drawn = None

    def setup_optimizers(self):
        """One Adam over all branches: bit-identical to one each."""
        self.optimizer_g = self.build_optimizer('optim_g', self.net_g.parameters())

    def optimize_parameters(self, current_iter):
        """One published step: supervised and collaborative learning, then adaptation with the new weights."""
        with self.iteration(current_iter) as t:
            gate = float(t > self.collab_start_iter)
            ramp = gate * (t / self.total_iter if self.adapt_ramp == 'linear' else 1.0)

            # L_k: learn from one's own generator, and from each other branch on that branch's generator.
            def L(y, *lqs):
                S, F = self.restore(lqs)  # S[k][m] = S_k(G_m(y)), F its features
                self.restored = [[S[k][m].detach() for m in own] for k, own in enumerate(self.own)]
                total, losses = 0, {}
                for k, own in enumerate(self.own, start=1):
                    losses[f'l_sup_{k}'] = mean(self.cri_pix(S[k - 1][m], y) for m in own)
                    total = total + losses[f'l_sup_{k}']
                    if self.cri_collab:
                        losses[f'l_collab_{k}'] = self.learn_from_others(self.cri_collab, S, k - 1)
                        total = total + gate * losses[f'l_collab_{k}']
                    if self.cri_feature:
                        losses[f'l_feature_{k}'] = self.learn_from_others(self.cri_feature, F, k - 1)
                        total = total + losses[f'l_feature_{k}']
                return total, losses

            # L_adapt: the mean of the new branches is the pseudo label of real LR photos.
            def L_adapt(x):
                S_x = self.net_g(x, all_branches=True)
                p = S_x.detach().mean(0)
                losses = {f'l_adapt_{k}': ramp * self.cri_adapt(S_k, p) for k, S_k in enumerate(S_x, start=1)}
                return sum(losses.values()), losses

            # Draw LR photos a, b, ... from the generators, and take both steps.
            y, lqs = self.draw(self.gt, t)
            self.descend(self.optimizer_g, L, y, *lqs)
            if self.cri_adapt:  # without weight: momentum still moves the weights, as published
                self.descend(self.optimizer_g, L_adapt if ramp else None, self.lq)
            self.update_ema()

    def own_state(self):
        """LR photos that are drawn for several iterations belong to the state."""
        return {**super().own_state(), 'drawn': self.drawn if self.lq_refresh > 1 else None}

    def set_own_state(self, state):
        super().set_own_state(state)
        if state.get('drawn'):
            y, lqs = state['drawn']
            self.drawn = y.to(self.device), [lq.to(self.device) for lq in lqs]

    @torch.no_grad()
    def draw(self, y, t):
        """HR crops and, for each generator, LR crops drawn from them; reused until ``lq_refresh`` iterations passed."""
        if t % self.lq_refresh == 0 or self.drawn is None:
            lqs = [self.as_file(draw_lq(G, y, self.opt['scale'], self.lq_strength, noise))
                   for G, noise in zip(self.degradations, self.noise_shares, strict=True)]
            if self.lq_round:
                lqs = [(lq.clamp(0, 1) * 255).round() / 255 for lq in lqs]
            if self.lq_refresh > 1 and self.performance['compile']:
                lqs = [lq.clone() for lq in lqs]  # CUDA graphs write each output to the same place
            self.drawn = y, lqs
        return self.drawn

    def restore(self, lqs):
        """``S[k][m]``, clamped (N, 3, H, W), and their trunk features, for the generators m that branch k learns from.

        One pass per branch over all its LR crops: the networks have no batch statistics, so this equals a pass each.
        """
        seen = [range(len(lqs)) if self.cri_collab or self.cri_feature else own for own in self.own]
        outputs = self.net_g(
            [torch.cat([lqs[m] for m in ms]) for ms in seen],
            all_branches=True,
            return_features=self.cri_feature is not None,
        )

        def by_generator(outs):
            return [dict(zip(ms, out.chunk(len(ms)), strict=True)) for ms, out in zip(seen, outs, strict=True)]

        S, F = outputs if self.cri_feature else (outputs, None)
        return by_generator(S), F and by_generator(F)

    def learn_from_others(self, criterion, S, k):
        """Mean over the other branches j and their generators m of ``criterion(S[k][m], sg S[j][m])``."""
        return mean(criterion(S[k][m], S[j][m].detach()) for j, own in enumerate(self.own) if j != k for m in own)

    def test(self):
        """The ensemble, or the one branch that is being validated."""
        if self.shown_branch is None:
            super().test()
            return
        net_g = self.get_bare_model(getattr(self, 'net_g_ema', self.net_g))
        with torch.no_grad():
            self.output = net_g.upscale(self.shown_branch, self.lq)[0]

    def nondist_validation(self, dataloader, current_iter, tb_logger, save_img):
        """The ensemble's figures, then (``val.per_branch``) each branch's as a data set named ``NAME/S_k``."""
        super().nondist_validation(dataloader, current_iter, tb_logger, save_img)
        if not self.opt['val'].get('per_branch') or not self.opt['val'].get('metrics'):
            return
        name = dataloader.dataset.opt['name']
        for k in range(len(self.opt['network_g']['branches'])):
            self.shown_branch, dataloader.dataset.opt['name'] = k, f'{name}/S_{k + 1}'
            super().nondist_validation(dataloader, current_iter, tb_logger, save_img=False)
        self.shown_branch, dataloader.dataset.opt['name'] = None, name


def mean(terms):
    """Mean of some loss tensors."""
    terms = list(terms)
    return sum(terms) / len(terms)
