"""Which photos belong to which role."""

import argparse
import os
import re
from dataclasses import replace
from pathlib import Path

from mssr_compat.errors import UserError
from mssr_prepare.presets import MEANING, PRESETS, ROLES
from mssr_prepare.sources import Photo, is_inside, list_photos


def pattern(place: str, scale: int) -> re.Pattern:
    """Matches the paths of a role's photos; its group ``name`` is the photo's name without suffix."""
    place = place.replace('{scale}', str(scale)).replace('*', '(?P<name>.+?)')
    return re.compile(rf'^(?:.*/)?{place}\.\w+$', re.IGNORECASE)


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
        matches = [(photo, pattern(place, arguments.scale).match(photo.path)) for photo in photos]
        # Unpacked photos come first: an archive beside them holds the same ones under the same names.
        named = {match['name']: photo for photo, match in reversed(matches) if match}
        if not named:
            folder = place.partition('/*')[0].replace('{scale}', str(arguments.scale))
            what = f"{MEANING[role]}, in a folder or archive called '{folder}'"
            if role in ('gt', 'lq'):
                folders = sorted({str(Path(photo.path).parent) for photo in photos})
                raise UserError(f"--preset {arguments.preset} needs {what}; '{arguments.root}' has images in "
                                f"{', '.join(folders[:6])}{', ...' if len(folders) > 6 else ''}.")
            notes.append(f'no {what} was found; they are left out')
            continue
        found[role] = sorted((replace(photo, name=name) for name, photo in named.items()), key=lambda photo: photo.path)
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
