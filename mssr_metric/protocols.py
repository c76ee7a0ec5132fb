"""PSNR and SSIM under the two protocols in which results of real-world super-resolution are reported.

A figure without its protocol cannot be compared: on the same images they differ by more than methods do.
"""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from basicsr.metrics import calculate_psnr, calculate_ssim
from basicsr.utils.registry import METRIC_REGISTRY

from mssr_compat.errors import UserError
from mssr_metric.degradation_figures import FIGURES


@dataclass(frozen=True)
class Protocol:
    """How images are prepared before they are compared."""

    crop_scale: bool  # cut `scale` pixels from each side
    luma: bool  # compare the Y channel of YCbCr, else RGB


PROTOCOLS = {
    'mssr': Protocol(crop_scale=False, luma=False),
    'basicsr': Protocol(crop_scale=True, luma=True),
}
_METRICS = ('psnr', 'ssim')
_LOWER = ('lpips', 'dists', 'distance', 'niqe')  # in names of metrics of which lower is better
_WINDOW = 11  # pixels a side of SSIM's Gaussian window; BasicSR's SSIM of smaller images is nan


@METRIC_REGISTRY.register()
def calculate_psnr_protocol(img: np.ndarray, img2: np.ndarray, protocol: str, scale: int | None = None,
                            better: str | None = None) -> float:
    """Peak signal-to-noise ratio in dB under a named protocol; infinite for equal images.

    Args:
        img, img2: (H, W, 3) BGR in [0, 255], as BasicSR's validation makes them (8 bit).
        protocol: ``mssr`` (RGB, no border cut; as the paper reports) or ``basicsr`` (Y channel, ``scale`` pixels cut).
        scale: super-resolution factor; ``mssr`` does not need it.
        better: read by BasicSR's record of the best iteration, not here.

    Raises:
        UserError: unknown protocol, ``scale`` missing, sizes that differ, or an image that is all border.
    """
    return _compare(calculate_psnr, 'psnr', img, img2, protocol, scale, smallest=1)


@METRIC_REGISTRY.register()
def calculate_ssim_protocol(img: np.ndarray, img2: np.ndarray, protocol: str, scale: int | None = None,
                            better: str | None = None) -> float:
    """Structural similarity (Wang et al., 2004) under a named protocol; arguments and errors as PSNR's.

    Raises:
        UserError: also for images under 11 pixels a side after cutting.
    """
    return _compare(calculate_ssim, 'ssim', img, img2, protocol, scale, smallest=_WINDOW)


def better(name: str, options: dict | None = None) -> str:
    """Which way a metric or a figure of a generator is better: ``higher`` or ``lower``.

    Args:
        name: as it is logged, such as ``psnr_mssr`` or ``haar_distance``.
        options: those under ``val.metrics``; their ``better`` decides, else their ``type``, else the name.
    """
    options = options or {}
    kind = str(options.get('type', name)).lower()
    if kind in FIGURES:
        return 'lower' if FIGURES[kind][1] == 'lower' else 'higher'
    return options.get('better') or ('lower' if any(part in kind for part in _LOWER) else 'higher')


def name_metrics(metrics: dict[str, dict], scale: int) -> dict[str, dict]:
    """Complete the options ``val.metrics``: every protocol metric is called after its protocol and knows the scale.

    BasicSR logs a metric under its YAML name, so ``psnr: {type: calculate_psnr_protocol, protocol: mssr}`` becomes
    ``psnr_mssr``; a name that already ends in the protocol stays. LPIPS, DISTS, NIQE and distances are told to BasicSR
    as lower-is-better. Other metrics pass unchanged.

    Raises:
        UserError: unknown protocol, a name that carries the other protocol, or two metrics of one name.
    """
    named: dict[str, dict] = {}
    for name, options in metrics.items():
        options = deepcopy(options)
        if str(options.get('type', '')).endswith('_protocol'):
            protocol = options.get('protocol')
            _get_protocol(f'val.metrics.{name}', protocol)
            options.setdefault('scale', scale)
            other = next((p for p in PROTOCOLS if p != protocol and name.endswith(f'_{p}')), None)
            if other:
                raise UserError(f'val.metrics.{name} is named after protocol {other}, but its protocol is {protocol}')
            if not name.endswith(f'_{protocol}'):
                name = f'{name}_{protocol}'
        elif better(name, options) == 'lower':
            options['better'] = 'lower'
        if name in named:
            raise UserError(f'val.metrics has two metrics named {name}: give one of them another name')
        named[name] = options
    return named


def protocol_metrics(protocol: str, scale: int) -> dict[str, dict]:
    """Options of all metrics of a protocol, e.g. ``{'psnr_mssr': ..., 'ssim_mssr': ...}``, for scripts and tables."""
    _get_protocol('protocol', protocol)
    return name_metrics({metric: {'type': f'calculate_{metric}_protocol', 'protocol': protocol}
                         for metric in _METRICS}, scale)


def _compare(function, metric, img, img2, protocol, scale, smallest) -> float:
    name = f'{metric}_{protocol}'
    rules = _get_protocol(name, protocol)
    if rules.crop_scale and (type(scale) is not int or scale < 1):
        raise UserError(f'val.metrics: {name} cuts scale pixels from each border, but scale is {scale}: give the '
                        'super-resolution factor, such as scale: 4')
    crop_border = scale if rules.crop_scale else 0
    check_pair(name, img, img2, crop_border, smallest)
    return float(function(img, img2, crop_border=crop_border, test_y_channel=rules.luma))


def _get_protocol(where: str, protocol: str) -> Protocol:
    if protocol not in PROTOCOLS:
        raise UserError(f'{where}: protocol is {protocol}, but must be one of {", ".join(PROTOCOLS)}')
    return PROTOCOLS[protocol]


def check_pair(metric: str, img: np.ndarray, img2: np.ndarray, crop_border: int, smallest: int) -> None:
    """Refuse a pair that the metric cannot compare.

    Args:
        metric: its name, for messages.
        img, img2: (H, W, C) or (H, W).
        crop_border: pixels that the metric will cut from each side.
        smallest: pixels a side that it needs after that.

    Raises:
        UserError: the sizes differ, or too few pixels are left.
    """
    if img.shape != img2.shape:
        raise UserError(f'{metric} compares images of the same size, but the result is {_size(img)} and the ground '
                        f'truth {_size(img2)}: the datasets\' scale and the networks\' must agree, and the ground '
                        'truth must be exactly scale times the LR image')
    if crop_border < 0:
        raise UserError(f'{metric}: crop_border is {crop_border}, but must be 0 or more')
    if min(img.shape[:2]) - 2 * crop_border < smallest:
        raise UserError(f'{metric} needs at least {smallest} px a side, but the images are {_size(img)} and '
                        f'{crop_border} px go from each side: leave these images or this metric out')


def _size(image: np.ndarray) -> str:
    channels = f' with {image.shape[2]} channels' if image.ndim == 3 and image.shape[2] != 3 else ''
    return f'{image.shape[1]}x{image.shape[0]}{channels if image.ndim == 3 else " gray"}'
