"""What keeps a pretrained start from being destroyed: its rate is found by trying, and training ends if it is lost."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mssr_arch.imresize import bicubic_downsample
from mssr_compat.checkpoint import load_into, read_weights
from mssr_compat.distributed import from_first, total, world
from mssr_compat.errors import UserError
from mssr_compat.random_state import kept_random_state
from mssr_data.photo_pool import read_photos
from mssr_data.sampler import IterationSampler
from mssr_model.guard import Guard, NonFiniteError
from mssr_model.optimizers import averaged, schedule_free

RUNGS, STEPS = 8, 20  # rates that are tried, each half of the one before, and training steps at each
HELD, PHOTOS = 4, 16  # batches on which the loss is measured, and real LR photos on which outputs are compared
NEAR = 0.02  # mean absolute difference in [0, 1] by which 20 steps may move outputs; train.stay_near replaces it
_APART = 0x5EED  # added to the seed: batches and draws that are tried are not those of the training


class Start:
    """Looks after the start of a training, where the options under ``train`` ask for it.

    - ``find_rate``: before the first iteration, the rate of ``optim_g`` is found on the way down from ``lr``, in
      halves: the first that, in 20 steps, lowers the loss on held batches and moves outputs on real LR photos by less
      than ``stay_near`` (default 0.02). It costs 20 training steps and a few forward passes for each rate that is
      tried, 160 steps at most, and the memory of a second set of weights. Nothing of the training is touched by it.
    - ``stay_near``: whenever checkpoints are saved (``logger.save_checkpoint_freq``), outputs of the network that is
      validated are compared with the start's on the same photos: mean absolute difference, in [0, 1]. Beyond it,
      training ends with the best network so far: ``net_g_best.pth`` (the newest within the bound, or what
      ``val.select`` chose), which becomes ``net_g_latest.pth``. So it does where the figure of ``val.select`` becomes
      worse than the start's by more than ``val.select_bound``.

    The photos are crops of the size of training's: from the middle of real LR photos (``datasets.train.dataroot_lq``),
    or, where there are none, bicubic LR of the clean ones.

    Args:
        model: whose start it is.
        opt: the options.
    """

    def __init__(self, model, opt: dict) -> None:
        train_opt, self.model = opt.get('train') or {}, model
        self.finds_rate, self.bound = train_opt.get('find_rate', False), train_opt.get('stay_near')
        self.figure_bound = (opt.get('val') or {}).get('select_bound')
        self.rate = None  # what was found
        self.photos = self.outputs = None  # (N, 3, h, w), and what the start made of them, in half precision
        self.figure = None  # of val.select at the start
        self.best_iter = 0  # of the newest network that was within the bounds

    def state(self) -> dict:
        """What a resumed run needs, in tensors and plain values; empty where the options ask for nothing."""
        if self.rate is None and self.outputs is None:
            return {}
        figures = {'figure': self.figure, 'newest': self.model.validator.figure}
        return {'start': {'rate': self.rate, 'outputs': self.outputs, 'best_iter': self.best_iter, **figures}}

    def set_state(self, state: dict) -> None:
        """Go on from a training state that has :meth:`state` in it, or has not."""
        start = state.get('start', {})
        self.rate, self.outputs = start.get('rate'), start.get('outputs')
        self.best_iter, self.figure = start.get('best_iter', 0), start.get('figure')
        self.model.validator.figure = start.get('newest')
        if self.rate is not None:
            set_rate(self.model, self.rate)

    # --- before the first iteration, or that after resuming -------------------------------------------------------

    def begin(self, loader: DataLoader, iteration: int) -> None:
        """Find the rate, unless ``iteration`` (the last that is complete) says that it was, and look at the start.

        Args:
            loader: of the training, which is not drawn from.

        Raises:
            UserError: no rate will do, or there are no photos.
        """
        if not self.finds_rate and not self.bound:
            return
        self.photos = self.model.acceleration.placed(torch.stack(self.read_photos()))
        if self.finds_rate and not iteration:
            self.rate = find_rate(self.model, loader, self.photos, self.bound or NEAR)
            set_rate(self.model, self.rate)
        if self.bound and self.outputs is None:
            if iteration:
                get_root_logger().warning(f'train.stay_near: the state knows no start: what it is of iteration '
                                          f'{iteration} counts as one.')
            self.outputs, self.best_iter = self.look(), iteration
        if self.bound and world()[0] == 0 and not self.best_file.exists():
            self.model.save_best()

    def read_photos(self) -> list[Tensor]:
        """See the class."""
        opt = self.model.opt
        train_set, scale = opt['datasets']['train'], opt['scale']
        side = train_set['gt_size'] // scale
        if train_set.get('dataroot_lq'):
            return read_photos(train_set, 'lq', PHOTOS, side, side, side)
        hr = read_photos(train_set, 'gt', PHOTOS, side * scale, side * scale, side * scale)
        return [bicubic_downsample(photo[None], scale)[0].clamp(0, 1) for photo in hr]

    # --- while training -------------------------------------------------------------------------------------------

    @property
    def compares_figures(self) -> bool:
        """Whether the start has to be validated."""
        return None not in (self.bound, self.figure_bound)

    @property
    def best_file(self) -> Path:
        """The best network so far."""
        return Path(self.model.opt['path']['models']) / 'net_g_best.pth'

    def look(self) -> Tensor:
        """What the network that is validated makes of the photos now."""
        with averaged(self.model.optimizers):
            return outputs_of(self.model.get_bare_model(self.model.shown_net()), self.photos).half().cpu()

    def left(self, iteration: int) -> str | None:
        """Why training ends after ``iteration``, in a sentence, or None; then the networks are the best so far."""
        model = self.model
        if not iteration:
            self.figure = model.validator.figure
        if not self.bound or not iteration or iteration % model.opt['logger']['save_checkpoint_freq']:
            return None
        why = from_first(self.what_is_wrong() if world()[0] == 0 else None)
        if why is None:
            self.best_iter = iteration
            if world()[0] == 0 and not model.validator.select:
                model.save_best()
            return None
        for optimizer in schedule_free(model.optimizers):  # nothing is trained any more
            optimizer.eval()
        ema = [(model.net_g_ema, 'params_ema')] if model.ema_decay > 0 else []
        for net, key in [(model.net_g, 'params'), *ema]:
            load_into(model.get_bare_model(net), read_weights(self.best_file, param_key=key), self.best_file)
        best = 'the best by val.select' if model.validator.select else f'that of iteration {self.best_iter}'
        return (f'Training ends after iteration {iteration}, with the best network so far, {best}, as '
                f'net_g_latest.pth: {why}. Start again with a lower train.optim_g.lr, or, if this is wanted, go on '
                'with a higher bound and --auto_resume.')

    def what_is_wrong(self) -> str | None:
        """How training has left its start, or None."""
        moved = distance(self.look(), self.outputs)
        if not moved <= self.bound:
            return (f'outputs on real LR photos have moved by {moved:.4f} from those of the start, more than '
                    f'train.stay_near, {self.bound:g}')
        figure, select = self.model.validator.figure, self.model.validator.select
        if None not in (figure, self.figure, self.figure_bound):
            lost = figure - self.figure if self.model.validator.direction == 'lower' else self.figure - figure
            if lost > self.figure_bound:
                return (f'{select} is {figure:.4f}, worse than the {self.figure:.4f} of the start by more than '
                        f'val.select_bound, {self.figure_bound:g}')
        return None


def set_rate(model, rate: float) -> None:
    """Train ``network_g`` as if ``train.optim_g.lr`` were ``rate``: its optimizer and schedule."""
    for group in model.optimizer_g.param_groups:
        group['lr'] = group['initial_lr'] = rate
    for scheduler in model.schedulers:
        if scheduler.optimizer is model.optimizer_g:
            scheduler.base_lrs = [rate] * len(scheduler.base_lrs)
            scheduler._last_lr = list(scheduler.base_lrs)


def find_rate(model, loader: DataLoader, photos: Tensor, bound: float) -> float:
    """The highest rate that does no harm; see :class:`Start`. Weights, optimizers and random state stay as they are.

    Args:
        model: one whose steps go through ``Steps.descend``, before its first iteration.
        loader: of the training; its data set is drawn from, with a seed of its own.
        photos: (N, 3, h, w), on which outputs are compared.
        bound: by how much they may move.

    Raises:
        UserError: no rate will do; with what each did.
    """
    highest, tried = model.opt['train']['optim_g']['lr'], []
    seed = ((model.opt.get('manual_seed') or 0) + _APART) % 2**63
    with kept_random_state(), kept_training(model) as go_back:
        batches = own_batches(loader, HELD + STEPS, seed)
        held, batches = batches[:HELD], batches[HELD:]
        net = model.get_bare_model(model.net_g)
        outputs, before = outputs_of(net, photos), held_loss(model, held, seed)
        for rate in (highest / 2**n for n in range(RUNGS)):
            go_back()
            set_rate(model, rate)
            after = moved = math.nan
            try:
                torch.manual_seed(seed)
                for iteration, data in enumerate(batches, start=1):
                    model.feed_data(data)
                    model.optimize_parameters(iteration)
                with averaged(model.optimizers):
                    after = held_loss(model, held, seed)
                    moved = from_first(distance(outputs_of(net, photos), outputs))
            except NonFiniteError:
                pass  # of either: nan
            tried.append(f'{rate:.3g}: {after:.4g}, {moved:.4f}')
            if after < before and moved < bound:
                break
        else:
            error = UserError(
                f'train.find_rate: no rate from train.optim_g.lr, {highest:g}, down to {rate:.3g} lowers the loss on '
                f'held batches, {before:.4g}, and moves outputs on real LR photos by less than {bound:g} '
                f'(train.stay_near) in {STEPS} steps; rates, loss and movement: {"; ".join(tried)}. Is network_g a '
                'pretrained network, and train.pixel_opt a loss that it can still lower? Else set find_rate to false, '
                'and train.optim_g.lr by hand.')
            error.everywhere = True
            raise error
    others = f'; higher ones, loss and movement: {"; ".join(tried[:-1])}' if tried[:-1] else ''
    get_root_logger().info(
        f'train.find_rate: the rate of optim_g is {rate:.3g} (highest: {highest:g}): in {STEPS} steps the loss on held '
        f'batches falls from {before:.4g} to {after:.4g}, and outputs on {len(photos)} real LR photos move by '
        f'{moved:.4f} (bound: {bound:g}){others}.')
    return rate


@contextmanager
def kept_training(model) -> Iterator[Callable[[], None]]:
    """Leave networks, optimizers and all that a step changes after the block as they were; gives what goes back to it.

    In the block each step is one of S, too, and the first that is not finite raises :class:`NonFiniteError`.
    """
    nets = {name: model.get_bare_model(getattr(model, name)) for name in ('net_g', 'net_g_ema', 'net_d')
            if isinstance(getattr(model, name, None), nn.Module)}
    weights = {name: {key: value.clone() for key, value in net.state_dict().items()} for name, net in nets.items()}
    optimizers = [deepcopy(optimizer.state_dict()) for optimizer in model.optimizers]
    schedulers = [deepcopy(scheduler.state_dict()) for scheduler in model.schedulers]
    scaler, others = model.steps.scaler.state_dict(), [(part, dict(vars(part))) for part in (model, model.steps)]

    def go_back():
        for name, net in nets.items():
            for key, value in net.state_dict().items():
                value.copy_(weights[name][key])
        for part, state in zip([*model.optimizers, *model.schedulers], [*optimizers, *schedulers], strict=True):
            part.load_state_dict(deepcopy(state))
        if model.steps.scaler.is_enabled():
            model.steps.scaler.load_state_dict(scaler)

    model.steps.guard, model.net_d_init_iters, model.net_d_iters = Guard('stop'), 0, 1
    try:
        yield go_back
    finally:
        go_back()
        for optimizer in model.optimizers:
            optimizer.zero_grad(set_to_none=True)
        for part, attributes in others:
            vars(part).clear()
            vars(part).update(attributes)


def own_batches(loader: DataLoader, count: int, seed: int) -> list[dict]:
    """Batches of the data set of ``loader``, augmented as training's, in an order that ``seed`` gives."""
    rank, number = world()
    sampler = IterationSampler(loader.dataset, number, rank, seed=seed, batch_size=loader.batch_size,
                               iters_per_epoch=count)
    return list(DataLoader(loader.dataset, loader.batch_size, sampler=sampler, num_workers=loader.num_workers,
                           worker_init_fn=loader.worker_init_fn, generator=torch.Generator().manual_seed(seed)))


def held_loss(model, batches: list[dict], seed: int) -> float:
    """Mean over the batches of what S descends, adversarial terms aside; what is random in it, ``seed`` decides."""
    torch.manual_seed(seed)
    found = 0.0
    for data in batches:
        model.feed_data(data)
        with model.steps.measuring() as losses:
            model.optimize_parameters(1)
        found += sum(losses) / len(batches)
    summed, processes = total([found, 1.0])
    return summed / processes


@torch.no_grad()
def outputs_of(net: nn.Module, photos: Tensor) -> Tensor:
    """(N, 3, h, w) to (N, 3, s * h, s * w), clamped to [0, 1]; one by one, as large photos need memory."""
    was_training = net.training
    net.eval()
    outputs = torch.cat([net(photo).float().clamp(0, 1) for photo in photos.split(1)])
    net.train(was_training)
    return outputs


def distance(one: Tensor, other: Tensor) -> float:
    """Mean absolute difference."""
    return (one.float() - other.float()).abs().mean().item()
