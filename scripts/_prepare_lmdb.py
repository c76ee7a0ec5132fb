"""Sub-images in BasicSR's LMDB layout."""

import shutil
from pathlib import Path

import lmdb
from _prepare_images import COMPRESSION, Written
from basicsr.utils.lmdb_util import LmdbMaker

from mssr_data.listing import key_of


def stored_sizes(database: Path) -> dict[str, int]:
    """Sizes in bytes by file name of all images in ``database``; empty if it is missing or damaged."""
    try:
        with lmdb.open(str(database), readonly=True, lock=False, create=False) as environment:
            needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
            if (database / 'data.mdb').stat().st_size < needed or not (database / 'meta_info.txt').exists():
                return {}
            with environment.begin(buffers=True) as transaction:
                return {f'{bytes(key).decode()}.png': len(value) for key, value in transaction.cursor()}
    except (lmdb.Error, OSError):
        return {}


def build_lmdb(database: Path, files: list[Written], staging: Path, aside: Path) -> None:
    """Write ``files`` to ``database``, each from ``staging`` or, if it is no longer there, from the old ``database``.

    The database is made ``aside`` (a path that ends in .lmdb, on the same disk) and then moved into place, so that an
    interruption leaves the old one.

    Raises:
        OSError: a file cannot be read or written; also for a full disk.
    """
    shutil.rmtree(aside, ignore_errors=True)
    old = None
    maker = LmdbMaker(str(aside), map_size=sum(file.size + 8192 for file in files) * 2 + 2**26,
                      compress_level=COMPRESSION)
    try:
        if database.exists():
            old = lmdb.open(str(database), readonly=True, lock=False)
        for file in files:
            path, key = staging / file.name, key_of(file.name)
            data = path.read_bytes() if path.exists() else old.begin().get(key.encode())
            maker.put(data, key, (file.height, file.width, 3))
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
    replaced = aside.with_name(f'{aside.stem}.old')
    shutil.rmtree(replaced, ignore_errors=True)
    if database.exists():
        database.rename(replaced)
    aside.rename(database)
    shutil.rmtree(replaced, ignore_errors=True)
