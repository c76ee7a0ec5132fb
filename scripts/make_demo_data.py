"""Make the demo's small unpaired challenge, in AIM2019's layout, from photographs inside the scikit-image wheel.

    python scripts/make_demo_data.py [--output datasets/demo]

    train-clean-images   HR: regions of `astronaut`, `chelsea` and `rocket`
    train-noisy-images   LR: regions of `coffee` and `motorcycle_left` through a simulated camera, four shots of each
    valid-gt-clean       HR: one more region of each of these five
    valid-input-noisy    LR: the same regions through the same camera

Clean HR and real LR never share a photograph. Validation regions are cut out of the training photographs before
anything else happens, so no validation pixel is trained on. The same install gives the same bytes each time.
"""

import argparse
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import torch

from mssr_compat.errors import UserError
from mssr_compat.files import write_whole
from mssr_data.simulated_camera import gaussian, take_photo

SCALE = 4
SHOTS = 4  # LR photos of each training region; the camera moves by up to SCALE - 1 HR pixels between them
HR_TRAIN, LR_TRAIN, HR_VALID, LR_VALID = ROLES = (
    'train-clean-images', 'train-noisy-images', 'valid-gt-clean', 'valid-input-noisy')


@dataclass(frozen=True)
class Region:
    """A rectangle of one photograph: ``x0 <= x < x1``, ``y0 <= y < y1``, in HR pixels, sides multiples of 8."""

    photo: str
    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def name(self) -> str:
        return f'{Path(self.photo).stem}_x{self.x0:03d}_y{self.y0:03d}'


# Every training region takes crops of 128 HR pixels (32 LR) with some room to move.
REGIONS_HR_TRAIN = (
    Region('astronaut.png', 216, 0, 512, 512),
    Region('astronaut.png', 0, 216, 208, 512),
    Region('chelsea.png', 232, 0, 448, 296),
    Region('rocket.jpg', 0, 0, 200, 424),
    Region('rocket.jpg', 408, 0, 640, 424),
    Region('rocket.jpg', 208, 0, 400, 224),
)
REGIONS_LR_TRAIN = (
    Region('coffee.png', 0, 0, 288, 400),
    Region('coffee.png', 296, 0, 600, 192),
    Region('motorcycle_left.png', 0, 0, 328, 496),
    Region('motorcycle_left.png', 536, 0, 736, 496),
    Region('motorcycle_left.png', 336, 0, 528, 200),
)
REGIONS_VALID = (
    Region('astronaut.png', 16, 16, 208, 208),
    Region('chelsea.png', 0, 0, 224, 296),
    Region('coffee.png', 296, 200, 488, 392),
    Region('motorcycle_left.png', 336, 208, 528, 400),
    Region('rocket.jpg', 208, 232, 400, 424),
)


def shoot(hr: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One shot of the demo's camera, whose focus, exposure and compression vary a little.

    Args:
        hr: (sH, sW, 3) uint8 BGR, sides multiples of ``SCALE``.
        rng: source of the settings and the noise.

    Returns:
        (H, W, 3) uint8 BGR, aligned with ``hr``.
    """
    blur, full_well, read_noise = rng.uniform(1.2, 1.8), rng.uniform(900, 1500), rng.uniform(0.004, 0.008)
    quality = int(rng.integers(85, 96))
    scene = torch.from_numpy(hr[..., ::-1].astype(np.float64) / 255).permute(2, 0, 1)
    lens = [gaussian(blur, (round(8 * blur + 1) | 1) // 2, torch.float64)] * 2  # reaches as far as OpenCV's
    return take_photo(scene, SCALE, lens, full_well, read_noise, quality, rng)[..., ::-1]


def read_region(region: Region, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """A region's pixels as (H, W, 3) uint8 BGR; a shift (dx, dy) cuts that many columns and rows off its start,
    and off its end what is needed to keep the sides multiples of ``SCALE``, so it never leaves the region."""
    import skimage

    path = Path(skimage.__file__).parent / 'data' / region.photo
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if photo is None:
        raise UserError(f'{path}: the photograph is missing or unreadable; the wheel of scikit-image 0.26 holds it.')
    if photo.shape[0] < region.y1 or photo.shape[1] < region.x1:
        raise UserError(f'{path}: {photo.shape[1]}x{photo.shape[0]} pixels, smaller than in scikit-image 0.26.')
    dx, dy = shift
    x1, y1 = (region.x1 - (SCALE if dx else 0) + dx, region.y1 - (SCALE if dy else 0) + dy)
    return photo[region.y0 + dy:y1, region.x0 + dx:x1]


def make_challenge(seed: int = 0) -> dict[str, np.ndarray]:
    """All images of the challenge: '<role>/<file>.png' to (H, W, 3) uint8 BGR. Same seed, same images."""
    images = {}
    for region in REGIONS_HR_TRAIN:
        images[f'{HR_TRAIN}/{region.name}.png'] = read_region(region)
    for region in REGIONS_LR_TRAIN:
        for shot in range(SHOTS):
            name = f'{region.name}_shot{shot}'
            rng = _generator(seed, name)
            shift = tuple(int(v) for v in rng.integers(0, SCALE, 2))
            images[f'{LR_TRAIN}/{name}.png'] = shoot(read_region(region, shift), rng)
    for region in REGIONS_VALID:
        rng = _generator(seed, f'valid_{region.name}')
        images[f'{HR_VALID}/{region.name}.png'] = hr = read_region(region)
        images[f'{LR_VALID}/{region.name}.png'] = shoot(hr, rng)
    return images


def write_challenge(output: Path, seed: int = 0) -> dict[str, int]:
    """Write the challenge below ``output``; returns the number of images of each role.

    Files that are there with the same content stay untouched.

    Raises:
        UserError: a role's folder holds files that are not the demo's; they would join the training unnoticed.
    """
    images = make_challenge(seed)
    for role in ROLES:
        strange = [path for path in sorted((output / role).glob('*')) if f'{role}/{path.name}' not in images]
        if strange:
            raise UserError(f'{strange[0]}: not written by the demo; remove it, or choose another --output.')
    for name, image in images.items():
        path = output / name
        data = cv2.imencode('.png', image)[1].tobytes()
        if not path.is_file() or path.read_bytes() != data:
            write_whole(path, data)
    return {role: sum(name.startswith(role) for name in images) for role in ROLES}


def _generator(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for each image: adding or reordering images changes no other one."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--output', type=Path, default=Path('datasets/demo'), help='folder of the four role folders')
    parser.add_argument('--seed', type=int, default=0, help='seed of the camera: settings, noise, position')
    args = parser.parse_args(argv)
    try:
        counts = write_challenge(args.output, args.seed)
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    for role, count in counts.items():
        print(f'{args.output / role}: {count} images')
    return 0


if __name__ == '__main__':
    sys.exit(main())
