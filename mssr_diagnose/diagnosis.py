"""What ``mssr diagnose`` does: measure, group, and write page, figures and option files."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mssr_compat.files import plain, write_whole
from mssr_data.decoding import to_rgb8
from mssr_data.image_source import ImageSource
from mssr_diagnose.blur import PHOTOGRAPHS
from mssr_diagnose.folder import measure_folder, open_folder, sharpness_of
from mssr_diagnose.groups import FILE, group_photos
from mssr_diagnose.option_files import degradation_options, option_files
from mssr_diagnose.photo import CROP, Measured
from mssr_report.charts import bar_chart
from mssr_report.formats import number
from mssr_report.html_report import render

#: what is shown of a photo: title, unit, value or None
FIGURES: tuple[tuple[str, str, Callable[[Measured], float | None]], ...] = (
    ('Blur', 'sigma in pixels', lambda photo: photo.blur and photo.blur.width),
    ('Blur along its direction', 'sigma in pixels', lambda photo: photo.blur and photo.blur.wide),
    ('Blur across it', 'sigma in pixels', lambda photo: photo.blur and photo.blur.narrow),
    ('Noise', '8-bit levels', lambda photo: photo.noise.level),
    ('Noise that is gray', 'share of the variance', lambda photo: photo.noise.gray),
    ('Grain', 'correlation of neighbours', lambda photo: photo.noise.grain),
    ('Noise that grows with brightness', 'share at middle gray', lambda photo: photo.noise.growth),
    ('JPEG', 'quality', lambda photo: photo.jpeg and photo.jpeg.quality),
    ('JPEG blocks, from the top', 'pixels', lambda photo: photo.jpeg and photo.jpeg.top),
    ('JPEG blocks, from the left', 'pixels', lambda photo: photo.jpeg and photo.jpeg.left),
    ('Enlarged before', 'factor', lambda photo: photo.enlarged),
    ('Edges overshoot', 'share of their height', lambda photo: photo.overshoot),
    ('Cut off at black', 'share of pixels', lambda photo: photo.dark),
    ('Cut off at white', 'share of pixels', lambda photo: photo.bright),
    ('Red of the light', 'octaves of green', lambda photo: photo.cast[0]),
    ('Blue of the light', 'octaves of green', lambda photo: photo.cast[1]),
)
LISTS = 'groups/group_{}.txt'  # of the photos of each group
CHARTS = ('Blur', 'Noise', 'JPEG', 'Grain')
_BINS = 10
_SHOWN = 3  # photos of the best and of the worst
_SIDE = 128  # pixels of their crops


def diagnose(root: str, clean: str | None, scale: int, out: Path) -> list[tuple[str, str]]:
    """Measure a folder and write what was found to ``out``.

    Returns:
        Names of photos that were left out, and why.

    Raises:
        UserError: the folder has no photos that can be measured.
        OSError: ``out`` cannot be written.
    """
    source = open_folder(root, 'PHOTOS')
    sharp = sharpness_of(open_folder(clean, '--clean'), scale) if clean else PHOTOGRAPHS
    photos, left_out = measure_folder(source, sharp)
    found, groups = group_photos(photos, sharp)
    members = [[photo for photo, own in zip(photos, groups, strict=True) if own == k] for k in range(len(found))]
    listed = {str(out / LISTS.format(number)): group for number, group in enumerate(members, start=1)}
    files = option_files(photos, scale, root, clean, listed if len(found) > 1 else None)
    _remove_former(out)
    if len(found) > 1:
        found.save(out / FILE)
        for path, group in listed.items():
            write_whole(path, meta_info(group))
    for name, text in files.items():
        write_whole(out / name, text)
    measurements = [{**plain(asdict(photo), finite=True), 'group': int(group)}
                    for photo, group in zip(photos, groups, strict=True)]
    write_whole(out / 'measurements.json', json.dumps(measurements, indent=1))
    ranked = sorted(photos, key=_badness)
    write_whole(out / 'diagnosis.html', render(
        'diagnosis.html', name=Path(root.rstrip('/')).name, count=len(photos), left_out=left_out, clean=clean,
        rows=[_row(title, unit, value, photos) for title, unit, value in FIGURES],
        charts_of=[(title, histogram([value(photo) for photo in photos], unit))
                   for title, unit, value in FIGURES if title in CHARTS],
        best=_crops(source, ranked[:_SHOWN]), worst=_crops(source, ranked[:-_SHOWN - 1:-1]),
        groups=_group_rows(members), files=files, notes=degradation_options(photos, scale)[2]))
    return left_out


def meta_info(photos: list[Measured]) -> str:
    """A list of photos as ``datasets.train.meta_info_lq`` takes it: a line ``NAME (height,width,channels)`` each."""
    return ''.join(f'{photo.name} ({photo.size[0]},{photo.size[1]},3)\n' for photo in photos)


def _remove_former(out: Path) -> None:
    """What another number of groups left in the folder, which would be taken for this one's."""
    for path in (out / FILE, out / 'mssr.yml', *out.glob('mssr_[0-9].yml'), *out.glob(LISTS.format('[0-9]'))):
        path.unlink(missing_ok=True)


def histogram(values: list[float | None], unit: str) -> str:
    """Numbers of photos in bins of equal width, as a chart; what could not be told is left out."""
    told = np.array([value for value in values if value is not None], float)
    if not len(told):
        return '<p class="note">Could not be told of any photo.</p>'
    counts, edges = np.histogram(told, _BINS if np.ptp(told) else 1)
    return bar_chart([(f'{low:.3g} to {high:.3g}', float(count))
                      for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)], f'photos, by {unit}')


def _row(title: str, unit: str, value: Callable, photos: list[Measured]) -> tuple[str, ...]:
    told = [found for found in map(value, photos) if found is not None]
    quantiles = np.quantile(told, (0.05, 0.5, 0.95)) if told else (None,) * 3
    return title, *map(number, quantiles), unit, f'{len(told)} of {len(photos)}'


def _group_rows(groups: list[list[Measured]]) -> list[tuple[str, ...]]:
    rows = []
    for k, members in enumerate(groups, start=1):
        shown = [_row(title, unit, value, members)[2] for title, unit, value in FIGURES if title in CHARTS[:3]]
        rows.append((f'{k}', str(len(members)), *shown, ', '.join(photo.name for photo in members[:3])))
    return rows


def _badness(photo: Measured) -> float:
    """About how much is wrong: blur, noise and JPEG, each in units of what is plain to see."""
    return ((photo.blur.width if photo.blur else 1.0) + (photo.noise.level or photo.noise.floor) / 10
            + (100 - (photo.jpeg.quality if photo.jpeg else 100)) / 30)


def _crops(source: ImageSource, photos: list[Measured]) -> list[tuple[str, np.ndarray]]:
    """Titles, and the middles of the photos, (3, H, W)."""
    places = {image.name: index for index, image in enumerate(source.images)}
    crops = []
    for photo in photos:
        whole = to_rgb8(source.read(places[photo.name]))
        top, left = (max(length - min(_SIDE, CROP), 0) // 2 for length in whole.shape[:2])
        jpeg = f'JPEG {photo.jpeg.quality}' if photo.jpeg else 'no JPEG'
        crops.append((f'{photo.name}: blur {number(photo.blur and photo.blur.width)}, noise '
                      f'{number(photo.noise.level)}, {jpeg}',
                      whole[top:top + _SIDE, left:left + _SIDE].transpose(2, 0, 1)))
    return crops
