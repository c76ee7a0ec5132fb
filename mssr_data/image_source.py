"""The images of one role: a folder or an LMDB, listed once, read lazily through BasicSR's file client."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from os import path as osp

import numpy as np
from basicsr.utils import FileClient

from mssr_compat.errors import UserError
from mssr_data.decoding import TAIL, CorruptImageError, decode_image, header_size, looks_whole
from mssr_data.listing import Listed, key_of, list_folder, list_meta_info
from mssr_data.lmdb_store import missing_keys, open_lmdb

_READERS = 16  # files looked at side by side


class ImageSource:
    """A sorted list of images and how to read them.

    A folder and an LMDB of the same images have the same order: both are sorted by name without suffix. The object may
    be pickled and may cross a fork; each process opens the LMDB for itself, at its first read.

    Args:
        root: folder of images (sub-folders included), or ``.lmdb`` folder with BasicSR's ``meta_info.txt``.
        option: YAML key of ``root``, for messages.
        io_backend: BasicSR's ``io_backend``: ``type`` (``disk`` or ``lmdb``) and options of the client.
        meta_info: optional file that lists the names to use, one a line.
        meta_option: YAML key of ``meta_info``, for messages.
        cache: keep every decoded image in memory (3 bytes a pixel of an RGB photo), in each process that reads.

    Raises:
        UserError: nothing usable is there; the message names file and key.
    """

    def __init__(self, root: str, option: str, io_backend: dict, meta_info: str | None = None, meta_option: str = '',
                 cache: bool = False):
        self.root = osp.expanduser(str(root))
        self.option, self.meta_option = option, meta_option
        self.backend_options = dict(io_backend)
        self.backend = self.backend_options.pop('type', 'disk')
        self._client: tuple[int, FileClient] | None = None
        self._kept: dict[int, np.ndarray] | None = {} if cache else None
        if self.backend == 'lmdb':
            self.images = self._list_lmdb(meta_info, meta_option)
        elif self.backend == 'disk':
            self.images = self._list_disk(meta_info, meta_option)
        else:
            raise UserError(f"io_backend.type of {option} is '{self.backend}'; it must be disk or lmdb.")

    def _list_disk(self, meta_info: str | None, meta_option: str) -> list[Listed]:
        if self.backend_options:
            raise UserError(f"io_backend of {self.option} has '{next(iter(self.backend_options))}', which the disk "
                            'backend does not know; remove it.')
        if osp.isfile(osp.join(self.root, 'data.mdb')):
            raise UserError(f"{self.option}: '{self.root}' is an LMDB, but io_backend.type is disk; set it to lmdb.")
        if not meta_info:
            return list_folder(self.root, self.option)
        present = {image.name for image in list_folder(self.root, self.option)}
        images = list_meta_info(meta_info, meta_option)
        self._refuse_missing([image.name for image in images if image.name not in present], meta_info, meta_option)
        return images

    def _list_lmdb(self, meta_info: str | None, meta_option: str) -> list[Listed]:
        if not osp.isdir(self.root):
            raise UserError(f"{self.option}: the LMDB '{self.root}' does not exist; prepare it with "
                            'mssr prepare, or set io_backend.type to disk for a folder of images.')
        client = open_lmdb(self.root, self.option, **self.backend_options)
        listing = meta_info or osp.join(self.root, 'meta_info.txt')
        images = list_meta_info(listing, meta_option if meta_info else self.option)
        for image in images:
            if not image.name.isascii():
                raise UserError(f"{self.option}: '{listing}' lists '{image.name}', but BasicSR reads ASCII keys only; "
                                'prepare the data with mssr prepare, which renames such images.')
        self._refuse_missing(missing_keys(client, [key_of(image.name) for image in images]), listing,
                             meta_option if meta_info else self.option)
        return images

    def _refuse_missing(self, missing: list[str], listing: str, option: str) -> None:
        if missing:
            what = f"'{missing[0]}' of its images is" if len(missing) == 1 else (
                f"'{missing[0]}' and {len(missing) - 1} more of its images are")
            raise UserError(f"{option}: '{listing}' is out of date: {what} not in '{self.root}'; prepare the data "
                            'anew.')

    def __len__(self) -> int:
        return len(self.images)

    def path(self, index: int) -> str:
        """Where image ``index`` lies: a file path, or ``database.lmdb/key``."""
        name = self.images[index].name
        return osp.join(self.root, key_of(name) if self.backend == 'lmdb' else name)

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded image; None if an LMDB lacks it.

        Raises:
            CorruptImageError: the file cannot be read.
        """
        name = self.images[index].name
        if self.backend == 'lmdb':
            return self._file_client().get(key_of(name))
        try:
            return self._file_client().get(osp.join(self.root, name))
        except OSError as error:
            raise CorruptImageError(f"'{self.path(index)}' cannot be read ({error.strerror})") from error

    def read(self, index: int) -> np.ndarray:
        """Image ``index`` as :func:`~mssr_data.decoding.decode_image` gives it.

        Raises:
            CorruptImageError: it cannot be decoded.
        """
        if self._kept and index in self._kept:
            return self._kept[index]
        image = decode_image(self.read_bytes(index), f"'{self.path(index)}'")
        if self._kept is not None:
            self._kept[index] = image
        return image

    def size(self, index: int) -> tuple[int, int]:
        """Height and width as listed or, if not listed, as the image's header says (EXIF orientation not applied).

        Raises:
            CorruptImageError: there is no readable header.
        """
        listed = self.images[index].size
        if listed is not None:
            return listed
        data = self.path(index) if self.backend == 'disk' else io.BytesIO(self.read_bytes(index))
        return header_size(data, f"'{self.path(index)}'")

    def first_damaged(self) -> str | None:
        """What is wrong with the first file that cannot be used, as far as its beginning and its end tell, or None.

        Ten thousand files on a local disk take about a second. Only what looks odd is decoded. Images of an LMDB are
        not looked at: whether the database is whole was seen when it was opened.
        """
        if self.backend == 'lmdb':
            return None
        with ThreadPoolExecutor(_READERS) as pool:  # of use on a network disk
            for index, whole in enumerate(pool.map(self._looks_whole, range(len(self)))):
                if not whole:
                    try:
                        self.read(index)
                    except CorruptImageError as error:
                        pool.shutdown(cancel_futures=True)
                        return str(error)
        return None

    def _looks_whole(self, index: int) -> bool:
        try:
            with open(self.path(index), 'rb', buffering=0) as file:
                head, size = file.read(16), file.seek(0, os.SEEK_END)
                file.seek(max(size - TAIL, 0))
                return looks_whole(head, file.read(TAIL), size)
        except OSError:
            return False

    def _file_client(self) -> FileClient:
        if self._client is None or self._client[0] != os.getpid():
            client = (open_lmdb(self.root, self.option, **self.backend_options) if self.backend == 'lmdb'
                      else FileClient(self.backend))
            self._client = (os.getpid(), client)
        return self._client[1]

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_client': None, '_kept': None if self._kept is None else {}}
