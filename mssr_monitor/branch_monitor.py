"""What is measured and shown of stage 2's branches at each validation."""

from pathlib import Path

import torch
from basicsr.utils import get_root_logger

from mssr_monitor.experiment_record import write_pictures
from mssr_monitor.pictures import as_arrays, side_by_side

SHOWN = 3  # photos
LR_SIDE = 96  # pixels a side that are shown and on which branches are compared


class BranchMonitor:
    """Says how far the branches disagree, which part of the loss each term has, and shows pictures before and after.

    ``metrics/<data set>/branch_disagreement``: the deviation between the branches' outputs for the middle of each
    photo, root mean square, in 8-bit levels; 0 for one branch or equal ones. ``loss_share/<term>``: the part of
    ``sup``, ``collab``, ``feature``, ``adapt``, ``consistency``, ``distance``, ``percep`` and ``gan`` in the sum of all
    branches, 0 to 1.

    Whenever losses are logged, warns of a branch whose outputs all lie outside [0, 1]: they are clamped before each
    loss, as published, no gradient comes back, and it never learns again. A learning rate that is too high does that.
    """

    figures = ()  #: of :meth:`observe`, by which the best network may be chosen

    def __init__(self, opt: dict) -> None:
        self.opt = opt
        self.middles = []  # of the first photos of this validation: LR, output of each branch, ground truth
        self.spread = []  # of all its photos: mean variance between the branches
        self.outside = self.lost = set()  # branches, from 1, all at 0 or 1 at the last log, and at the one before too

    def warn_of_lost_branches(self, restored) -> None:
        """Look at the clamped outputs of each branch in the last iteration."""
        outside = {k for k, outputs in enumerate(restored, start=1)
                   if not any(((S > 0) & (S < 1)).any() for S in outputs)}
        lost = outside & self.outside  # once, it may be a batch of black crops
        for k in sorted(lost - self.lost):
            get_root_logger().warning(
                f'Branch S_{k} is lost: all of its outputs lie outside [0, 1], from where no gradient comes back. '
                f'Start again with a lower train.optim_g.lr (now {self.opt["train"]["optim_g"]["lr"]:g}), or with '
                'train.warmup_iter.')
        self.outside, self.lost = outside, lost

    def begin(self) -> None:
        """A validation begins."""
        self.middles, self.spread = [], []

    @torch.no_grad()
    def look(self, net_g: torch.nn.Module, lq: torch.Tensor, gt: torch.Tensor | None) -> None:
        """Compare the branches of the ensemble ``net_g`` on a photo, (1, 3, h, w), with its truth if there is one."""
        lq = _middle(lq, LR_SIDE)
        was_training = net_g.training
        net_g.eval()
        branches = net_g(lq, all_branches=True)[:, 0].float().cpu()
        net_g.train(was_training)
        self.spread.append(branches.var(0, correction=0).mean().item())
        if len(self.middles) < SHOWN:
            gt = None if gt is None else _middle(gt, LR_SIDE * (branches.shape[-1] // lq.shape[-1]))[0]
            if gt is not None and gt.shape != branches.shape[1:]:
                gt = None
            self.middles.append((lq[0].cpu(), branches, gt))

    def observe(self, model, name: str, current_iter: int, tb_logger, losses: dict[str, float]) -> dict:
        """What there is to record of a validation; where one branch was validated, of the losses alone."""
        found = {'shares': loss_shares(losses)}
        if not self.spread:
            return found
        disagreement = (sum(self.spread) / len(self.spread)) ** 0.5 * 255
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
    """The part of each term in the sum of all: ``{'sup': 0.9, 'collab': 0.1}``; empty without losses.

    Those of a discriminator, ``l_d_...``, are none of S.
    """
    terms = {}
    for name, value in losses.items():
        prefix, _, rest = name.partition('_')
        if prefix == 'l' and rest and not rest.startswith('d_'):
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
