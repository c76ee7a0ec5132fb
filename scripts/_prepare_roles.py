"""Which photos belong to which role, and whether that can be right."""

import argparse
import os
from pathlib import Path

from _prepare_presets import MEANING, PRESETS, ROLES
from _prepare_role import RolePreparation
from _prepare_sources import Photo, is_inside, list_photos

from mssr_compat.errors import UserError

_NEEDED = ('gt', 'lq')


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
            if role in _NEEDED:
                folders = sorted({str(Path(photo.path).parent) for photo in photos})
                raise UserError(f"--preset {arguments.preset} needs {what}; '{arguments.root}' has images in "
                                f"{', '.join(folders[:6])}{', ...' if len(folders) > 6 else ''}.")
            notes.append(f'no {what} was found; they are left out')
            continue
        found[role] = sorted((_renamed(photo, name) for name, photo in named.items()), key=lambda photo: photo.path)
        if place.count and len(named) != place.count:
            notes.append(f'{arguments.preset} has {place.count} {MEANING[role]}, {len(named)} were found')
    return found, notes


def _renamed(photo: Photo, name: str) -> Photo:
    return Photo(photo.container, photo.member, photo.path, name, photo.fingerprint)


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


def check_pairs(roles: dict[str, RolePreparation], scale: int) -> list[str]:
    """Leave out validation photos without a partner or with one of the wrong size; notes that name them."""
    if 'valid_gt' not in roles or 'valid_lq' not in roles:
        return []
    notes = []
    gt, lq = ({preparation.keys[photo]: photo for photo in preparation.done}
              for preparation in (roles['valid_gt'], roles['valid_lq']))
    for key in sorted(gt.keys() | lq.keys()):
        if key not in gt or key not in lq:
            alone, partner = (gt[key], 'LR') if key in gt else (lq[key], 'HR')
            notes.append(f"'{alone}' has no {partner} partner and is left out")
        else:
            large, small = roles['valid_gt'].done[gt[key]], roles['valid_lq'].done[lq[key]]
            rest = large.height - scale * small.height, large.width - scale * small.width
            if all(0 <= pixels < scale for pixels in rest):
                continue
            notes.append(f"'{gt[key]}' ({large.width}x{large.height} px) is not {scale} times the size of '{lq[key]}' "
                         f'({small.width}x{small.height} px); the pair is left out')
        roles['valid_gt'].drop({gt[key]} if key in gt else set())
        roles['valid_lq'].drop({lq[key]} if key in lq else set())
    if not roles['valid_gt'].done:
        raise UserError(f"no validation photo has a partner of 1/{scale} of its size; the first: {notes[0]}.")
    return notes
