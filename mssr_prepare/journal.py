"""What has been prepared so far, so that a second run does only what is left."""

import json
from pathlib import Path

from mssr_compat.errors import UserError
from mssr_compat.files import write_whole
from mssr_prepare.crop import Crop
from mssr_prepare.images import Prepared, Written
from mssr_prepare.sources import Photo


class Journal:
    """Record of the prepared photos of one role: a line of JSON for each, added as soon as its files are written.

    Args:
        path: the journal's file; its folder exists.
        crop: sub-images to cut, None for whole photos.

    Raises:
        UserError: the journal was begun with another ``crop``.
    """

    def __init__(self, path: Path, crop: Crop | None):
        self.path = path
        self.entries: dict[str, dict] = {}
        self.settings = settings = {'crop': list(crop) if crop else None}
        if path.exists():
            for line in path.read_text(encoding='utf-8').splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:  # the line that an interruption cut short
                    continue
                if 'photo' in entry:
                    self.entries[entry['photo']] = entry
                elif entry != settings:
                    raise UserError(f"'{path.parent.parent}' holds sub-images cut with {_words(entry['crop'])}, not "
                                    f'{_words(settings["crop"])}; choose the same, or another --out.')
        self.rewrite()

    def rewrite(self) -> None:
        """Write the whole journal anew."""
        lines = [self.settings, *self.entries.values()]
        write_whole(self.path, ''.join(json.dumps(line) + '\n' for line in lines))

    def add(self, photo: Photo, key: str, prepared: Prepared) -> None:
        entry = {'photo': photo.path, 'fingerprint': list(photo.fingerprint), 'key': key, 'mode': prepared.mode,
                 'size': [prepared.height, prepared.width], 'files': [list(file) for file in prepared.files]}
        self.entries[photo.path] = entry
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(entry) + '\n')

    def find(self, photo: Photo, key: str) -> Prepared | None:
        """What was prepared of ``photo``, unless it has changed since or has another key now."""
        entry = self.entries.get(photo.path)
        if entry is None or entry['key'] != key or entry['fingerprint'] != list(photo.fingerprint):
            return None
        return Prepared(entry['mode'], *entry['size'], [Written(*file) for file in entry['files']])

    def forget(self, paths: set[str]) -> set[str]:
        """Strike out photos; the names of the files that were made of them and of no other photo."""
        gone = {file[0] for path in paths for file in self.entries[path]['files']}
        self.entries = {path: entry for path, entry in self.entries.items() if path not in paths}
        self.rewrite()
        return gone - {file[0] for entry in self.entries.values() for file in entry['files']}


def _words(crop: list[int] | None) -> str:
    return ','.join(map(str, crop)) if crop else 'none'
