"""The roles of photos, and where those of each role lie in the published data sets."""

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


# Where the photos of each role lie below a folder or archive: a regular expression but for the star, which is the name
# that a photo gets. Only roles named here are looked for; 'gt' and, where there is one, 'lq' must be found.
_DIV2K_VALID = {'valid_gt': 'DIV2K_valid_HR/*', 'valid_lq': 'DIV2K_valid_LR_bicubic/X{scale}/*x{scale}'}
_REALSR = '(Canon|Nikon)/'
PRESETS = {
    'aim2019': {role: f'{folder}/*' for role, folder in ROLES.items()},
    'ntire2020-track1': {
        'gt': 'Corrupted-tr-y/*', 'lq': 'Corrupted-tr-x/*',
        'valid_gt': '(Corrupted-va-y|track1-valid-gt|DIV2K_valid_HR)/*', 'valid_lq': 'Corrupted-va-x/*',
    },
    'ntire2020-track2': {'gt': 'DPEDiphone-tr-y/*', 'lq': 'DPEDiphone-tr-x/*', 'valid_lq': 'DPEDiphone-va/*'},
    'realsr': {
        'gt': f'{_REALSR}Train/{{scale}}/*_HR', 'lq': f'{_REALSR}Train/{{scale}}/*_LR{{scale}}',
        'valid_gt': f'{_REALSR}Test/{{scale}}/*_HR', 'valid_lq': f'{_REALSR}Test/{{scale}}/*_LR{{scale}}',
    },
    'drealsr': {
        'gt': r'Train_x{scale}/train_HR/*(_x\d)?', 'lq': r'Train_x{scale}/train_LR/*(_x\d)?',
        'valid_gt': r'Test_x{scale}/test_HR/*(_x\d)?', 'valid_lq': r'Test_x{scale}/test_LR/*(_x\d)?',
    },
    'dped': {'gt': 'original_images/train/canon/*', 'lq': 'original_images/train/iphone/*'},
    'div2k': {'gt': 'DIV2K_train_HR/*', **_DIV2K_VALID},
    'df2k': {'gt': '(DIV2K_train_HR|Flickr2K_HR)/*', **_DIV2K_VALID},
}
