"""All photos of one role to a folder or an LMDB, in parallel, resumable."""

import shutil
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import lmdb
from tqdm import tqdm

from mssr_compat.errors import UserError
from mssr_compat.files import remove_asides, write_whole
from mssr_data.decoding import CorruptImageError
from mssr_data.listing import key_of
from mssr_data.lmdb_store import COMPRESSION, Packed, pack_lmdb, packed_sizes
from mssr_prepare.crop import Crop
from mssr_prepare.images import Prepared, Written, prepare_photo
from mssr_prepare.journal import Journal
from mssr_prepare.sources import Photo, read_photos, unique_keys


class Target(NamedTuple):
    """How photos are written."""

    out: Path
    as_lmdb: bool
    crop: Crop | None
    workers: int


class RolePreparation:
    """The photos of one role on their way to ``out/name`` or ``out/name.lmdb``.

    A hidden folder in ``out`` holds the journal and, until an LMDB is complete, its images: what was prepared once is
    not prepared again, whether the run was interrupted, the disk was full, or photos were added.

    Args:
        name: what the output is called.
        photos: the photos of this role.
        target: where and how they are written.

    Raises:
        UserError: the output cannot be written, or was begun with other settings.
    """

    def __init__(self, name: str, photos: list[Photo], target: Target):
        self.name = name
        self.target = target
        self.keys = unique_keys(photos)
        self.done: dict[Photo, Prepared] = {}
        self.unreadable: dict[Photo, str] = {}
        self.kept = 0
        state = target.out / '.prepare'
        self.database = target.out / f'{name}.lmdb'
        self.folder = state / name if target.as_lmdb else target.out / name
        try:
            state.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(exist_ok=True)
            self.journal = Journal(state / f"{name}{'.lmdb' if target.as_lmdb else ''}.jsonl", target.crop)
        except OSError as error:
            raise self._cannot_write(error) from error

    def run(self) -> None:
        """Prepare what is not prepared yet.

        Raises:
            UserError: the output cannot be written; all that was written stays.
        """
        try:
            self._find_done()
            todo = [photo for photo in self.keys if photo not in self.done]
            self.kept = len(self.done)
            with tqdm(total=len(self.keys), initial=self.kept, desc=self.name, unit='photo', disable=None) as bar:
                self._prepare(todo, bar)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _find_done(self) -> None:
        remove_asides(self.folder)
        present = {path.name: path.stat().st_size for path in self.folder.iterdir()}
        if self.target.as_lmdb:
            present = self._packed() | present
        for photo, key in self.keys.items():
            prepared = self.journal.find(photo, key)
            if prepared and all(present.get(file.name) == file.size for file in prepared.files):
                self.done[photo] = prepared
        self._forget(set(self.journal.entries) - {photo.path for photo in self.done})

    def _forget(self, paths: set[str]) -> None:
        for name in self.journal.forget(paths) if paths else ():
            (self.folder / name).unlink(missing_ok=True)

    def _prepare(self, todo: list[Photo], bar: tqdm) -> None:
        running: dict[Future, Photo] = {}
        failure: OSError | None = None

        def collect(futures):
            nonlocal failure
            for future in futures:
                photo = running.pop(future)
                bar.update()
                try:
                    prepared = future.result()
                    self.journal.add(photo, self.keys[photo], prepared)
                    self.done[photo] = prepared
                except CorruptImageError as error:
                    self.unreadable[photo] = str(error)
                except OSError as error:
                    failure = failure or error

        with ThreadPoolExecutor(self.target.workers) as pool:  # OpenCV works outside Python's lock
            try:
                for photo, data in read_photos(todo):
                    future = pool.submit(prepare_photo, photo, data, self.keys[photo], self.folder, self.target.crop)
                    running[future] = photo
                    if len(running) >= 2 * self.target.workers:
                        collect(wait(running, return_when=FIRST_COMPLETED).done)
                    if failure:
                        break
            finally:  # what is under way is finished and noted down, also after an interruption
                collect(wait(running).done)
        if failure:
            raise failure

    def drop(self, photos: set[Photo]) -> None:
        """Leave prepared photos out after all."""
        self._forget({photo.path for photo in photos})
        self.done = {photo: prepared for photo, prepared in self.done.items() if photo not in photos}

    def finish(self) -> None:
        """Write the meta-info file or the LMDB, if they are not up to date.

        Raises:
            UserError: they cannot be written; the sub-images stay.
        """
        files = self.files
        try:
            if not self.target.as_lmdb:
                lines = [f'{file.name} ({file.height},{file.width},3) {COMPRESSION}\n' for file in files]
                write_whole(self.meta_info, ''.join(lines))
                return
            if self._packed() != {file.name: file.size for file in files}:
                images = [Packed(key_of(file.name), file.size, file.height, file.width) for file in files]
                pack_lmdb(self.database, images, self._read)
            shutil.rmtree(self.folder)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _packed(self) -> dict[str, int]:
        """Sizes by file name of what the database holds."""
        return {f'{key}.png': size for key, size in packed_sizes(self.database).items()}

    def _read(self, key: str, old: lmdb.Environment | None) -> bytes:
        """An image that was prepared now or, for those of a run before, lies in the old database."""
        path = self.folder / f'{key}.png'
        return path.read_bytes() if path.exists() else old.begin().get(key.encode())

    @property
    def files(self) -> list[Written]:
        """All output images, sorted by key."""
        return sorted((file for prepared in self.done.values() for file in prepared.files),
                      key=lambda file: key_of(file.name))

    @property
    def meta_info(self) -> Path:
        return self.target.out / 'meta_info' / f'{self.name}.txt'

    @property
    def root(self) -> Path:
        """The folder or database to name in the options."""
        return self.database if self.target.as_lmdb else self.folder

    @property
    def modes(self) -> Counter:
        return Counter(prepared.mode for prepared in self.done.values())

    def strangers(self) -> list[str]:
        """Files in the output folder that this preparation did not write."""
        if self.target.as_lmdb:
            return []
        return sorted({path.name for path in self.folder.iterdir()} - {file.name for file in self.files})

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(f"'{error.filename or self.folder}' cannot be written ({error.strerror}); {len(self.done)} of "
                         f'{len(self.keys)} photos of {self.name} are prepared and kept: mend that and run the same '
                         'command again.')
