"""All photos of a folder, on all cores, each read once."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import cv2
import numpy as np
import torch
from tqdm import tqdm

from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError, to_rgb8
from mssr_data.image_source import ImageSource
from mssr_diagnose.blur import PHOTOGRAPHS, Sharpness, measure_blur
from mssr_diagnose.noise import TO_YCBCR
from mssr_diagnose.photo import CROP, SMALLEST, Measured, measure_photo

_MOST_CLEAN = 100  # clean photos
_FEWEST_CLEAN = 4


def open_folder(root: str, option: str) -> ImageSource:
    """The photos of a folder (with sub-folders) or an ``.lmdb``.

    Raises:
        UserError: there are none.
    """
    root = root.rstrip('/')
    return ImageSource(root, option, {'type': 'lmdb' if root.endswith('.lmdb') else 'disk'})


def measure_folder(source: ImageSource, sharp: Sharpness = PHOTOGRAPHS,
                   processes: int | None = None) -> tuple[list[Measured], list[tuple[str, str]]]:
    """Measure all photos, with a bar.

    Args:
        source: the photos.
        sharp: what is not to be called blur.
        processes: how many work; None: one for each core.

    Returns:
        What was measured, and names and reasons of photos that were not.

    Raises:
        UserError: none could be measured.
    """
    processes = min(processes or _cores(), len(source))
    work = partial(_measure, source, sharp)
    if processes > 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # ends its threads: a process forked beside them waits for threads that it lacks
        with ProcessPoolExecutor(processes, initializer=_one_thread) as pool:
            found = list(_bar(pool.map(work, range(len(source)), chunksize=4), len(source)))
        cv2.setNumThreads(threads)
    else:
        found = [work(index) for index in _bar(range(len(source)), len(source))]
    measured = [one for one in found if isinstance(one, Measured)]
    left_out = [one for one in found if not isinstance(one, Measured)]
    if not measured:
        raise UserError(f'{source.root}: no photo could be measured, such as {left_out[0][0]}: {left_out[0][1]}')
    return measured, left_out


def sharpness_of(source: ImageSource, scale: int) -> Sharpness:
    """What clean photos have, reduced by ``scale``, on the median.

    Raises:
        UserError: fewer than four are large enough.
    """
    rests = []
    for index in np.linspace(0, len(source) - 1, min(len(source), _MOST_CLEAN)).astype(int):
        photo = to_rgb8(source.read(index))
        height, width = (min(length // scale, CROP) for length in photo.shape[:2])
        if min(height, width) >= SMALLEST:
            photo = cv2.resize(photo[:height * scale, :width * scale].astype(np.float32), (width, height),
                               interpolation=cv2.INTER_AREA)
            luma = photo @ TO_YCBCR[0]
            blur = measure_blur(luma, sharp=Sharpness(rest=-1.0))  # so far off 0 that nothing is cut off
            if blur:
                rests.append(blur.width**2 - 1)
    if len(rests) < _FEWEST_CLEAN:
        raise UserError(f'{source.root}: {len(rests)} clean photos have {SMALLEST * scale} pixels a side; '
                        f'{_FEWEST_CLEAN} or more are needed.')
    return Sharpness(rest=float(np.median(rests)))


def _measure(source: ImageSource, sharp: Sharpness, index: int) -> Measured | tuple[str, str]:
    name = source.images[index].name
    try:
        return measure_photo(np.ascontiguousarray(to_rgb8(source.read(index))), name, sharp)
    except (CorruptImageError, UserError) as error:
        return name, str(error)


def _bar(items, total: int):
    return tqdm(items, total=total, unit='photo', desc='measuring')


def _one_thread() -> None:
    """In each process: together they fill the cores."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
