"""Which photos a command line means, and what their results are called."""

import glob
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from mssr_compat.errors import UserError
from mssr_data.listing import list_folder
from mssr_inference.writers import SUFFIXES, format_of


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
        for name, form in zip(names, formats, strict=True):
            path = Path(name)
            stem = path.stem
            if count[path.with_suffix(''), form] > 1:
                stem += path.suffix.lower().replace('.', '_')
            same_kind = format_of(name) == form and format == 'same' and count[path.with_suffix(''), form] == 1
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
    fixed = []
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    root = Path(*fixed)
    return root, [str(name.relative_to(root)) for name in found]
