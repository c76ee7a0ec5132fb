"""Images in LMDBs of BasicSR's layout: packing, and reading by its file client.

The client is shared: LMDB allows one open environment per database and process.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from os import path as osp
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

import lmdb
from basicsr.utils import FileClient
from basicsr.utils.lmdb_util import LmdbMaker

from mssr_compat.errors import UserError

COMPRESSION = 1  # of PNG, which BasicSR notes down: images for training are read many times
_CLIENTS: 'WeakValueDictionary[str, FileClient]' = WeakValueDictionary()


def _environment(client: FileClient) -> lmdb.Environment:
    return client.client._client['default']


def open_lmdb(root: str, option: str, **backend_options) -> FileClient:
    """The process's one client for the LMDB at ``root``; it is closed when its last holder lets go of it.

    Raises:
        UserError: it is no LMDB, or cut short (reading beyond its end would kill the process, not raise).
    """
    path = osp.realpath(root)
    client = _CLIENTS.get(path)
    if client is None:
        database = osp.join(path, 'data.mdb')
        if not osp.isfile(database):
            raise UserError(f"{option}: '{root}' is no LMDB: it has no data.mdb; give the .lmdb folder that "
                            'mssr prepare wrote, or set io_backend.type to disk.')
        try:
            client = FileClient('lmdb', db_paths=[path], client_keys=['default'], **backend_options)
            environment = _environment(client)
            needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
        except lmdb.Error as error:
            raise UserError(f"{option}: the LMDB '{root}' cannot be opened ({error}); prepare it anew with "
                            'mssr prepare.') from error
        if osp.getsize(database) < needed:
            environment.close()
            raise UserError(f"{option}: the LMDB '{root}' is cut short: data.mdb has {osp.getsize(database)} of "
                            f'{needed} bytes; copy it again or prepare it anew with mssr prepare.')
        _CLIENTS[path] = client
    return client


def missing_keys(client: FileClient, keys: list[str]) -> list[str]:
    """Those of ``keys`` that the database lacks."""
    longest = _environment(client).max_key_size()
    with _environment(client).begin() as transaction, transaction.cursor() as cursor:
        return [key for key in keys if len(key.encode()) > longest or not cursor.set_key(key.encode())]


def _leave_to_parent() -> None:
    """LMDB environments must not be used across a fork: a forked worker opens its own."""
    for client in list(_CLIENTS.values()):
        _environment(client).close()
    _CLIENTS.clear()


if hasattr(os, 'register_at_fork'):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_leave_to_parent)


class Packed(NamedTuple):
    """An image to pack: its key, its encoded size in bytes, height and width in pixels."""

    key: str
    size: int
    height: int
    width: int


def pack_lmdb(database: Path, images: Iterable[Packed], read: Callable[[str, lmdb.Environment | None], bytes]) -> None:
    """Put encoded RGB images into an LMDB; an old one is replaced when the new one is whole.

    Args:
        database: a folder that ends in .lmdb.
        images: what to pack, in this order.
        read: gives the bytes of a key; it also takes the old database, None where there is none.

    Raises:
        OSError: something cannot be read or written, as on a full disk; the old database is as it was.
    """
    images, old = list(images), None
    aside, replaced = (database.with_name(f'.{database.stem}.{word}.lmdb') for word in ('aside', 'old'))
    shutil.rmtree(aside, ignore_errors=True)
    maker = LmdbMaker(str(aside), map_size=sum(image.size + 8192 for image in images) * 2 + 2**26,
                      compress_level=COMPRESSION)
    try:
        if database.exists():
            old = lmdb.open(str(database), readonly=True, lock=False)
        for image in images:
            maker.put(read(image.key, old), image.key, (image.height, image.width, 3))
        maker.close()
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)  # room for the next attempt
        if isinstance(error, lmdb.Error):
            raise OSError(None, str(error), str(database)) from error
        raise
    finally:
        maker.env.close()
        maker.txt_file.close()
        if old is not None:
            old.close()
    shutil.rmtree(replaced, ignore_errors=True)
    if database.exists():
        database.rename(replaced)
    aside.rename(database)
    shutil.rmtree(replaced, ignore_errors=True)


def packed_sizes(database: Path) -> dict[str, int]:
    """Sizes in bytes by key of all images in a database; empty if it is missing or damaged."""
    try:
        with lmdb.open(str(database), readonly=True, lock=False, create=False) as environment:
            needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
            if (database / 'data.mdb').stat().st_size < needed or not (database / 'meta_info.txt').exists():
                return {}
            with environment.begin(buffers=True) as transaction:
                return {bytes(key).decode(): len(value) for key, value in transaction.cursor()}
    except (lmdb.Error, OSError):
        return {}
