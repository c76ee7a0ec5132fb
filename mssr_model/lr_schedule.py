"""The learning-rate schedule that BasicSR lacks."""

from torch.optim.lr_scheduler import LRScheduler


class LinearDecayLR(LRScheduler):
    """Constant, then linear decay to zero.

    Args:
        optimizer (torch.optim.Optimizer): What it schedules.
        decay_start (int): Iteration from which the rate falls.
        total_iter (int): Iteration at which it would be zero.
        interval (int): The rate changes every so many iterations; the published code steps once an epoch.
    """

    def __init__(self, optimizer, decay_start, total_iter, interval=1, last_epoch=-1):
        if not 0 <= decay_start < total_iter or interval < 1:
            raise ValueError(
                f'train.scheduler: decay_start {decay_start}, total_iter {total_iter} and interval {interval} do not '
                'fit: 0 <= decay_start < total_iter and interval >= 1 are needed.'
            )
        self.decay_start, self.decay_end, self.interval = decay_start, total_iter, interval
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """Closed form, so that a resumed run cannot drift."""
        i = self.last_epoch // self.interval * self.interval
        left = (self.decay_end - max(i, self.decay_start)) / (self.decay_end - self.decay_start)
        return [base_lr * max(left, 0.0) for base_lr in self.base_lrs]
