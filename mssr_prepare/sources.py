"""Photos in folders and archives: what there is, how it is read, and what each photo will be called."""

import hashlib
import os
import re
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mssr_compat.errors import UserError
from mssr_data.decoding import IMAGE_SUFFIXES, CorruptImageError
from mssr_data.listing import key_of, list_folder

_ARCHIVE = re.compile(r'\.(zip|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz))$', re.IGNORECASE)
_DAMAGED = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error)
_LONGEST_KEY = 150  # LMDB allows 511 bytes, most file systems 255; the number of a sub-image is added


@dataclass(frozen=True)
class Photo:
    """One image file: where it is, its path as the user sees it, its name without suffix, and what tells a change."""

    container: Path  # folder or archive
    member: str  # path in the container
    path: str  # path below the folder or archive that was given, an archive counting as a folder
    name: str  # what its key is made of
    fingerprint: tuple[int, int]  # size in bytes, and time of change or checksum

    def __str__(self) -> str:
        return str(self.container / self.member)


def list_photos(root: Path, option: str) -> list[Photo]:
    """All photos in the folder or archive ``root``, archives in the folder included, hidden files left out.

    Raises:
        UserError: it does not exist or cannot be read, or there is no photo; ``option`` is the argument to name.
    """
    if root.is_file():
        if not _ARCHIVE.search(root.name):
            raise UserError(f"{option}: '{root}' is neither a folder nor an archive (.zip, .tar, .tar.gz, ...).")
        photos = _list_archive(root, '', option)
        if not photos:
            raise UserError(f"{option}: the archive '{root}' holds no image (ending in {', '.join(IMAGE_SUFFIXES)}).")
        return photos
    archives = sorted(path for path in root.rglob('*') if _ARCHIVE.search(path.name) and path.is_file()
                      and not any(part.startswith('.') for part in path.relative_to(root).parts))
    photos = []
    try:
        for image in list_folder(str(root), option):
            status = (root / image.name).stat()
            photos.append(Photo(root, image.name, image.name, key_of(image.name), (status.st_size, status.st_mtime_ns)))
    except UserError:
        if not archives:
            raise
    for archive in archives:
        folder = _ARCHIVE.sub('', archive.relative_to(root).as_posix())
        photos += _list_archive(archive, f'{folder}/', option)
    return list({photo.path: photo for photo in reversed(photos)}.values())[::-1]  # an unpacked archive counts once


def _list_archive(archive: Path, prefix: str, option: str) -> list[Photo]:
    try:
        members = [member[:3] for member in _members(archive)]
    except _DAMAGED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{option}: the archive '{archive}' is cut short or damaged ({reason}); fetch it again."
                        ) from error
    photos = []
    for member, size, mark in members:
        path = member.removeprefix('./')
        hidden = any(part.startswith('.') or part == '__MACOSX' for part in path.split('/'))
        if path.lower().endswith(IMAGE_SUFFIXES) and not hidden:
            photos.append(Photo(archive, member, prefix + path, key_of(path), (size, mark)))
    return sorted(photos, key=lambda photo: photo.path)


def _members(archive: Path) -> Iterator[tuple[str, int, int, Callable[[], bytes]]]:
    """Path, size, checksum or time of change, and how to read each file; read each before the next."""
    if archive.suffix.lower() == '.zip':
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, info.CRC, partial(file.read, info)
        return
    with tarfile.open(archive) as file:  # a compressed one cannot be read in any other order than its own
        for info in file:
            if info.isfile():
                yield info.name, info.size, int(info.mtime), file.extractfile(info).read


def read_photos(photos: list[Photo]) -> Iterator[tuple[Photo, bytes | CorruptImageError | None]]:
    """Each photo with its bytes, if it lies in an archive; None for a file, which any thread may read for itself."""
    archives: dict[Path, list[Photo]] = {}
    for photo in photos:
        if photo.container.is_dir():
            yield photo, None
        else:
            archives.setdefault(photo.container, []).append(photo)
    for archive, inside in archives.items():
        wanted = {photo.member: photo for photo in inside}
        for member, _, _, read in _members(archive):
            photo = wanted.pop(member, None)
            if photo is not None:
                try:
                    data = read()
                except _DAMAGED as error:
                    data = CorruptImageError(f"'{photo}' cannot be read from its archive ({error})")
                yield photo, data


def unique_keys(photos: list[Photo]) -> dict[Photo, str]:
    """A key for each photo that is plain ASCII, without dots and blanks, and unique also where case does not count.

    Folder names are joined to the file name by underscores. A name that had to be changed further, or that two photos
    share, gets a short checksum of the full name, so that keys depend neither on order nor on other photos.
    """
    plain = {photo: photo.name.replace('/', '_') for photo in photos}
    keys = {photo: _ascii(name) for photo, name in plain.items()}
    count = Counter(key.lower() for key in keys.values())
    for photo, key in keys.items():
        sub_image = re.fullmatch(r'(.+)_s\d{3,}', key)  # might meet a sub-image of another photo
        if key != plain[photo] or count[key.lower()] > 1 or (sub_image and sub_image[1].lower() in count):
            full = photo.path if count[key.lower()] > 1 else photo.name
            keys[photo] = f'{key}_{hashlib.sha1(full.encode()).hexdigest()[:8]}'
    return keys


def _ascii(name: str) -> str:
    name = unicodedata.normalize('NFKD', name).encode('ascii', 'ignore').decode()
    return re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:_LONGEST_KEY] or 'photo'


def is_inside(path: Path, folder: Path) -> bool:
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ''))
