"""What stage 2 learns from real LR photos, of which nothing else is known."""

import torch
from basicsr.losses import build_loss
from torch import Tensor

from mssr_arch.sharpening import gaussian_blur
from mssr_compat.errors import UserError

BLUR = 1.0  # LR pixels: results need not have the noise of their photos


class AdaptationBase:
    """One of the bases of a model that trains an ensemble of branches S_k on ``degradations``.

    Options under ``train``, a loss each, of real LR photos x; without one the term is off:

    - ``adapt_opt``, published: ``L(S_k(x), sg p)``, with p the mean of all branches.
    - ``consistency_opt``: the result, degraded again, is the photo: ``L(blur(G(S_k(x); 0)), blur(x))``, with the
      frozen generator at the mean of ``lq_strength`` and without noise, mean over the generators that branch k learns
      from. The blur, of one LR pixel, forgives that S took noise away, and hides fine grain of JPEG and rounding, which
      G is spared. Gradients pass through G, which costs its backward pass at HR size.
    - ``distance_opt`` (:class:`mssr_loss.PairwiseDistanceLoss`, after PDD, arXiv 2407.07302): what S_k does otherwise
      than its averaged weights T_k (``ema_decay``), it does alike on x and on what was drawn from its generators. There
      it has just learned from ground truth. In the paper, all terms are one step; here it is the second one's, with the
      weights that the first one gave. It costs three more forward passes, without gradients.
    """

    def build_adaptation(self) -> None:
        """Read the options.

        Raises:
            UserError: ``distance_opt`` without averaged weights.
        """
        train_opt = self.opt['train']
        self.cri_adapt, self.cri_consistency, self.cri_distance = (
            build_loss(train_opt[key]).to(self.device) if train_opt.get(key) else None
            for key in ('adapt_opt', 'consistency_opt', 'distance_opt')
        )
        self.adapts = any((self.cri_adapt, self.cri_consistency, self.cri_distance))
        strength = train_opt.get('lq_strength')
        self.mean_strength = sum(strength) / 2 if strength else None  # None: all of it
        if self.cri_distance and not self.ema_decay:
            raise UserError('train.distance_opt needs train.ema_decay above 0, such as 0.999: distances are kept to '
                            'those of the averaged weights.')

    def adaptation(self, x: Tensor, lqs: list[Tensor]) -> dict[str, Tensor]:
        """Terms by name, ``l_adapt_1`` and so on, for real LR photos ``x`` and what each generator drew, ``lqs``.

        All are (N, 3, h, w).
        """
        S_x, losses = self.net_g(x, all_branches=True), {}
        if self.cri_adapt:
            p = S_x.detach().mean(0)
            losses |= {f'l_adapt_{k}': self.cri_adapt(S_k, p) for k, S_k in enumerate(S_x, start=1)}
        if self.cri_consistency:
            seen = gaussian_blur(x, BLUR)
            losses |= {f'l_consistency_{k}': mean(self.cri_consistency(self.seen_again(S_k, m), seen) for m in sources)
                       for k, (S_k, sources) in enumerate(zip(S_x, self.sources, strict=True), start=1)}
        if self.cri_distance:
            losses |= {f'l_distance_{k}': mean(self.cri_distance(S_k, T_k, *pair) for pair in pairs)
                       for k, (S_k, (T_k, pairs)) in enumerate(zip(S_x, self.compared(x, lqs), strict=True), start=1)}
        return losses

    def seen_again(self, S: Tensor, m: int) -> Tensor:
        """HR photos ``S`` degraded by generator ``m`` without noise, blurred: (N, 3, h, w)."""
        return gaussian_blur(self.degradations[m].degrade(S, [], self.mean_strength), BLUR)

    @torch.no_grad()
    def compared(self, x: Tensor, lqs: list[Tensor]) -> list[tuple[Tensor, list[tuple[Tensor, Tensor]]]]:
        """For each branch ``T_k(x)``, and ``S_k(a), T_k(a)`` for each generator's a that it learns from."""
        drawn = [torch.cat([lqs[m] for m in sources]) for sources in self.sources]
        S_a = self.get_bare_model(self.net_g)(drawn, all_branches=True)
        with self.acceleration.precision():  # as S has it, or its rounding would count as a distance
            T = self.net_g_ema([torch.cat([x, a]) for a in drawn], all_branches=True)
        T_x, T_a = zip(*(both.split([len(x), len(both) - len(x)]) for both in T), strict=True)
        return [(here, list(zip(S.split(len(x)), there.split(len(x)), strict=True)))
                for here, S, there in zip(T_x, S_a, T_a, strict=True)]


def mean(terms) -> Tensor:
    """Mean of some loss tensors."""
    terms = list(terms)
    return sum(terms) / len(terms)
