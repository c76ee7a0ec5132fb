"""The photos of an evidence run: a folder in AIM2019's layout, or a world made of clean photos by a known camera."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from known_degradation import DEFAULTS, KnownDegradation

from mssr_compat.errors import UserError
from mssr_data.listing import key_of, list_folder
from mssr_inference.picture_files import read_picture

HR_TRAIN, LR_TRAIN, HR_VALID, LR_VALID = ROLES = (
    'train-clean-images', 'train-noisy-images', 'valid-gt-clean', 'valid-input-noisy')
CAMERA = 'known_degradation.pth'  # of a world whose degradation is known
SCALE = 4
LARGEST = 640  # pixels a side that a known world takes from the middle of a photo
FEWEST_VALID, FEWEST = 8, 12  # photos of a known world: validation, all


@dataclass(frozen=True)
class World:
    """Where the photos are, and the validation pairs by name."""

    root: Path
    pairs: dict[str, tuple[Path, Path]]  #: name without suffix: (HR, LR), sorted
    counts: dict[str, int]  #: role: number of photos
    digest: str = ''  #: of the names and sizes of all files

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def camera(self) -> Path | None:
        """The checkpoint of the known degradation, where it is known."""
        path = self.root / CAMERA
        return path if path.is_file() else None

    def role(self, name: str) -> str:
        """The folder of a role, absolute."""
        return str(self.root / name)


def read_world(root: Path) -> World:
    """Look at a world.

    Raises:
        UserError: a folder is missing or empty, or the validation photos are no pairs of factor 4.
    """
    root = Path(root).expanduser().resolve()
    if not root.is_dir():
        raise UserError(f"WORLD: there is no folder '{root}'; it must hold {', '.join(ROLES)}.")
    listed = {role: [image.name for image in list_folder(str(root / role), f'WORLD/{role}')] for role in ROLES}
    lr_names = {key_of(name): name for name in listed[LR_VALID]}
    pairs = {}
    for name in listed[HR_VALID]:
        lr = lr_names.pop(key_of(name), None)
        if lr is None:
            raise UserError(f"WORLD: '{root / HR_VALID / name}' has no partner of the same name in {LR_VALID}.")
        pairs[key_of(name)] = (root / HR_VALID / name, root / LR_VALID / lr)
    if lr_names:
        raise UserError(f"WORLD: '{root / LR_VALID / next(iter(lr_names.values()))}' has no partner of the same name "
                        f'in {HR_VALID}.')
    for hr, lr in pairs.values():
        sizes = [read_rgb(path).shape[:2] for path in (hr, lr)]
        if sizes[0] != tuple(SCALE * side for side in sizes[1]):
            raise UserError(f"WORLD: '{hr}' is {sizes[0][1]}x{sizes[0][0]} pixels and '{lr}' is "
                            f'{sizes[1][1]}x{sizes[1][0]}, but HR must be {SCALE} times LR.')
    files = [(role, name, (root / role / name).stat().st_size) for role, names in listed.items() for name in names]
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return World(root, pairs, {role: len(names) for role, names in listed.items()}, digest)


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) RGB uint8; errors as :func:`mssr_inference.picture_files.read_picture`."""
    pixels = read_picture(path).pixels
    pixels = np.repeat(pixels[..., None], 3, -1) if pixels.ndim == 2 else pixels
    return np.array(pixels if pixels.dtype == np.uint8 else pixels // 257, dtype=np.uint8)


def read_tensor(path: Path) -> torch.Tensor:
    """The photo of :func:`read_rgb` as float32 (3, H, W), RGB in [0, 1]."""
    return torch.from_numpy(read_rgb(path)).permute(2, 0, 1).float() / 255


def write_rgb(path: Path, image: np.ndarray | torch.Tensor) -> None:
    """(H, W, 3) RGB uint8, or (3, H, W) RGB in [0, 1], as a PNG."""
    if torch.is_tensor(image):
        image = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode('.png', np.ascontiguousarray(image[..., ::-1]))[1].tobytes())


def split_photos(names: list[str]) -> dict[str, list[str]]:
    """Which photo plays which role: each plays one.

    Photos are put in the order of the SHA-256 of their names without suffix. The first tenth (at least eight) is for
    validation, of the others four ninths become real LR photos and five ninths stay clean HR photos.

    Raises:
        UserError: fewer than twelve photos.
    """
    if len(names) < FEWEST:
        raise UserError(f'--known: {len(names)} photos are too few: at least {FEWEST} are needed, and a hundred or so '
                        'to learn anything.')
    order = sorted(names, key=lambda name: hashlib.sha256(key_of(name).encode()).hexdigest())
    valid = max(FEWEST_VALID, round(len(names) / 10))
    lr = valid + round((len(names) - valid) * 4 / 9)
    return {'valid': sorted(order[:valid]), 'lr': sorted(order[valid:lr]), 'hr': sorted(order[lr:])}


def make_known_world(folder: Path, root: Path, seed: int = 0) -> World:
    """Make, or find again, a world of clean photos with a known degradation.

    Of each photo the middle is taken, at most 640 pixels a side, cut to multiples of four. The camera's settings and
    noise are drawn for each photo by its name.

    Args:
        folder: clean photos.
        root: where the world goes; its checkpoint ``known_degradation.pth`` stands for the camera.
        seed: of the camera.

    Raises:
        UserError: too few photos, or ``root`` holds another world.
    """
    names = [image.name for image in list_folder(str(folder), '--known')]
    split = split_photos(names)
    plan = {'photos': split, 'camera': DEFAULTS, 'seed': seed, 'largest': LARGEST, 'scale': SCALE}
    plan = json.loads(json.dumps(plan))
    done, begun = root / 'world.json', root / 'world.begun.json'
    for path in (done, begun):
        if path.is_file() and json.loads(path.read_text()) != plan:
            raise UserError(f"--known: '{root}' was made of other photos or settings; give another --out.")
    if done.is_file():
        return read_world(root)
    root.mkdir(parents=True, exist_ok=True)
    begun.write_text(json.dumps(plan))
    camera = KnownDegradation(SCALE)
    for role, members in split.items():
        for name in members:
            hr = _middle(read_rgb(folder / name), folder / name)
            file = key_of(name).replace('/', '_') + '.png'
            if role != 'lr':
                write_rgb(root / (HR_TRAIN if role == 'hr' else HR_VALID) / file, hr)
            if role != 'hr':
                digest = hashlib.sha256(f'{seed}/{key_of(name)}'.encode()).digest()
                random = torch.Generator().manual_seed(int.from_bytes(digest[:7], 'big'))
                photo = torch.from_numpy(hr).permute(2, 0, 1).float() / 255
                write_rgb(root / (LR_TRAIN if role == 'lr' else LR_VALID) / file, camera.shoot(photo, random))
    torch.save({'params': camera.state_dict(), 'network': {'type': 'KnownDegradation', 'scale': SCALE},
                'scale': SCALE}, root / CAMERA)
    begun.rename(done)
    return read_world(root)


def _middle(photo: np.ndarray, path: Path) -> np.ndarray:
    height, width = (min(side, LARGEST) // SCALE * SCALE for side in photo.shape[:2])
    if min(height, width) < SCALE:
        raise UserError(f"--known: '{path}' is {photo.shape[1]}x{photo.shape[0]} pixels, which is too small.")
    top, left = ((side - cut) // 2 for side, cut in zip(photo.shape, (height, width), strict=False))
    return photo[top:top + height, left:left + width]
