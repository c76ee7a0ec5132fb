"""The learned degradation ``p(x | y)`` as one object: all that stands between an HR photo and a generated LR photo."""

import inspect
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import safetensors.torch
import torch
from basicsr.utils import get_root_logger
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

import mssr_arch  # noqa: F401  (generators register)
from mssr_arch.degradation_base import DegradationNetwork, what_is_read
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.jpeg_coding import JPEGCoding
from mssr_compat.checkpoint import describe_weights, load_into, read_description, read_weights
from mssr_compat.errors import UserError
from mssr_compat.files import plain, write_whole
from mssr_compat.provenance import note_start
from mssr_degradation.blending import at_strength
from mssr_metric.photo_sets import as_8bit

NOT_KEYWORDS = ('checkpoint', 'meta_info_lq')  # of a generator in a list
UNSAID_SCALE = 4  # of a generator that does not downsample (DSGAN), in a file that names none


class LearnedDegradation(nn.Module):
    """Draws one of many plausible real LR photos of each HR photo, as a file holds it.

    >>> degrade = LearnedDegradation.load('net_g_best.pth')  # of stage 1, or what save wrote
    >>> lq = degrade(hr, generator=torch.Generator().manual_seed(0))  # (N, 3, H, W) RGB in [0, 1] to (N, 3, h, w)

    A generator G draws ``G(y; z)``. Cameras are not all alike, and a generator of small data errs: SR that has seen
    its degradation at any strength neither sharpens what is sharp nor amplifies what no camera of training did.
    Each photo thus may have a strength and a share of the noise of its own (:mod:`mssr_degradation.blending`). JPEG and
    rounding to 8 bits follow.

    Random numbers are drawn in this order: noise maps, strength, share of the noise, place and quality of JPEG.

    Args:
        net: the generator; it may be wrapped for several processes.
        scale: HR size over LR size; None: the generator's own.
        strength: least and largest share, drawn uniformly for each photo, of what G does beyond bicubic downsampling
            (``train.lq_strength``); None: all of it.
        noise: the same of G's noise (``train.lq_noise``), or more than two shares, those at evenly spaced quantiles,
            between which straight lines are drawn (:func:`mssr_degradation.real_photos.matched_shares`); None: noise
            belongs to what ``strength`` is about.
        jpeg: what the draws go through (``train.lq_jpeg``), on the generator's device; None: nothing.
        eight_bit: whether draws are clamped to [0, 1] and rounded to 8 bits, as files are (``train.lq_round``).
        options: the generator's, as ``build_network`` takes them; :meth:`save` needs them.
    """

    def __init__(self, net: nn.Module, scale: int | None = None, strength: Sequence[float] | None = None,
                 noise: Sequence[float] | None = None, jpeg: JPEGCoding | None = None, eight_bit: bool = False,
                 options: dict | None = None) -> None:
        super().__init__()
        self.net, self.scale = net, scale or self._bare(net).scale
        self.strength, self.noise, self.jpeg, self.eight_bit, self.options = strength, noise, jpeg, eight_bit, options

    @property
    def generator(self) -> DegradationNetwork:
        """The generator itself, whatever it is wrapped in."""
        return self._bare(self.net)

    @property
    def device(self) -> torch.device:
        """Where the generator is; one without weights is anywhere."""
        return next((p.device for p in self.net.parameters()), torch.device('cpu'))

    # --- drawing --------------------------------------------------------------------------------------------------

    def forward(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw for each photo.

        Args:
            y: HR photos (N, 3, H, W), RGB in [0, 1].
            generator: source of all random numbers, on the CPU; None is torch's global one of ``y``'s device.

        Returns:
            LR photos (N, 3, ceil(H / scale), ceil(W / scale)), RGB; in [0, 1] with JPEG or 8 bits, else neither
            clamped nor rounded.
        """
        return self.as_file(self.draw(y, generator), generator)

    def draw(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As calling it, before JPEG and rounding."""
        z = self.draw_noise(y, generator)
        if not self.strength and not self.noise:
            return self.degrade(y, z)
        strength = _each_photo(self.strength or (1, 1), y, generator)
        return self.degrade(y, z, strength, _each_photo(self.noise, y, generator) if self.noise else None)

    def draw_noise(self, y: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Noise maps ``z`` for :meth:`degrade`, each with ``y``'s batch as its first dimension."""
        factor = self.scale // self.generator.scale
        return self.generator.draw_noise(y[..., ::factor, ::factor], generator)  # only the shape counts

    def degrade(self, y: Tensor, z: list[Tensor], strength: float | Tensor | None = None,
                noise: float | Tensor | None = None) -> Tensor:
        """``G(y; z)``, at a strength and share of the noise as :func:`mssr_degradation.blending.at_strength` has them.

        A generator that does not downsample (DSGAN) reads the bicubic LR of ``y``.

        Args:
            y: HR photos (N, 3, H, W).
            z: noise maps; none: no noise.
            strength: for all photos or each, (N, 1, 1, 1); None: all of it.
            noise: likewise; None: as ``strength``.
        """
        read = what_is_read(self.generator, y, self.scale)

        def draw(maps: list[Tensor]) -> Tensor:
            return self.net(read, maps or False)

        if strength is None and noise is None:
            return draw(z)
        return at_strength(draw, z, bicubic_downsample(y, self.scale), 1 if strength is None else strength, noise,
                           self.generator.opposite)

    def as_file(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draws (N, 3, h, w) as a file of the real photos' kind holds them; gradients pass through JPEG."""
        if self.jpeg is not None:
            x = self.jpeg(x, generator)
        return as_8bit(x) if self.eight_bit else x

    # --- files ----------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | Path, network: dict | None = None, scale: int | None = None) -> 'LearnedDegradation':
        """Read a file of :meth:`save`, or a checkpoint of stage 1 (averaged weights where it has them).

        Args:
            path: the file.
            network: options of the generator, for a file that does not say them.
            scale: HR size over LR size, likewise.

        Returns:
            The degradation on the CPU, in evaluation mode, without gradients; its draws have 8 bits.

        Raises:
            UserError: the file is unreadable, holds no generator, or does not say which.
        """
        said, state = read_description(path), read_weights(path, param_key='params_ema')
        options = network or said.get('network')
        if options is None:
            raise UserError(f'{path} holds {describe_weights(state)} and does not say its options: name them, as in '
                            "network={'type': 'DeResnet'}.")
        net = _build(options, path, state)
        load_into(net, state, path)
        scale = scale or said.get('scale') or (net.scale if net.scale > 1 else UNSAID_SCALE)
        strength, noise, qualities = (said.get(name) for name in ('strength', 'noise', 'jpeg_qualities'))
        if (scale % net.scale or strength and not (len(strength) == 2 and 0 <= strength[0] <= strength[1])
                or noise and not (len(noise) > 1 and min(noise) >= 0)
                or qualities and not all(type(quality) is int and 1 <= quality <= 100 for quality in qualities)):
            raise UserError(f'{path} is damaged: scale {scale}, strength {strength}, noise {noise} and jpeg_qualities '
                            f'{qualities} do not fit {type(net).__name__}, or are not what they are written as.')
        jpeg = JPEGCoding(qualities) if qualities else None
        found = cls(net, scale, strength, noise, jpeg, said.get('eight_bit', True), options)
        return found.eval().requires_grad_(False)

    def save(self, path: str | Path) -> None:
        """Write all of it to one ``.safetensors`` file, which may be given away: no code, and no path of this machine.

        Raises:
            UserError: the options of the generator are not known, or the name has another ending.
            OSError: the file cannot be written; nothing of it is left.
        """
        if self.options is None or Path(path).suffix != '.safetensors':
            raise UserError(f'{path}: a degradation is saved with the options of its generator, as .safetensors.')
        network = {name: value for name, value in self.options.items() if name not in NOT_KEYWORDS}
        said = {'network': network, 'scale': self.scale, 'strength': self.strength, 'noise': self.noise,
                'jpeg_qualities': self.jpeg and self.jpeg.qualities, 'eight_bit': self.eight_bit}
        metadata = {name: json.dumps(plain(value)) for name, value in said.items() if value is not None}
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.generator.state_dict().items()}
        write_whole(path, safetensors.torch.save(state, {'format': 'pt', **metadata}))

    @staticmethod
    def _bare(net: nn.Module) -> nn.Module:
        return net.module if isinstance(net, nn.parallel.DataParallel | nn.parallel.DistributedDataParallel) else net


def frozen_generators(opt: dict) -> list[nn.Module]:
    """The trained generators of ``degradations:``, in evaluation mode, without gradients, on the CPU.

    A network without weights (``BicubicDegradation``) has nothing to load and needs no checkpoint. Averaged weights
    count, where stage 1 kept such.

    Args:
        opt: the options of a training, with ``degradations`` (network options, each with ``checkpoint``) and ``scale``;
            its saved files will say that it started from them.

    Raises:
        UserError: there is none; a checkpoint is missing or does not fit; or a generator's scale does not.
    """
    listed, scale = opt.get('degradations'), opt['scale']
    if not listed:
        raise UserError('degradations is missing: a list of generators that stage 1 trained, each with checkpoint.')
    found = []
    for k, options in enumerate(listed):
        key, checkpoint = f'degradations[{k}].checkpoint', options.get('checkpoint')
        net = _build(options, f'degradations[{k}]')
        if checkpoint:
            load_into(net, read_weights(checkpoint, key, param_key='params_ema'), checkpoint, key)
            note_start(opt, checkpoint)
        elif any(True for _ in net.parameters()):
            raise UserError(f'{key} is missing: the weights that stage 1 trained.')
        if scale % net.scale:
            raise UserError(f'degradations[{k}] degrades by {net.scale}, which does not divide scale {scale}.')
        source = f'from {checkpoint}' if checkpoint else 'as it is, without weights'
        get_root_logger().info(f'Degradation {k + 1}: {options["type"]} {source}')
        found.append(net.eval().requires_grad_(False))
    return found


def _build(options: dict, source: str | Path, state: dict[str, Tensor] | None = None) -> DegradationNetwork:
    """A generator with fresh weights; ``source`` is what messages blame, and ``state`` what it holds."""
    keywords = {key: value for key, value in options.items() if key not in NOT_KEYWORDS}
    name = keywords.pop('type')
    arch = ARCH_REGISTRY.get(name) if name in ARCH_REGISTRY else None
    if not (inspect.isclass(arch) and issubclass(arch, DegradationNetwork)):
        held = f' holds {describe_weights(state)}, but' if state else f' is {name}, but'
        raise UserError(f'{source}{held} a degradation generator of stage 1 is needed.')
    try:
        return arch(**keywords)
    except TypeError as error:
        raise UserError(f'{source}: {name} cannot be built with its options: {error}.') from error


def _each_photo(quantiles: Sequence[float], y: Tensor, generator: torch.Generator | None) -> Tensor:
    """For each photo one number, distributed with these ``quantiles``, evenly spaced from 0 to 1; two: uniformly.

    No number of torch's global generator is copied to a GPU, which would have to wait for it.
    """
    source = y.device if generator is None else generator.device
    at = torch.rand(len(y), 1, 1, 1, generator=generator, device=source).to(y.device) * (len(quantiles) - 1)
    return quantiles[0] + sum((b - a) * (at - k).clamp(0, 1) for k, (a, b) in enumerate(pairwise(quantiles)))
