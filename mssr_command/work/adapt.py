"""What ``mssr adapt`` does: one adaptation, or one for each group of like photos."""

import argparse
import shutil
import sys
from collections import Counter
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path

from mssr_adapt.adaptation import Adaptation, Request
from mssr_adapt.folders import FEWEST
from mssr_compat.errors import UserError
from mssr_data.image_source import ImageSource
from mssr_diagnose.folder import measure_folder
from mssr_diagnose.groups import FILE, group_photos

HINTED = 60  # photos that are measured to say whether there are groups


def adapt(args: argparse.Namespace) -> int:
    """Adapt as the arguments say; returns the exit code."""
    request = Request(args.real, args.out, args.clean, args.start, args.minutes, args.perception, args.scale,
                      args.device, args.pairs and tuple(args.pairs), args.peers, args.seed)
    try:
        requests = by_group(request) if args.by_group else [request]
        if not args.by_group and not (args.out / 'work').is_dir():
            tell_of_groups(args.real)
        failures = 0
        for number, one in enumerate(requests, 1):
            if len(requests) > 1:
                print(f'\n--- group {number} of {len(requests)}, into {one.out} ---')
            adaptation = Adaptation(one, print)
            adaptation.run()
            failures += len(adaptation.record['failures'])
    except OSError as error:
        print(f'error: {error.filename or args.out}: {error.strerror or error}', file=sys.stderr)
        return 2
    return 1 if failures else 0


def by_group(request: Request) -> list[Request]:
    """One request for each group of like photos, which are linked into ``OUT/photos/group_K``, largest first.

    Photos that cannot be measured, and those of groups too small to learn from, go with the largest. Groups that were
    found in an earlier call stay as they are.

    Raises:
        UserError: the photos are not there, or none can be measured.
    """
    out, done = request.out, request.out / FILE
    if not done.is_file():
        source = ImageSource(str(request.real), '--real', {'type': 'disk'})
        photos, _ = measure_folder(source)
        groups, labels = group_photos(photos)
        sizes = Counter(labels.tolist())
        group_of = {photo.name: int(label) if sizes[int(label)] >= FEWEST else 0
                    for photo, label in zip(photos, labels, strict=True)}
        shutil.rmtree(out / 'photos', ignore_errors=True)
        numbers = {label: number for number, label in enumerate(sorted(set(group_of.values())), 1)}
        for index, image in enumerate(source.images):
            number = numbers[group_of.get(image.name, min(numbers))]
            _link(Path(source.path(index)), out / 'photos' / f'group_{number}' / image.name)
        groups.save(done)
    folders = list(takewhile(Path.is_dir, (out / 'photos' / f'group_{number}' for number in count(1))))
    sizes = [sum(path.is_file() for path in folder.rglob('*')) for folder in folders]
    if len(folders) == 1:
        print('The photos are of one group: one restorer.')
        return [request]
    print(f'The photos are of {len(folders)} groups, of {", ".join(map(str, sizes))}: a restorer for each.')
    share = request.minutes and request.minutes / len(folders)
    return [replace(request, real=folder, out=out / folder.name, minutes=share) for folder in folders]


def tell_of_groups(real: Path) -> None:
    """Say so, where some of the photos seem to have several sources."""
    source = ImageSource(str(real), '--real', {'type': 'disk'})
    if len(source) < 2 * FEWEST:
        return
    source.images = source.images[::-(-len(source) // HINTED)]
    try:
        groups, _ = group_photos(measure_folder(source)[0])
    except UserError:  # what is wrong with the photos, the adaptation says better
        return
    if len(groups) > 1:
        print(f'The photos seem to be of {len(groups)} groups, such as cameras: --by-group gives each a restorer of '
              'its own; mssr diagnose shows them.')


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source.resolve())
    except OSError:  # no links here (Windows, some network drives)
        shutil.copyfile(source, target)
