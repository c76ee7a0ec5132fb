"""Pretrained SR networks that an adaptation starts from: one of either kind, or two of one ancestry."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mssr_arch.imresize import bicubic_downsample
from mssr_compat.checkpoint import read_metadata
from mssr_compat.errors import UserError
from mssr_compat.files import file_hash
from mssr_compat.provenance import STARTED_FROM, carried_on
from mssr_inference.networks import load_upscaler
from mssr_inference.restorer import Restorer
from mssr_inference.upscaler import lock_color
from mssr_metric.photo_sets import Photos, as_8bit

BUNDLED = Path(__file__).parent / 'start.safetensors'  #: trained by options/start
RELATED = 0.3  # cosine of weights: networks of one ancestry have .6 to .8, others nearly 0
FAITHFUL = 0.5  # dB over interpolation on clean photos: networks trained by L1 have 1 to 3, those with a GAN 0 or less
CLEAN_SIDE = 128  # HR pixels of the clean photos on which a network is tried


@dataclass
class Start:
    """What an adaptation starts from: one network with one or two sets of weights."""

    options: dict  #: of the network, as ``build_network`` takes them
    scale: int
    fidelity: dict[str, Tensor] | None  #: weights of a network trained by a pixel loss
    perception: dict[str, Tensor] | None  #: weights of one trained to look sharp, of the same ancestry
    files: list[Path] = field(default_factory=list)
    origins: list[dict[str, str]] = field(default_factory=list)  #: as :mod:`mssr_compat.provenance` has it

    @property
    def trained(self) -> dict[str, Tensor]:
        """The weights that learn the degradation: those of fidelity, where there are such."""
        return self.perception if self.fidelity is None else self.fidelity


def read_start(paths: list[Path], scale: int, clean: Photos) -> Start:
    """Read one or two files: a restorer, or SR networks that spandrel or this project knows.

    Which of two networks is which, and which kind a single one is, is told from how well they invert bicubic
    downsampling of clean photos; their order does not matter.

    Args:
        paths: the files.
        scale: HR size over LR size that is wanted.
        clean: (3, H, W) clean photos, RGB in [0, 1], some of them of :data:`CLEAN_SIDE` pixels a side.

    Raises:
        UserError: a file is no SR network, an ensemble or of another scale; two are not of one ancestry or of one kind.
    """
    if len(paths) == 1:
        restorer = Restorer.load(paths[0], '--start')
        if restorer is not None:
            _check_scale(paths[0], restorer.scale, scale)
            return Start(restorer.options, restorer.scale, restorer.fidelity, restorer.perception, paths,
                         carried_on(paths[0]))
        net, options, _ = _read(paths[0], scale)
        state = net.state_dict()
        ends = (state, None) if gain_over_interpolation(net, scale, clean) > FAITHFUL else (None, state)
        return Start(options, scale, *ends, paths, carried_on(paths[0]))
    options, _, nets, origins = related(paths, scale)
    faithful = [gain_over_interpolation(net, scale, clean) > FAITHFUL for net in nets]
    if faithful[0] == faithful[1]:
        kind = 'for fidelity, by a pixel loss' if faithful[0] else 'to look sharp'
        raise UserError(f'--start {paths[0]} and {paths[1]} were both trained {kind}: give one of them alone, or one '
                        'of each kind.')
    fidelity, perception = (net.state_dict() for net in (nets if faithful[0] else nets[::-1]))
    return Start(options, scale, fidelity, perception, paths, origins)


def related(paths: list[Path], scale: int | None = None) -> tuple[dict, int, list[nn.Module], list[dict]]:
    """Two networks of one ancestry: their options, scale, the networks, and where they come from.

    Raises:
        UserError: they are not one network, or have nothing in common.
    """
    (one, options, found), (other, other_options, _) = (_read(path, scale) for path in paths)
    if options != other_options:
        raise UserError(f'{paths[0]} and {paths[1]} are not one network: give two sets of weights of the same '
                        'architecture, or one file alone.')
    if cosine(one.state_dict(), other.state_dict()) < RELATED:
        raise UserError(f'{paths[0]} and {paths[1]} were not trained from one another (their weights have nothing in '
                        'common), so that what is between them restores nothing: give one of them alone.')
    own = {file_hash(path) for path in paths if STARTED_FROM in read_metadata(path)}  # the one may come from the other
    origins = {origin['sha256']: origin for path in paths for origin in carried_on(path)}
    return options, found, [one, other], [origin for digest, origin in origins.items() if digest not in own]


def _read(path: Path, scale: int | None) -> tuple[nn.Module, dict, int]:
    loaded = load_upscaler(path, remedy='mssr export, given its option file, writes files that do')
    _check_scale(path, loaded.scale, scale or loaded.scale)
    if len(loaded.net.branches) > 1:
        raise UserError(f'{path} is an ensemble of {len(loaded.net.branches)} networks: mssr export '
                        'writes one that stands for it (averaged).')
    return loaded.net.branches[0], loaded.options['branches'][0], loaded.scale


def _check_scale(path: Path, found: int, wanted: int) -> None:
    if found != wanted:
        raise UserError(f'--start {path} enlarges by {found}, but --scale is {wanted}: give --scale {found}, or '
                        'another file.')


@torch.inference_mode()
def gain_over_interpolation(net: nn.Module, scale: int, clean: Photos) -> float:
    """How much better than bicubic interpolation a network inverts bicubic downsampling, in dB, mean of the photos.

    Raises:
        UserError: all photos are smaller than :data:`CLEAN_SIDE` pixels a side.
    """
    gains = []
    for photo in clean:
        y = photo[None, :, :CLEAN_SIDE // scale * scale, :CLEAN_SIDE // scale * scale]
        if min(y.shape[-2:]) < CLEAN_SIDE // scale * scale:
            continue
        x = as_8bit(bicubic_downsample(y, scale))
        plain = interpolate(x, scale_factor=scale, mode='bicubic').clamp(0, 1)
        error = (lock_color(net(x).clamp(0, 1), x, scale) - y).square().mean()
        gains.append(10 * torch.log10((plain - y).square().mean().clamp(min=1e-9) / error.clamp(min=1e-9)))
    if not gains:
        raise UserError(f'--clean: no photo has {CLEAN_SIDE} pixels a side, on which starts are tried.')
    return float(torch.stack(gains).mean())


def cosine(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Cosine of the angle between two networks' weights."""
    a, b = (torch.cat([tensor.double().flatten() for tensor in state.values() if tensor.is_floating_point()])
            for state in (one, other))
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))
