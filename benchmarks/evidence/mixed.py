"""A world of several cameras: the photos of two worlds, and clean photos through two known degradations.

    python -m benchmarks.evidence.mixed CAMERA_WORLD SYNTHETIC_WORLD --out FOLDER

FOLDER gets AIM2019's layout, in which the name of each LR and validation photo begins with its source: camera_,
synthetic_, soft_ (strongly blurred, clean) or noisy_ (sharper, noise and coarse JPEG). The clean photos of both worlds,
each once, are divided: some are scenes of the known degradations, in training or in validation, and the rest stays
clean HR. sources.json says what each source is. The same command goes on with what was begun.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from benchmarks.evidence.known_degradation import DEFAULTS, KnownDegradation
from benchmarks.evidence.world import (
    HR_TRAIN,
    HR_VALID,
    LARGEST,
    LR_TRAIN,
    LR_VALID,
    OTHER_CAMERAS,
    SCALE,
    World,
    finish_world,
    is_made,
    middle,
    read_pairs,
    read_world,
    save_camera,
    shoot,
    write_rgb,
)
from mssr_compat.errors import UserError
from mssr_compat.files import file_hash, write_whole
from mssr_data.listing import key_of, list_folder

#: the known degradations: what replaces ``DEFAULTS``
KNOWN = {
    'soft': {'blur': (3.6, 5.2), 'full_well': (8000.0, 12000.0), 'read_noise': (0.0005, 0.001),
             'jpeg_quality': (97.0, 99.0)},
    'noisy': {'blur': (0.8, 1.4), 'full_well': (45.0, 70.0), 'read_noise': (0.02, 0.032),
              'jpeg_quality': (40.0, 55.0)},
}
SOURCES = 'sources.json'  # what each source is
VALID, TRAIN = 8, 30  # clean photos that known degradations get: validation, training


def make_mixed_world(camera: Path, synthetic: Path, root: Path, valid: int = VALID, train: int = TRAIN,
                     seed: int = 0) -> World:
    """Make, or find again, a world of four sources.

    Of each clean photo that a known degradation gets, the middle is taken, at most 640 pixels a side; both get the
    same scenes. Their settings and noise are drawn for each photo by its name.

    Args:
        camera, synthetic: worlds; clean photos that both have count once.
        root: where the world goes.
        valid, train: number of clean photos that the known degradations get for validation and for training.
        seed: of the known degradations.

    Raises:
        UserError: too few clean photos, two that differ under one name, or ``root`` holds another world.
    """
    worlds = {'camera': read_world(camera), 'synthetic': read_world(synthetic)}
    clean = _clean_photos(worlds)
    if len(clean) <= valid + train:
        raise UserError(f'{len(clean)} clean photos are too few: the known degradations get {valid + train}, and at '
                        'least one must stay.')
    order = sorted(clean, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    split = {'valid': sorted(order[:valid]), 'lr': sorted(order[valid:valid + train]),
             'hr': sorted(order[valid + train:])}
    plan = {'worlds': {name: world.digest for name, world in worlds.items()}, 'photos': split,
            'known': {name: {**DEFAULTS, **settings} for name, settings in KNOWN.items()}, 'seed': seed,
            'largest': LARGEST, 'scale': SCALE}
    if is_made(root, plan, f"--out: '{root}' was made of other photos or settings; give another folder."):
        return read_world(root)
    for key in split['hr']:
        _copy(clean[key], root / HR_TRAIN, _flat(key))
    for name, world in worlds.items():
        for photo in list_folder(world.role(LR_TRAIN), name):
            _copy(Path(world.role(LR_TRAIN)) / photo.name, root / LR_TRAIN, f'{name}_{_flat(key_of(photo.name))}')
        _copy_pairs(world.pairs, root / HR_VALID, root / LR_VALID, f'{name}_')
    for name, settings in KNOWN.items():
        _photograph(name, KnownDegradation(SCALE, settings), clean, split, root, seed)
    sources, others = _sources(worlds, split), [worlds['camera'].root / folder for folder in OTHER_CAMERAS]
    if all(folder.is_dir() for folder in others):
        pairs = read_pairs(*others, 'CAMERA_WORLD')
        _copy_pairs(pairs, *(root / folder for folder in OTHER_CAMERAS))
        sources['realsr'] = {'what': f'pairs of cameras that nothing is trained on, in {" and ".join(OTHER_CAMERAS)}',
                             'train': 0, 'valid': len(pairs)}
    write_whole(root / SOURCES, json.dumps(sources, indent=1))
    return finish_world(root)


def source_of(name: str) -> str:
    """The source of a photo of the mixed world, by its name."""
    return name.partition('_')[0]


def read_sources(root: Path) -> list[str]:
    """The sources of a mixed world; none: it is another one."""
    file = root / SOURCES
    return list(json.loads(file.read_text())) if file.is_file() else []


def _clean_photos(worlds: dict[str, World]) -> dict[str, Path]:
    """By name without suffix: those of both worlds, each once."""
    found: dict[str, Path] = {}
    for world in worlds.values():
        for photo in list_folder(world.role(HR_TRAIN), HR_TRAIN):
            key, path = key_of(photo.name), Path(world.role(HR_TRAIN)) / photo.name
            if key in found and file_hash(found[key]) != file_hash(path):
                raise UserError(f"'{found[key]}' and '{path}' have one name, but are two photos; rename one.")
            found.setdefault(key, path)
    return found


def _photograph(name: str, camera: KnownDegradation, clean: dict[str, Path], split: dict[str, list[str]], root: Path,
                seed: int) -> None:
    """LR photos and validation pairs of a known degradation, and its checkpoint."""
    for key in (*split['lr'], *split['valid']):
        hr, file = middle(clean[key], LARGEST), f'{name}_{_flat(key)}.png'
        if min(hr.shape[1:]) < SCALE:
            raise UserError(f"'{clean[key]}' is smaller than {SCALE} pixels.")
        if key in split['valid']:
            write_rgb(root / HR_VALID / file, hr)
        write_rgb(root / (LR_VALID if key in split['valid'] else LR_TRAIN) / file,
                  shoot(camera, hr, f'{seed}/{name}/{key}'))
    save_camera(camera, root / f'known_{name}.pth')


def _copy_pairs(pairs: dict[str, tuple[Path, Path]], hr_folder: Path, lr_folder: Path, prefix: str = '') -> None:
    for key, (hr, lr) in pairs.items():
        _copy(hr, hr_folder, f'{prefix}{_flat(key)}')
        _copy(lr, lr_folder, f'{prefix}{_flat(key)}')


def _copy(source: Path, folder: Path, stem: str) -> None:
    write_whole(folder / f'{stem}{source.suffix}', source.read_bytes())


def _flat(key: str) -> str:
    return key.replace('/', '_')


def _sources(worlds: dict[str, World], split: dict[str, list[str]]) -> dict:
    """What each source is, and how many photos it has."""
    copied = {name: {'what': f'the LR photos and pairs of the world {world.name}', 'train': world.counts[LR_TRAIN],
                     'valid': len(world.pairs)} for name, world in worlds.items()}
    known = {name: {'what': 'clean photos through a known degradation', 'checkpoint': f'known_{name}.pth',
                    'settings': {**DEFAULTS, **settings}, 'train': len(split['lr']), 'valid': len(split['valid'])}
             for name, settings in KNOWN.items()}
    return {**copied, **known}


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit status."""
    about, _, usage = __doc__.partition('\n')
    parser = argparse.ArgumentParser('python -m benchmarks.evidence.mixed', description=about, epilog=usage,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('camera', type=Path, metavar='CAMERA_WORLD', help="folder in AIM2019's layout")
    parser.add_argument('synthetic', type=Path, metavar='SYNTHETIC_WORLD', help='another')
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='where the world goes')
    args = parser.parse_args(argv)
    try:
        world = make_mixed_world(args.camera, args.synthetic, args.out)
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'{world.root}: {json.dumps(world.counts)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
