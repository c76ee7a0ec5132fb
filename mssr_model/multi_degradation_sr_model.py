"""Stage 2: collaborative learning of one SR network per degradation generator (paper, section 3.2)."""

import torch
from basicsr.losses import build_loss
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY

from mssr_arch.sr_ensemble_arch import SREnsemble
from mssr_compat.checkpoint import read_weights
from mssr_degradation.learned_degradation import LearnedDegradation, frozen_generators
from mssr_degradation.real_photos import build_coding, matched_shares, read_hr, read_real
from mssr_model.adaptation import AdaptationBase, mean
from mssr_model.perception import PerceptionBase
from mssr_monitor.branch_monitor import BranchMonitor


@MODEL_REGISTRY.register()
class MultiDegradationSRModel(AdaptationBase, PerceptionBase, SRModel):
    """Trains ``network_g``, an ``SREnsemble`` of K branches, on LR photos drawn from frozen ``degradations``.

    A training batch holds ``gt``, clean HR crops y (N, 3, H, W), and ``lq``, real LR crops x (N, 3, H/s, W/s) of other
    photos, RGB in [0, 1]. With as many generators as branches, branch k learns from generator k. With more, branch k
    also learns from generators k + K, k + 2K, ...; with fewer, generators serve several branches. With two of each the
    step is the published one.

    Options under ``train``: ``pixel_opt`` (supervised), ``collab_opt`` and ``feature_opt`` (a loss each; without one
    the term is off), ``collab_start_iter``, ``adapt_ramp`` (``linear``: t / T, or ``constant``), ``lq_jpeg``,
    ``lq_strength``, ``lq_noise``, ``lq_round`` (what becomes of generated LR: see
    :class:`mssr_degradation.LearnedDegradation`; ``lq_jpeg: auto`` and ``lq_noise: auto``: as real LR photos have it,
    all of them or those that ``meta_info_lq`` of a generator lists, see :mod:`mssr_degradation.real_photos`), those of
    :class:`mssr_model.adaptation.AdaptationBase`, and those of :class:`mssr_model.perception.PerceptionBase`, for all
    branches or for ``perceptual_branches`` (numbers from 1).
    """

    monitor_class = BranchMonitor

    def __init__(self, opt):
        self.shown_branch = None  # the branch that validation shows; None: the ensemble
        self.restored = ()  # for each branch, its clamped outputs in the last iteration
        super().__init__(opt)
        if self.is_train:
            self.degradations = self.build_degradations()
        else:
            self.load_branches()

    def build_degradations(self):
        """What ``degradations:`` lists, with the averaged weights of its files, where stage 1 kept such."""
        train_opt, train_set = self.opt['train'], (self.opt.get('datasets') or {}).get('train') or {}
        scale, noise = self.opt['scale'], train_opt.get('lq_noise')
        nets = frozen_generators(self.opt)
        lists = [options.get('meta_info_lq') for options in self.opt['degradations']]
        # For each list that is there, None being that of the training set: the photos' section, and what messages say.
        sets = {listed: ({**train_set, 'meta_info_lq': listed}, f'degradations[{k}].meta_info_lq') if listed else
                (train_set, None) for k, listed in reversed([*enumerate(lists)])}
        jpeg = {listed: build_coding(train_opt.get('lq_jpeg'), photos, self.device, key)
                for listed, (photos, key) in sets.items()}
        found = [LearnedDegradation(net.to(self.device), scale, train_opt.get('lq_strength'), noise, jpeg[listed],
                                    train_opt.get('lq_round', False))
                 for net, listed in zip(nets, lists, strict=True)]
        if noise == 'auto':
            hr = read_hr(train_set, scale)
            real = {listed: read_real(photos, meta_option=key) for listed, (photos, key) in sets.items()}
            for degradation, listed in zip(found, lists, strict=True):
                degradation.noise = matched_shares(degradation, hr, real[listed])
        for degradation in found:
            self.acceleration.prepare(degradation.net)
        return found

    def load_network(self, net, load_path, strict=True, param_key='params', key=None):
        """A file with a single SR network (ESRGAN's, say) starts every branch."""
        ensemble = self.get_bare_model(net)
        if isinstance(ensemble, SREnsemble):
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
        train_opt = self.opt['train']
        super().init_training_settings()

        self.build_adaptation()
        self.cri_collab, self.cri_feature = (
            build_loss(train_opt[key]).to(self.device) if train_opt.get(key) else None
            for key in ('collab_opt', 'feature_opt')
        )
        K, M = len(self.opt['network_g']['branches']), len(self.opt['degradations'])
        if K == 1 and (self.cri_collab or self.cri_feature):
            get_root_logger().warning('train.collab_opt and train.feature_opt need two branches or more: both are off.')
            self.cri_collab = self.cri_feature = None
        # The generators that each branch learns from.
        self.sources = [[m for m in range(M) if m % K == k] or [k % M] for k in range(K)]
        self.perceptual_branches = train_opt.get('perceptual_branches') or range(1, K + 1)
        self.collab_start_iter = train_opt.get('collab_start_iter', 0)
        self.adapt_ramp = train_opt.get('adapt_ramp', 'linear')
        self.total_iter = train_opt['total_iter']

    def optimize_parameters(self, current_iter):
        """One published step: supervised and collaborative learning, then adaptation with the new weights."""
        with self.steps.iteration(current_iter) as t:
            gate = float(t > self.collab_start_iter)
            ramp = gate * (t / self.total_iter if self.adapt_ramp == 'linear' else 1.0)

            restore = self.steps.once(lambda *lqs: self.restore(lqs))

            # L_D (no part of the paper): tell clean photos from those that S restores.
            def L_D(y, *lqs):
                S, _ = restore(*lqs)
                return self.loss_of_d([S[k - 1][m] for k in self.perceptual_branches for m in self.sources[k - 1]], y)

            # L_k: learn from one's own generators, and from each other branch on that branch's generators.
            def L(y, *lqs):
                S, F = restore(*lqs)  # S[k][m] = S_k(G_m(y)), F its features
                self.restored = [[S[k][m].detach() for m in sources] for k, sources in enumerate(self.sources)]
                total, losses = 0, {}
                for k, sources in enumerate(self.sources, start=1):
                    losses[f'l_sup_{k}'] = mean(self.cri_pix(S[k - 1][m], y) for m in sources)
                    total = total + losses[f'l_sup_{k}']
                    if self.cri_collab:
                        losses[f'l_collab_{k}'] = self.learn_from_others(self.cri_collab, S, k - 1)
                        total = total + gate * losses[f'l_collab_{k}']
                    if self.cri_feature:
                        losses[f'l_feature_{k}'] = self.learn_from_others(self.cri_feature, F, k - 1)
                        total = total + losses[f'l_feature_{k}']
                    if k in self.perceptual_branches:  # no part of the paper
                        perceived = mean_of_each(self.perceived(S[k - 1][m], y) for m in sources)
                        losses |= {f'{name}_{k}': term for name, term in perceived.items()}
                        total = sum(perceived.values(), total)
                return total, losses

            # L_adapt: of real LR photos, the mean of the new branches is the pseudo label; and what else is on.
            def L_adapt(x, *lqs):
                losses = {name: ramp * term for name, term in self.adaptation(x, lqs).items()}
                return sum(losses.values()), losses

            # Draw LR photos a, b, ... from the generators, and take both steps.
            lqs = self.draw(self.gt)
            if self.cri_gan:
                self.steps.descend(self.optimizer_d, L_D, self.gt, *lqs)
            if not self.restorer_learns(current_iter):
                return
            self.steps.descend(self.optimizer_g, L, self.wanted(self.gt), *lqs)
            if self.adapts:  # without weight: momentum still moves the weights, as published
                self.steps.descend(self.optimizer_g, L_adapt if ramp else None, self.lq, *lqs)
            self.update_ema()

    @torch.no_grad()
    def draw(self, y):
        """For each generator, LR crops drawn from HR crops ``y``."""
        return [G(y) for G in self.degradations]

    def restore(self, lqs):
        """``S[k][m]``, clamped (N, 3, H, W), and their trunk features, for the generators m that branch k learns from.

        One pass per branch over all its LR crops: the networks have no batch statistics, so this equals a pass each.
        """
        seen = [range(len(lqs)) if self.cri_collab or self.cri_feature else sources for sources in self.sources]
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
        return mean(criterion(S[k][m], S[j][m].detach()) for j, sources in enumerate(self.sources) if j != k
                    for m in sources)

    def test(self):
        """The ensemble, or the one branch that is being validated."""
        if self.shown_branch is None:
            super().test()
            return
        net_g = self.get_bare_model(self.shown_net())
        with torch.no_grad():
            self.output = net_g.upscale(self.shown_branch, self.lq)[0]

    def get_current_log(self):
        self.monitor.warn_of_lost_branches(self.restored)
        return super().get_current_log()

    def get_current_visuals(self):
        visuals = super().get_current_visuals()
        if self.validator.is_watching and self.shown_branch is None:
            self.monitor.look(self.get_bare_model(self.shown_net()), self.lq, visuals.get('gt'))
        return visuals

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


def mean_of_each(terms):
    """Means of loss tensors by name, from dicts with the same names."""
    terms = list(terms)
    return {name: mean(term[name] for term in terms) for name in terms[0]}
