"""The photos of an evidence run: a folder in AIM2019's layout, or a world made of clean photos by a known camera."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.evidence.known_degradation import DEFAULTS, KnownDegradation
from mssr_compat.errors import UserError
from mssr_compat.files import write_whole
from mssr_data.decoding import CorruptImageError, decode_image, to_rgb8
from mssr_data.listing import key_of, list_folder
from mssr_metric.photo_sets import as_pixels

HR_TRAIN, LR_TRAIN, HR_VALID, LR_VALID = ROLES = (
    'train-clean-images', 'train-noisy-images', 'valid-gt-clean', 'valid-input-noisy')
CAMERA = 'known_degradation.pth'  # of a world whose degradation is known
SCALE = 4
_DONE, _BEGUN = 'world.json', 'world.begun.json'  # the plan of a world that was made
LARGEST = 640  # pixels a side that a known world takes from the middle of a photo
OTHER_CAMERAS = 'valid-realsr-gt', 'valid-realsr-input'  # of some worlds: pairs of cameras that nothing is trained on
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

    @property
    def known(self) -> dict | None:
        """What a known world was made of, and by which camera."""
        path = self.root / _DONE
        return json.loads(path.read_text()) if self.camera and path.is_file() else None

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
    pairs = read_pairs(root / HR_VALID, root / LR_VALID, 'WORLD')
    files = [(role, name, (root / role / name).stat().st_size) for role, names in listed.items() for name in names]
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return World(root, pairs, {role: len(names) for role, names in listed.items()}, digest)


def read_pairs(hr_folder: Path, lr_folder: Path, where: str) -> dict[str, tuple[Path, Path]]:
    """Pairs (HR, LR) by their name without suffix, sorted; ``where`` is what to name in messages.

    Raises:
        UserError: a folder is missing or empty, or the photos are no pairs of factor 4.
    """
    folders = [Path(folder).expanduser().resolve() for folder in (hr_folder, lr_folder)]
    hr, lr = ({key_of(image.name): folder / image.name for image in list_folder(str(folder), f'{where}/{folder.name}')}
              for folder in folders)
    alone = next((key for key in (*hr, *lr) if key not in hr or key not in lr), None)
    if alone:
        path, other = (hr[alone], folders[1]) if alone in hr else (lr[alone], folders[0])
        raise UserError(f"{where}: '{path}' has no partner of the same name in {other.name}.")
    pairs = {key: (hr[key], lr[key]) for key in hr}
    for paths in pairs.values():
        sizes = [read_rgb(path).shape[:2] for path in paths]
        if sizes[0] != tuple(SCALE * side for side in sizes[1]):
            raise UserError(f"{where}: '{paths[0]}' is {sizes[0][1]}x{sizes[0][0]} pixels and '{paths[1]}' is "
                            f'{sizes[1][1]}x{sizes[1][0]}, but HR must be {SCALE} times LR.')
    return pairs


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) RGB uint8, as training reads it.

    Raises:
        UserError: the file is no readable image.
    """
    try:
        return np.ascontiguousarray(to_rgb8(decode_image(path.read_bytes(), f"'{path}'")))
    except CorruptImageError as error:
        raise UserError(f'{error}.') from error


def read_tensor(path: Path) -> torch.Tensor:
    """The photo of :func:`read_rgb` as float32 (3, H, W), RGB in [0, 1]."""
    return torch.from_numpy(read_rgb(path)).permute(2, 0, 1).float() / 255


def write_rgb(path: Path, image: torch.Tensor) -> None:
    """(3, H, W) RGB in [0, 1], as an 8-bit PNG."""
    write_whole(path, cv2.imencode('.png', np.ascontiguousarray(as_pixels(image)[..., ::-1]))[1].tobytes())


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
    split = split_photos([image.name for image in list_folder(str(folder), '--known')])
    plan = {'photos': split, 'camera': DEFAULTS, 'seed': seed, 'largest': LARGEST, 'scale': SCALE}
    if is_made(root, plan, f"--known: '{root}' was made of other photos or settings; give another --out."):
        return read_world(root)
    camera = KnownDegradation(SCALE)
    for role, members in split.items():
        for name in members:
            hr, file = middle(folder / name, LARGEST), key_of(name).replace('/', '_') + '.png'
            if min(hr.shape[1:]) < SCALE:
                raise UserError(f"--known: '{folder / name}' is smaller than {SCALE} pixels.")
            if role != 'lr':
                write_rgb(root / (HR_TRAIN if role == 'hr' else HR_VALID) / file, hr)
            if role != 'hr':
                write_rgb(root / (LR_TRAIN if role == 'lr' else LR_VALID) / file,
                          shoot(camera, hr, f'{seed}/{key_of(name)}'))
    save_camera(camera, root / CAMERA)
    return finish_world(root)


def is_made(root: Path, plan: dict, otherwise: str) -> bool:
    """Whether a world was made by this plan; if not, it is noted that it is being made.

    Raises:
        UserError: it is made by another one; ``otherwise`` says so.
    """
    text = json.dumps(plan)
    for path in (root / _DONE, root / _BEGUN):
        if path.is_file() and json.loads(path.read_text()) != json.loads(text):
            raise UserError(otherwise)
    if (root / _DONE).is_file():
        return True
    write_whole(root / _BEGUN, text)
    return False


def finish_world(root: Path) -> World:
    """Note that a world is made."""
    (root / _BEGUN).rename(root / _DONE)
    return read_world(root)


def shoot(camera: KnownDegradation, hr: torch.Tensor, name: str) -> torch.Tensor:
    """An LR photo (3, h, w) of the HR photo (3, H, W); settings and noise are drawn by a name."""
    digest = hashlib.sha256(name.encode()).digest()
    return camera.shoot(hr, torch.Generator().manual_seed(int.from_bytes(digest[:7], 'big')))


def save_camera(camera: KnownDegradation, path: Path) -> None:
    """Write a known degradation as a checkpoint that says what it is."""
    torch.save({'params': camera.state_dict(), 'network': {'type': 'KnownDegradation', 'scale': SCALE}, 'scale': SCALE},
               path)


def middle(path: Path, largest: int) -> torch.Tensor:
    """The middle of an HR photo, (3, H, W), sides multiples of four and at most ``largest``."""
    photo = read_tensor(path)
    height, width = (min(side, largest) // SCALE * SCALE for side in photo.shape[1:])
    top, left = (photo.shape[1] - height) // 2, (photo.shape[2] - width) // 2
    return photo[:, top:top + height, left:left + width]
