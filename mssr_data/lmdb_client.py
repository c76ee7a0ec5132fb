"""BasicSR's LMDB file client, shared: LMDB allows one open environment per database and process."""

import os
from os import path as osp
from weakref import WeakValueDictionary

import lmdb
from basicsr.utils import FileClient

from mssr_compat.errors import UserError

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
                            'scripts/prepare_data.py wrote, or set io_backend.type to disk.')
        try:
            client = FileClient('lmdb', db_paths=[path], client_keys=['default'], **backend_options)
            environment = _environment(client)
            needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
        except lmdb.Error as error:
            raise UserError(f"{option}: the LMDB '{root}' cannot be opened ({error}); prepare it anew with "
                            'scripts/prepare_data.py.') from error
        if osp.getsize(database) < needed:
            environment.close()
            raise UserError(f"{option}: the LMDB '{root}' is cut short: data.mdb has {osp.getsize(database)} of "
                            f'{needed} bytes; copy it again or prepare it anew with scripts/prepare_data.py.')
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
