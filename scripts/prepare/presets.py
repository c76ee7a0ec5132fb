"""Which photos belong to which role, and where they lie in the published data sets."""

import argparse
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from mssr_compat.errors import UserError
from scripts.prepare.sources import Photo, is_inside, list_photos

# Roles and the folders (AIM2019's names, which the shipped options use) that their photos are written to.
ROLES = {
    'gt': 'train-clean-images',
    'lq': 'train-noisy-images',
    'valid_gt': 'valid-gt-clean',
    'valid_lq': 'valid-input-noisy',
}
MEANING = {
    'gt': 'clean HR photos',
    'lq': 'real LR photos',
    'valid_gt': 'HR photos of the validation pairs',
    'valid_lq': 'LR photos of the validation pairs',
}


@dataclass(frozen=True)
class Place:
    """Photos of one role: a pattern that their path must match, and how many the published set has.

    ``folders`` are alternative folder (or archive) names below which all photos count, ``{scale}`` filled in;
    ``before`` and ``after`` are regular expressions for the path above that folder and for the end of a file name,
    both left out of the name that the photo gets.
    """

    folders: tuple[str, ...]
    count: int | None = None
    before: str = ''
    after: str = ''

    def pattern(self, scale: int) -> re.Pattern:
        """Matches the paths of this role's photos; its group ``name`` is the photo's name without suffix."""
        folders = '|'.join(re.escape(folder.format(scale=scale)) for folder in self.folders)
        before = self.before.replace('{scale}', str(scale))
        after = self.after.replace('{scale}', str(scale))
        return re.compile(rf'^(?:.*/)?{before}(?:{folders})/(?P<name>.+?){after}\.\w+$', re.IGNORECASE)

    def names(self, scale: int) -> str:
        return ' or '.join(f"'{folder.format(scale=scale)}'" for folder in self.folders)


_DIV2K_VALID = {
    'valid_gt': Place(('DIV2K_valid_HR',), 100),
    'valid_lq': Place(('DIV2K_valid_LR_bicubic/X{scale}',), 100, after='x{scale}'),
}

# Only roles named here are looked for; 'gt' and, where there is one, 'lq' must be found.
PRESETS = {
    'aim2019': {
        'gt': Place(('train-clean-images',), 800),
        'lq': Place(('train-noisy-images',), 2650),
        'valid_gt': Place(('valid-gt-clean',), 100),
        'valid_lq': Place(('valid-input-noisy',), 100),
    },
    'ntire2020-track1': {
        'gt': Place(('Corrupted-tr-y',), 800),
        'lq': Place(('Corrupted-tr-x',), 2650),
        'valid_gt': Place(('Corrupted-va-y', 'track1-valid-gt', 'DIV2K_valid_HR'), 100),
        'valid_lq': Place(('Corrupted-va-x',), 100),
    },
    'ntire2020-track2': {
        'gt': Place(('DPEDiphone-tr-y',), 800),
        'lq': Place(('DPEDiphone-tr-x',)),
        'valid_lq': Place(('DPEDiphone-va',)),
    },
    'realsr': {
        'gt': Place(('Train/{scale}',), before='(?:Canon|Nikon)/', after='_HR'),
        'lq': Place(('Train/{scale}',), before='(?:Canon|Nikon)/', after='_LR{scale}'),
        'valid_gt': Place(('Test/{scale}',), before='(?:Canon|Nikon)/', after='_HR'),
        'valid_lq': Place(('Test/{scale}',), before='(?:Canon|Nikon)/', after='_LR{scale}'),
    },
    'drealsr': {
        'gt': Place(('Train_x{scale}/train_HR',), after=r'(?:_x\d)?'),
        'lq': Place(('Train_x{scale}/train_LR',), after=r'(?:_x\d)?'),
        'valid_gt': Place(('Test_x{scale}/test_HR',), after=r'(?:_x\d)?'),
        'valid_lq': Place(('Test_x{scale}/test_LR',), after=r'(?:_x\d)?'),
    },
    'dped': {
        'gt': Place(('original_images/train/canon',)),
        'lq': Place(('original_images/train/iphone',)),
    },
    'div2k': {'gt': Place(('DIV2K_train_HR',), 800), **_DIV2K_VALID},
    'df2k': {'gt': Place(('DIV2K_train_HR', 'Flickr2K_HR'), 3450), **_DIV2K_VALID},
}


def photos_of_roles(arguments: argparse.Namespace) -> tuple[dict[str, list[Photo]], list[str]]:
    """Photos by role, from the folders that are named or from the preset, and notes on what is unusual.

    Raises:
        UserError: nothing is asked for, or a role that is needed has no photos.
    """
    if (arguments.preset is None) != (arguments.root is None):
        raise UserError('--preset and --root belong together: the one says which data set, the other where it is.')
    found, notes = {}, []
    if arguments.preset:
        found, notes = _photos_of_preset(arguments)
    for role in ROLES:
        path = getattr(arguments, role)
        if path:
            found[role] = list_photos(path, f"--{role.replace('_', '-')}")
    if not found:
        raise UserError('there is nothing to prepare: give --gt and --lq, or --preset and --root.')
    return {role: found[role] for role in ROLES if role in found}, notes


def _photos_of_preset(arguments: argparse.Namespace) -> tuple[dict[str, list[Photo]], list[str]]:
    photos = list_photos(arguments.root, '--root')
    found, notes = {}, []
    for role, place in PRESETS[arguments.preset].items():
        if getattr(arguments, role):
            continue
        pattern = place.pattern(arguments.scale)
        matches = [(photo, pattern.match(photo.path)) for photo in photos]
        # Unpacked photos come first: an archive beside them holds the same ones under the same names.
        named = {match['name']: photo for photo, match in reversed(matches) if match}
        if not named:
            what = f"{MEANING[role]}, in a folder or archive called {place.names(arguments.scale)}"
            if role in ('gt', 'lq'):
                folders = sorted({str(Path(photo.path).parent) for photo in photos})
                raise UserError(f"--preset {arguments.preset} needs {what}; '{arguments.root}' has images in "
                                f"{', '.join(folders[:6])}{', ...' if len(folders) > 6 else ''}.")
            notes.append(f'no {what} was found; they are left out')
            continue
        found[role] = sorted((replace(photo, name=name) for name, photo in named.items()), key=lambda photo: photo.path)
        if place.count and len(named) != place.count:
            notes.append(f'{arguments.preset} has {place.count} {MEANING[role]}, {len(named)} were found')
    return found, notes


def check_places(found: dict[str, list[Photo]], out: Path, arguments: argparse.Namespace) -> None:
    """Refuse to write among the originals, and to take the same photos for two roles.

    Raises:
        UserError: says which.
    """
    owner: dict[str, str] = {}
    for role, photos in found.items():
        folder = out / ROLES[role]
        given = getattr(arguments, role)
        if arguments.format == 'folder' and (
                (given and given.is_dir() and (is_inside(folder, given) or folder.resolve() == given.resolve()))
                or any(is_inside(photo.container / photo.member, folder) for photo in photos)):
            raise UserError(f"--out: '{folder}' lies among the photos it is to be made from; choose another folder, or "
                            '--format lmdb.')
        for photo in photos:
            other = owner.setdefault(os.path.realpath(photo.container / photo.member), role)
            if other != role:
                raise UserError(f"'{photo}' is to be one of the {MEANING[other]} and of the {MEANING[role]}; "
                                'each photo has one role.')
