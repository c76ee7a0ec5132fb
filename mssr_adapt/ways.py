"""Ways from an LR photo to an HR photo: functions from (1, 3, h, w) to (1, 3, s * h, s * w), RGB in [0, 1]."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from mssr_adapt.ends import Weights
from mssr_arch.sr_ensemble_arch import SREnsemble
from mssr_compat.errors import UserError
from mssr_inference.networks import load_upscaler
from mssr_inference.restorer import Restorer
from mssr_inference.upscaler import Upscaler, lock_color

Way = Callable[[Tensor], Tensor]


def interpolated(scale: int) -> Way:
    """Bicubic interpolation, for comparison."""
    return lambda lq: interpolate(lq, scale_factor=scale, mode='bicubic')


def restoring(restorer: Restorer, setting: float | None = None) -> Way:
    """What a restorer does, at a setting of its knob (None: its own)."""
    return with_weights(restorer.options, restorer.scale, restorer.at(setting))


def with_weights(options: dict, scale: int, weights: Weights) -> Way:
    """What a network with these weights does, colours locked."""
    net = SREnsemble([options]).eval().requires_grad_(False)
    net.branches[0].load_state_dict(weights)
    return lambda lq: lock_color(net(lq), lq, scale)


def read_peers(paths: list[Path], scale: int) -> dict[str, Way]:
    """What other upscalers do, by the names of their files; as they are used: only restorers lock colours.

    Args:
        paths: files that spandrel or this project knows.
        scale: HR size over LR size that they must have.

    Raises:
        UserError: a file is missing, no SR network or of another scale, or two have one name.
    """
    ways = {}
    for path in paths:
        if not path.is_file():
            raise UserError(f'--peers {path}: there is no such file.')
        loaded = load_upscaler(path, remedy='mssr export, given its option file, writes files that do')
        if loaded.scale != scale:
            raise UserError(f'--peers {path} enlarges by {loaded.scale}, but --scale is {scale}.')
        if path.name in ways:
            raise UserError(f'--peers: two files are called {path.name}, which the report could not tell apart.')
        ways[path.name] = _padded(Upscaler(loaded, torch.device('cpu')))
    return ways


def _padded(upscaler: Upscaler) -> Way:
    """Photos of sides that a network of windows does not take get a margin, which their results lose."""
    def way(lq: Tensor) -> Tensor:
        height, width = lq.shape[-2:]
        margins = (0, -width % upscaler.multiple, 0, -height % upscaler.multiple)
        return upscaler(pad(lq, margins, mode='replicate'))[..., :upscaler.scale * height, :upscaler.scale * width]
    return way
