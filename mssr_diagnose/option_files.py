"""What was found, in the words of option files: this project's, and those of other trainers.

Those three synthesize twice: blur, resize, noise, JPEG. Here the first turn only blurs, and the second reduces to the
photos' size, so that its noise and JPEG are in their pixels. Blurs of both turns are in pixels of the large photo, and
add up: each has the measured one, times the scale, over the root of 2.
"""

import json
import math
import re

import numpy as np

from mssr_arch.pdm_arch import REACH
from mssr_diagnose.photo import Measured
from mssr_options.shipped import SHIPPED

_LEAST, _MOST = 0.05, 0.95  # quantiles that a range spans
_KERNELS = ('iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso')
_WIDEST = 5.0  # sigma in pixels that a kernel of 21 pixels holds
_DIRECTED = 1.25  # wide over narrow, from which a blur has a direction
_RECIPE = SHIPPED / 'recipes' / 'degradation_pdm.yml'
_LR_CROP = 40  # pixels
_GROWS = 0.5  # share of the variance that grows with brightness, from which noise counts as Poisson's


def option_files(photos: list[Measured], scale: int, root: str, clean: str | None = None,
                 groups: dict[str, list[Measured]] | None = None) -> dict[str, str]:
    """Names and texts of the files: a training of stage 1, or one for each group of several, and for other trainers the
    parts about degradations of all photos, to put in place of the same keys.

    Args:
        photos: what was measured.
        scale: HR size over LR size.
        root, clean: folders of the photos, and of clean ones, where there are any.
        groups: photos by the file that lists them, where there are several groups.
    """
    values, dataset, notes = degradation_options(photos, scale)
    head = '\n'.join(f'# {note}' for note in [
        f'Degradations as read from {len(photos)} photos, for scale {scale}: 5th to 95th percentile.',
        'Replace the keys of the same names in an option file of this trainer; all else stays as it is there.', *notes])
    redux = {**{key: value for key, value in values.items() if key != 'second_blur_prob'}, 'blur_prob': 1.0,
             'blur_prob2': values['second_blur_prob'], 'jpeg_prob': 0.0,
             'jpeg_prob2': round(float(np.mean([photo.jpeg is not None for photo in photos])), 2)}
    trainings = {f'mssr_{number}.yml': _stage_1(members, scale, root, clean, listed, number)
                 for number, (listed, members) in enumerate((groups or {}).items(), start=1)}
    return {
        **(trainings or {'mssr.yml': _stage_1(photos, scale, root, clean)}),
        'realesrgan.yml': f'{head}\n{_yaml(values)}\ndatasets:\n  train:\n{_yaml(dataset, 4)}\n',
        'trainner_redux.yml': f'{head}\nhigh_order_degradation: true\n{_yaml(redux)}\ndatasets:\n  train:\n'
                              f'{_yaml(dataset, 4)}\n',
        'neosr.toml': f'{head}\n[degradations]\n{_toml({**values, **dataset})}\n',
    }


def _stage_1(photos: list[Measured], scale: int, root: str, clean: str | None, listed: str | None = None,
             number: int = 0) -> str:
    """The recipe of the generator of blur and noise, with these photos, which begins at what was found; of those of a
    group with its number, and the file that lists them."""
    notes: list[str] = []
    widths = _blur(photos, notes)
    levels = _range([photo.noise.level for photo in photos if photo.noise.level is not None], (0, 0), 'noise', notes)
    text = _RECIPE.read_text(encoding='utf-8')
    values = {'scale': scale, 'gt_size': scale * _LR_CROP, 'dataroot_lq': json.dumps(root),
              'kernel_sigma': [round(width * scale, 2) for width in widths], 'noise_levels': levels}
    if clean:
        values['dataroot_gt'] = json.dumps(clean)
    else:
        notes.append('Clean photos are missing: name their folder as dataroot_gt.')
    for key, value in values.items():
        line = re.compile(rf'^( *{key}:) .*?( +#.*)?$', re.MULTILINE)
        assert line.search(text), key
        text = line.sub(lambda found, value=value: f'{found[1]} {value}{found[2] or ""}', text)
    reach = math.ceil(2 * widths[1])
    if reach > REACH:
        text = text.replace('  kernel_sigma:', f'  reach: {reach}\n  kernel_sigma:')
    if listed:
        text = re.sub('^name: .*$', lambda found: f'{found[0]}_{number}', text, count=1, flags=re.MULTILINE)
        text = re.sub('^( *)dataroot_lq:.*$', lambda found: f'{found[0]}\n{found[1]}meta_info_lq: {json.dumps(listed)}',
                      text, flags=re.MULTILINE)
    if root.endswith('.lmdb'):
        text = text.replace('type: disk', 'type: lmdb')
    of = f' of group {number}' if listed else ''
    notes.insert(0, f'Begins at the blur and the noise of {len(photos)} photos{of}: 5th to 95th percentile.')
    return '\n'.join([*(f'# {note}' for note in notes), '#', text])


