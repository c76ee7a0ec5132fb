"""Where the photos of each role lie in the published data sets."""

import re
from dataclasses import dataclass

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
