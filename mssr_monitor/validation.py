"""Validation that leaves training as it is, and whose figures do not depend on the number of processes."""

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Subset

from mssr_compat.distributed import total, world
from mssr_compat.random_state import kept_random_state


class ValidationShare:
    """What one of several processes has of a validation set: every ``number``-th photo, from the ``rank``-th on.

    Before each photo torch's generators are seeded by the photo's place in the set, so that a degradation that is
    drawn for it is the same at any iteration and in any process. Where there are more processes than photos, those
    without any repeat one, whose figures do not count (``weight`` 0), so that all do the same calls.
    """

    def __init__(self, loader: DataLoader, seed: int) -> None:
        rank, number = world()
        size = len(loader.dataset)
        self.places = list(range(rank, size, number)) or [rank % size]
        self.weight = len(self.places) if rank < size else 0
        self.dataset, self.seed = loader.dataset, seed
        self.loader = loader if number == 1 else DataLoader(Subset(loader.dataset, self.places))

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[dict]:
        for place, data in zip(self.places, self.loader, strict=True):
            torch.manual_seed((self.seed * 1_000_003 + place) % 2**63)
            yield data


class ValidationMixin:
    """BasicSR's validation loop, on one's share of the photos; on one process that is all of them."""

    def validation(self, dataloader, current_iter, tb_logger, save_img=False):
        """As BasicSR, without repeating the last validation under an iteration that never ran."""
        name = dataloader.dataset.opt['name']
        if self.is_train:
            current_iter = min(current_iter, int(self.opt['train']['total_iter']))
            if self.validated.get(name) == current_iter:
                return
        share = ValidationShare(dataloader, self.opt.get('manual_seed') or 0)
        self.share_weight = share.weight
        with kept_random_state():
            super().validation(share, current_iter, tb_logger, save_img)
        self.validated = {**self.validated, name: current_iter}

    def dist_validation(self, dataloader, current_iter, tb_logger, save_img):
        """All processes validate; BasicSR lets all but one wait."""
        self.nondist_validation(dataloader, current_iter, tb_logger, save_img)

    def _update_best_metric_result(self, dataset_name, metric, val, current_iter):
        """As BasicSR's, after the mean over the photos of all processes has replaced this one's."""
        if world()[1] > 1:
            summed, count = total([float(val) * self.share_weight, float(self.share_weight)])
            val = self.metric_results[metric] = summed / count
        super()._update_best_metric_result(dataset_name, metric, val, current_iter)
