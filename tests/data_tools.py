"""Small data sets for the tests of the data package and of its preparation."""

from pathlib import Path

import cv2
import lmdb
import numpy as np
from basicsr.utils.lmdb_util import LmdbMaker


def photo(number: int, height: int, width: int) -> np.ndarray:
    """A smooth RGB picture, uint8, that differs for each number."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def write_photo(path: Path, image: np.ndarray) -> None:
    """RGB or gray ``image`` in the format of the suffix; any path, also a non-ASCII one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = image[..., ::-1] if image.ndim == 3 else image
    path.write_bytes(cv2.imencode(path.suffix, bgr)[1].tobytes())


def write_folder(folder: Path, count: int, height: int, width: int, first: int = 0) -> Path:
    """``count`` PNGs of slightly different sizes from height x width up."""
    for number in range(count):
        write_photo(folder / f'p{number:03d}.png', photo(first + number, height + number % 3, width + number % 2))
    return folder


def folder_to_lmdb(folder: Path, database: Path) -> Path:
    """The same files in BasicSR's LMDB layout, in an order of their own."""
    maker = LmdbMaker(str(database))
    for file in sorted(folder.rglob('*.png'), reverse=True):
        image = cv2.imread(str(file))
        maker.put(file.read_bytes(), file.relative_to(folder).with_suffix('').as_posix(), image.shape)
    maker.close()
    return database


def options(root: Path, **changes) -> dict:
    """Options of an unpaired data set in the folders ``gt`` and ``lq`` of ``root``."""
    return {
        'name': 'tiny', 'type': 'UnpairedImageDataset', 'phase': 'train', 'scale': 4, 'gt_size': 32,
        'dataroot_gt': str(root / 'gt'), 'dataroot_lq': str(root / 'lq'), 'io_backend': {'type': 'disk'},
        'use_hflip': True, 'use_rot': True, 'batch_size_per_gpu': 4, 'num_worker_per_gpu': 0,
    } | changes


def lmdb_options(root: Path, **changes) -> dict:
    """The same with the LMDBs ``gt.lmdb`` and ``lq.lmdb``."""
    roots = {f'dataroot_{role}': str(root / f'{role}.lmdb') for role in ('gt', 'lq')}
    return options(root, io_backend={'type': 'lmdb'}, **roots) | changes


def tiny_sets(root: Path) -> Path:
    """In ``root``: 4 HR and 3 LR photos, as folders and as LMDBs."""
    for role, (count, height, width) in {'gt': (4, 48, 60), 'lq': (3, 12, 15)}.items():
        write_folder(root / role, count, height, width)
        folder_to_lmdb(root / role, root / f'{role}.lmdb')
    return root


def rewrite(database: Path, change) -> None:
    """Change the stored images by hand, in a transaction; meta_info.txt stays as it is."""
    with lmdb.open(str(database), map_size=2**26) as environment, environment.begin(write=True) as transaction:
        change(transaction)
