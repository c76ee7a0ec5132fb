"""What was found and done, what is unusual about it, and the options to use it with."""

import numpy as np
import yaml

from mssr_compat.errors import UserError
from mssr_data.dataset_checks import SWAPPED
from mssr_prepare.role import RolePreparation

_QUOTED = 10  # unreadable photos named one by one


def report(preparation: RolePreparation) -> list[str]:
    """Print what became of one role; what is unusual about it is returned as notes."""
    sides = [min(prepared.height, prepared.width) for prepared in preparation.done.values()]
    files = preparation.files
    new = len(preparation.done) - preparation.kept
    print(f'{preparation.name}: {len(preparation.keys)} photos '
          f"({', '.join(f'{count} {mode}' for mode, count in preparation.modes.most_common())}), shorter side "
          f'{min(sides)} to {max(sides)} px (median {np.median(sides):.0f})')
    print(f"  {len(files)} images in '{preparation.root}'; photos prepared now: {max(new, 0)}, before: "
          f'{preparation.kept}')
    notes = []
    if preparation.unreadable:
        messages = list(preparation.unreadable.values())
        notes.append(f'{len(messages)} of the {len(preparation.keys)} photos of {preparation.name} are left out: '
                     + '; '.join(messages[:_QUOTED]) + (f'; and {len(messages) - _QUOTED} more'
                                                        if len(messages) > _QUOTED else ''))
    strangers = preparation.strangers()
    if strangers:
        notes.append(f"'{preparation.root}' holds {len(strangers)} files that are not from here and would be trained "
                     f"on too, such as '{strangers[0]}'")
    return notes


def check_pairs(roles: dict[str, RolePreparation], scale: int) -> list[str]:
    """Leave out validation photos without a partner or with one of the wrong size; notes that name them."""
    if 'valid_gt' not in roles or 'valid_lq' not in roles:
        return []
    notes = []
    gt, lq = ({preparation.keys[photo]: photo for photo in preparation.done}
              for preparation in (roles['valid_gt'], roles['valid_lq']))
    for key in sorted(gt.keys() | lq.keys()):
        if key not in gt or key not in lq:
            photo, partner = (gt[key], 'LR') if key in gt else (lq[key], 'HR')
            notes.append(f"'{photo}' has no {partner} partner and is left out")
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


def check_sizes(roles: dict[str, RolePreparation]) -> list[str]:
    """A note if the LR photos are clearly larger than the HR photos."""
    if 'gt' not in roles or 'lq' not in roles:
        return []
    gt, lq = (np.median([min(file.height, file.width) for file in roles[role].files]) for role in ('gt', 'lq'))
    if lq <= SWAPPED * gt:
        return []
    return [f'the LR images are larger than the HR images (median shorter side {lq:.0f} against {gt:.0f} px): if they '
            'are not swapped, train with datasets.train.allow_larger_lq: true or cut them smaller with --lq-crop']


def yaml_lines(roles: dict[str, RolePreparation]) -> str:
    """The part of the options that names the prepared data."""
    as_lmdb = next(iter(roles.values())).target.as_lmdb
    sections = {}
    for phase, start in (('train', ''), ('val', 'valid_')):
        here = {role: roles[start + role] for role in ('gt', 'lq') if start + role in roles}
        if here:
            sections[phase] = {f'dataroot_{role}': str(preparation.root) for role, preparation in here.items()}
            if phase == 'train' and not as_lmdb:
                sections[phase] |= {f'meta_info_{role}': str(found.meta_info) for role, found in here.items()}
            sections[phase]['io_backend'] = {'type': 'lmdb' if as_lmdb else 'disk'}
    return '\n' + yaml.safe_dump({'datasets': sections}, sort_keys=False, allow_unicode=True, width=1000).rstrip()
