"""What is measured and shown of stage 2's branches at each validation."""

from pathlib import Path

import torch
from basicsr.utils import get_root_logger

from mssr_monitor.experiment_record import write_pictures
from mssr_monitor.observed_validation import ObservedValidation
from mssr_monitor.pictures import as_arrays, side_by_side

SHOWN = 3  # photos
LR_SIDE = 96  # pixels a side that are shown and on which branches are compared


class BranchMonitor(ObservedValidation):
    """Adds how far the branches disagree, which part of the loss each term has, and pictures before and after.

    ``metrics/<data set>/branch_disagreement``: the deviation between the branches' outputs for the middle of each
    photo, root mean square, in 8-bit levels; 0 for one branch or equal ones. ``loss_share/<term>``: the part of
    ``sup``, ``collab``, ``feature`` and ``adapt`` in the sum of all branches, 0 to 1.

    Whenever losses are logged, warns of a branch whose outputs all lie outside [0, 1]: they are clamped before each
    loss, as published, no gradient comes back, and it never learns again. A learning rate that is too high does that.
    """

    middles = ()  # of the first photos of this validation: LR, output of each branch, ground truth
    _spread = ()  # of all its photos: mean variance between the branches
    restored = ()  # for each branch, its clamped outputs in the last iteration
    _outside = _lost = frozenset()  # branches, from 1, all at 0 or 1 at the last log, and at the one before as well

    def nondist_validation(self, dataloader, current_iter, tb_logger, save_img):
        self.middles, self._spread = [], []
        super().nondist_validation(dataloader, current_iter, tb_logger, save_img)

    def get_current_log(self):
        outside = {k for k, outputs in enumerate(self.restored, start=1)
                   if not any(((S > 0) & (S < 1)).any() for S in outputs)}
        lost = outside & self._outside  # once, it may be a batch of black crops
        for k in sorted(lost - self._lost):
            get_root_logger().warning(
                f'Branch S_{k} is lost: all of its outputs lie outside [0, 1], from where no gradient comes back. '
                f'Start again with a lower train.optim_g.lr (now {self.opt["train"]["optim_g"]["lr"]:g}), or with '
                'train.warmup_iter.')
        self._outside, self._lost = outside, lost
        return super().get_current_log()

    def get_current_visuals(self):
        visuals = super().get_current_visuals()
        if self.seen is not None and self.monitored and self.shown_branch is None:
            self._look_at_branches(visuals)
        return visuals

    @torch.no_grad()
    def _look_at_branches(self, visuals):
        net_g = self.get_bare_model(getattr(self, 'net_g_ema', self.net_g))
        lq = _middle(self.lq, LR_SIDE)
        was_training = net_g.training
        net_g.eval()
        branches = net_g(lq, all_branches=True)[:, 0].float().cpu()
        net_g.train(was_training)
        self._spread.append(branches.var(0, correction=0).mean().item())
        if len(self.middles) < SHOWN:
            scale = branches.shape[-1] // lq.shape[-1]
            gt = _middle(visuals['gt'], LR_SIDE * scale)[0] if 'gt' in visuals else None
            if gt is not None and gt.shape != branches.shape[1:]:
                gt = None
            self.middles.append((lq[0].cpu(), branches, gt))

    def observe(self, name, current_iter, tb_logger):
        found = {'shares': loss_shares(self.recent_losses())}
        if self.shown_branch is not None or not self._spread:
            return found
        disagreement = (sum(self._spread) / len(self._spread)) ** 0.5 * 255
        shares = ', '.join(f'{term} {part:.1%}' for term, part in found['shares'].items())
        get_root_logger().info(f'Validation {name}\n\t # branch_disagreement: {disagreement:.4f} levels\n'
                               f'\t # shares of the loss: {shares}\n')
        if tb_logger:
            tb_logger.add_scalar(f'metrics/{name}/branch_disagreement', disagreement, current_iter)
            for term, part in found['shares'].items():
                tb_logger.add_scalar(f'loss_share/{term}', part, current_iter)
            lq, branches, _ = self.middles[0]
            size = branches.shape[-2:]
            before = torch.nn.functional.interpolate(lq[None], size, mode='bicubic').clamp(0, 1)[0]
            tb_logger.add_image(f'pictures/{name}/before_after', side_by_side([before, branches.mean(0)]), current_iter)
        if self.opt['path'].get('experiments_root'):
            pictures = {}
            for k, (lq, branches, gt) in enumerate(self.middles):
                pictures |= {f'lq_{k}': lq, f'branches_{k}': branches} | ({} if gt is None else {f'gt_{k}': gt})
            write_pictures(Path(self.opt['path']['experiments_root']), 'branches', as_arrays(pictures))
        return {**found, 'figures': {'branch_disagreement': disagreement}}


def loss_shares(losses: dict[str, float]) -> dict[str, float]:
    """The part of each term in the sum of all: ``{'sup': 0.9, 'collab': 0.1}``; empty without losses."""
    terms = {}
    for name, value in losses.items():
        prefix, _, rest = name.partition('_')
        if prefix == 'l' and rest:
            term = rest.rpartition('_')[0] if rest.rpartition('_')[2].isdigit() else rest
            terms[term] = terms.get(term, 0.0) + abs(value)
    total = sum(terms.values())
    return {term: value / total for term, value in terms.items()} if total else {}


def _middle(x: torch.Tensor, side: int) -> torch.Tensor:
    """(N, C, H, W) cut to at most ``side`` pixels a side around the middle."""
    height, width = x.shape[-2:]
    h, w = min(height, side), min(width, side)
    top, left = (height - h) // 2, (width - w) // 2
    return x[..., top:top + h, left:left + w]
