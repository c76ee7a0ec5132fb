"""Photo files to upscaled files: which photos a command line means, what their results are called, one by one."""

import glob
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError, to_rgb8
from mssr_data.listing import list_folder
from mssr_inference.grouped_upscaler import GroupedUpscaler
from mssr_inference.memory import free_on_cpu, in_words
from mssr_inference.picture_files import (
    DEEP_FORMATS,
    SUFFIXES,
    Picture,
    check_size,
    decoded_bytes,
    format_of,
    read_picture,
    write_picture,
)
from mssr_inference.upscaler import BY_MEMORY, Tiling, Upscaler

WRITING = 3  # times that a result is in memory while it is written: itself, the encoder's copy, the encoded file


class Job(NamedTuple):
    """One photo and where its result goes."""

    source: Path
    target: Path
    format: str  #: PNG, JPEG, WEBP or TIFF


def list_jobs(pattern: str, output: str, format: str = 'same', suffix: str = '') -> list[Job]:
    """Find the photos, and name their results after them.

    A folder's sub-folders are searched and kept. Where two photos would give one result (``a.png`` and ``a.bmp``),
    the results are called ``a_png.png`` and ``a_bmp.png``.

    Args:
        pattern: a file, a folder, or a pattern such as ``photos/*.jpg`` (``**``: any folders).
        output: folder of the results; for a single file also a file name.
        format: ``png``, ``jpg``, ``webp``, ``tif``, or ``same``: that of the photo, or PNG where it is none of these.
        suffix: put at the end of the names, before the file type.

    Raises:
        UserError: no photo is found, or a result would replace a photo.
    """
    root, names = _find(pattern)
    wanted = None if format == 'same' else format_of(f'x.{format}')
    single = format_of(output) if len(names) == 1 and not Path(output).is_dir() else None
    if single:
        jobs = [Job(root / names[0], Path(output), single)]
    else:
        formats = [wanted or format_of(name) or 'PNG' for name in names]
        count = Counter((Path(name).with_suffix(''), form) for name, form in zip(names, formats, strict=True))
        jobs = []
        for path, form in zip(map(Path, names), formats, strict=True):
            clash = count[path.with_suffix(''), form] > 1
            stem = path.stem + (path.suffix.lower().replace('.', '_') if clash else '')
            same_kind = format == 'same' and format_of(path.name) == form and not clash
            ending = path.suffix if same_kind else SUFFIXES[form]
            jobs.append(Job(root / path, Path(output) / path.parent / f'{stem}{suffix}{ending}', form))
    photos = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in photos:
            raise UserError(f'the result of {job.source} would replace the photo {job.target}: give another folder '
                            'with -o, or a --suffix.')
    return jobs


def _find(pattern: str) -> tuple[Path, list[str]]:
    """A folder, and names of photos in it."""
    path = Path(pattern).expanduser()
    if path.is_file():
        return path.parent, [path.name]
    if path.is_dir():
        return path, [image.name for image in list_folder(str(path), '-i')]
    if not glob.has_magic(pattern):
        raise UserError(f'-i {pattern}: there is no such file or folder.')
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
    if not found:
        raise UserError(f'-i {pattern}: no file matches this pattern.')
    # Folders from the first one on that the pattern leaves open are kept.
    fixed = next(k for k, part in enumerate(path.parts) if glob.has_magic(part))
    root = Path(*path.parts[:min(fixed, len(path.parts) - 1)])
    return root, [str(name.relative_to(root)) for name in found]


def largest_result(jobs: list[Job], scale: int) -> str:
    """What the largest result takes, as a sentence; from the headers of the photos alone."""
    pixels, num_bytes = max(map(decoded_bytes, (job.source for job in jobs)), key=lambda found: found[1])
    return (f'{len(jobs)} photo{"s" if len(jobs) > 1 else ""}; the largest result has {pixels * scale**2:,} pixels and '
            f'takes up to {in_words(WRITING * num_bytes * scale**2)} of memory; {in_words(free_on_cpu())} are free.')


def upscale_all(upscaler: Upscaler | GroupedUpscaler, jobs: list[Job], tiling: Tiling, quality: int = 95,
                show_progress: bool = True) -> list[tuple[Path, str]]:
    """Upscale many photos; one that fails does not stop the others.

    Args:
        upscaler: the network.
        jobs: from :func:`list_jobs`.
        tiling, quality: as for :func:`upscale_file`.
        show_progress: a bar on the standard error stream, on which each photo is one step.

    Returns:
        Photos that could not be upscaled, and why.
    """
    failures = []
    with tqdm(jobs, unit='photo', disable=not show_progress or None) as bar:
        for source, target, format in bar:
            def show(done: int, total: int, name: str = source.name) -> None:
                bar.set_postfix_str(f'{name}, tile {done}/{total}' if total > 1 else name)

            try:
                picture = upscale_file(upscaler, source, target, format, tiling, quality, show)
            except (CorruptImageError, MemoryError) as error:
                failures.append((source, str(error).removeprefix(f'{source} ') or 'memory does not hold it'))
            except OSError as error:
                failures.append((source, f'{target} cannot be written ({error.strerror or error})'))
            else:
                if picture.alpha is not None and format == 'JPEG':
                    bar.write(f'{source}: JPEG holds no alpha; it was left out')
    return failures


def upscale_file(upscaler: Upscaler | GroupedUpscaler, source: str | Path, target: str | Path, format: str,
                 tiling: Tiling = BY_MEMORY, quality: int = 95,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> Picture:
    """Upscale a photo file.

    Gray stays gray, 16 bits stay 16 bits in PNG and TIFF, alpha (enlarged bicubically) stays except in JPEG, and the
    colour profile stays. Memory holds the photo, the whole result in its own bits, and one tile.

    Args:
        upscaler: the network.
        source: the photo.
        target: the file to write.
        format: PNG, JPEG, WEBP or TIFF.
        tiling: how it is cut; by default to fit into free memory.
        quality: of JPEG and WebP, 1 to 100.
        progress: called after each tile with the number of tiles done and of all.

    Returns:
        The photo that was read.

    Raises:
        CorruptImageError: the photo cannot be read, or the format cannot hold the result.
        MemoryError: memory does not hold the result, or not even the smallest tile.
        OSError: the result cannot be written.
    """
    picture = read_picture(source)
    height, width = (upscaler.scale * side for side in picture.size)
    dtype = np.dtype(np.uint16 if picture.white > 255 and format in DEEP_FORMATS else np.uint8)
    alpha = picture.alpha if format != 'JPEG' else None
    check_size(Path(target), format, height, width)
    channels = (1 if picture.is_gray else 3) + (alpha is not None)
    needed, free = WRITING * height * width * channels * dtype.itemsize, free_on_cpu()
    if needed > free:
        raise MemoryError(f'its result of {width} x {height} pixels takes {in_words(needed)} of memory, but '
                          f'{in_words(free)} are free: cut the photo into parts')
    pixels = upscaler.upscaled(picture, tiling, dtype, progress)
    if alpha is not None:
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_CUBIC)
        pixels = np.dstack([pixels, alpha if alpha.dtype == dtype else to_rgb8(alpha[..., None])])
    write_picture(target, pixels, format, picture.icc, picture.exif, quality)
    return picture