def degradation_options(photos: list[Measured], scale: int) -> tuple[dict, dict, list[str]]:
    """Options of the model and of the data set, by Real-ESRGAN's names, and what has to be said about them."""
    notes = []
    blurs = [photo.blur for photo in photos if photo.blur]
    widths = _blur(photos, notes)
    directed = float(np.mean([blur.wide > _DIRECTED * max(blur.narrow, 0.1) for blur in blurs])) if blurs else 0.5
    noises = [photo.noise for photo in photos if photo.noise.level is not None]
    hidden = 1 - len(noises) / max(len(photos), 1)
    if hidden:
        notes.append(f'Noise of {hidden:.0%} of the photos is hidden behind JPEG, and was left out.')
    poisson = [noise.shot**0.5 for noise in noises if (noise.growth or 0) > _GROWS]  # None: too little to tell
    steady = [noise.level for noise in noises if (noise.growth or 0) <= _GROWS]
    levels = _range(steady or [noise.level for noise in noises], (0, 0), 'noise', notes)
    scales = _range(poisson, (0.05, 0.05), 'noise that grows with brightness', notes, digits=2)
    grays = [photo.noise.gray for photo in photos if photo.noise.gray is not None]
    if not grays:
        notes.append('Whether noise is gray or coloured could not be measured; gray_noise_prob2 is a guess.')
    qualities = _range([photo.jpeg.quality for photo in photos if photo.jpeg], (96, 99), 'JPEG', notes, digits=0)
    if photos and any(photo.jpeg is None for photo in photos):
        share = np.mean([photo.jpeg is None for photo in photos])
        notes.append(f'{share:.0%} of the photos have no traces of JPEG (or of quality above 95, which leaves none).')
        qualities = [qualities[0], max(qualities[1], 99 if share > 0.2 else 95)]
    notes += ['Not measurable: the shape of kernels beyond a Gaussian (betag, betap, sinc), and resizing between.']
    sigmas = [round(width * scale / 2**0.5, 2) for width in widths]
    if sigmas[1] > _WIDEST:
        notes.append(f'Kernels have at most 21 pixels a side, and here sigma is up to {sigmas[1]}: the trainer cuts '
                     'them off, and blurs less than was measured.')
    values = {
        'resize_prob': [0, 0, 1], 'resize_range': [1, 1],
        'gaussian_noise_prob': 1.0, 'noise_range': [0, 0], 'poisson_scale_range': [0, 0], 'gray_noise_prob': 0.0,
        'jpeg_range': [99, 99],
        'second_blur_prob': 1.0, 'resize_prob2': [0, 0, 1], 'resize_range2': [1, 1],
        'gaussian_noise_prob2': round(1 - len(poisson) / len(noises), 2) if noises else 1.0, 'noise_range2': levels,
        'poisson_scale_range2': scales, 'gray_noise_prob2': round(float(np.mean(grays)), 2) if grays else 0.4,
        'jpeg_range2': qualities,
    }
    kernels = [round(1 - directed, 2), round(directed, 2), 0, 0, 0, 0]
    dataset = {f'{key}{turn}': value for turn in ('', 2) for key, value in (
        ('kernel_list', list(_KERNELS)), ('kernel_prob', kernels), ('sinc_prob', 0.0), ('blur_sigma', sigmas))}
    dataset['final_sinc_prob'] = 0.0
    return values, dataset, notes


def _blur(photos: list[Measured], notes: list[str]) -> list[float]:
    return _range([photo.blur.width for photo in photos if photo.blur], (0.2, 3.0), 'blur', notes, least=0.1)


def _range(values: list[float], missing: tuple, what: str, notes: list[str], digits: int = 1,
           least: float = 0.0) -> list[float]:
    if not values:
        notes.append(f'Of {what} there was nothing to measure: {list(missing)}.')
        return list(missing)
    low, high = (round(float(value), digits) for value in np.quantile(values, (_LEAST, _MOST)))
    return [int(value) if digits == 0 else value for value in (max(low, least), max(high, least))]


def _yaml(values: dict, indent: int = 0) -> str:
    return '\n'.join(f'{" " * indent}{key}: {value}' for key, value in values.items())


def _toml(values: dict) -> str:
    return '\n'.join(f'{key} = {value}' for key, value in values.items())
