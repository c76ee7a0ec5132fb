"""What the tests of data preparation share: small photos, the command, and what it wrote."""

import tarfile
import zipfile
from pathlib import Path

import lmdb

from data_tools import write_folder
from mssr_prepare.__main__ import main

SCRIPTS = Path(__file__).resolve().parent.parent / 'scripts'


def small_photos(root):
    """In ``root``: `clean`, 3 HR photos of about 100x130 px, and `real`, 2 LR photos of about 24x30 px."""
    write_folder(root / 'clean', 3, 100, 130, first=50)
    write_folder(root / 'real', 2, 24, 30)
    return root


def run(root, *more, gt_crop='64,32,8', lq_crop='none', roles=True):
    named = ['--gt', str(root / 'clean'), '--lq', str(root / 'real')] if roles else []
    return main([*named, '--out', str(root / 'out'), '--gt-crop', gt_crop, '--lq-crop', lq_crop, '--workers', '2',
                 *map(str, more)])


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob('*')) if
            path.is_file()}


def contents(out):
    found = {}
    for database in sorted(out.glob('*.lmdb')):
        with lmdb.open(str(database), readonly=True, lock=False) as environment, environment.begin() as transaction:
            found[database.name] = dict(transaction.cursor()), (database / 'meta_info.txt').read_text()
    return found


def pack(folder, archive):
    if archive.suffix == '.zip':
        with zipfile.ZipFile(archive, 'w') as file:
            for path in sorted(folder.rglob('*.png')):
                file.write(path, path.relative_to(folder).as_posix())
            file.writestr('__MACOSX/._p000.png', b'junk')
    else:
        with tarfile.open(archive, 'w:gz' if archive.name.endswith('gz') else 'w') as file:
            file.add(folder, '.')
