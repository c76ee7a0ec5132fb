"""All roles from photos to training data."""

import argparse

import cv2

from mssr_compat.errors import UserError
from mssr_prepare.finding import check_places, photos_of_roles
from mssr_prepare.presets import MEANING, ROLES
from mssr_prepare.report import check_pairs, check_sizes, report, yaml_lines
from mssr_prepare.role import RolePreparation, Target


def prepare(arguments: argparse.Namespace) -> None:
    """Do all that the command line asks for, and say what was done.

    Raises:
        UserError: one sentence that says what is wrong and what would be right.
    """
    cv2.setNumThreads(1)  # photos are worked on side by side instead
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the report names what cannot be read
    found, notes = photos_of_roles(arguments)
    out = arguments.out
    check_places(found, out, arguments)
    roles = {}
    for role, photos in found.items():
        cut = getattr(arguments, f'{role}_crop', None)
        target = Target(out, arguments.format == 'lmdb', cut, max(arguments.workers, 1))
        roles[role] = RolePreparation(ROLES[role], photos, target)
    for role, preparation in roles.items():
        preparation.run()
        if not preparation.done:
            raise UserError(f'none of the {len(preparation.keys)} {MEANING[role]} can be read; the first: '
                            f'{next(iter(preparation.unreadable.values()))}.')
    notes += check_pairs(roles, arguments.scale)
    for preparation in roles.values():
        preparation.finish()
        notes += report(preparation)
    notes += check_sizes(roles)
    for note in notes:
        print(f'note: {note}')
    if notes and arguments.strict:
        raise UserError(f'--strict: {len(notes)} of the notes above must be mended first, beginning with: {notes[0]}.')
    print(yaml_lines(roles))
