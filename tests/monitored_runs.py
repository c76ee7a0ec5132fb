"""Two short monitored trainings, one of each stage, on photographs whose degradation is known; made once."""

from functools import cache

import pytest
from resume_tools import options, train

from data_tools import write_photo
from degradation_world import lr_photos, tiles

METRICS = {'psnr': {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': False},
           'ssim': {'type': 'calculate_ssim', 'crop_border': 0, 'test_y_channel': False}}


def make_world(root):
    """HR tiles, "real" LR of other tiles, and three pairs."""
    for k in range(8):
        write_photo(root / 'gt' / f'p{k}.png', tiles(1)[k][..., ::-1])
        write_photo(root / 'lq' / f'p{k}.png', lr_photos(0, 'noisy')[k][..., ::-1])
    for k in range(8, 11):
        write_photo(root / 'val_gt' / f'v{k}.png', tiles(1)[k][..., ::-1])
        write_photo(root / 'val_lq' / f'v{k}.png', lr_photos(1, 'noisy')[k][..., ::-1])
    return root


def monitored(world, stage, name, **changes):
    """Options of six iterations with three validations and TensorBoard."""
    return options(world, stage, name, total=6, **{
        'val__val_freq': 2, 'val__metrics': METRICS, 'logger__use_tb_logger': True, **changes})


@pytest.fixture(scope='session')
def runs(tmp_path_factory):
    """The root folder of both runs: ``experiments/one`` (stage 1), ``experiments/two`` (stage 2)."""
    return _made(tmp_path_factory.getbasetemp())


@cache  # pytest makes a fixture anew for each module that imports it
def _made(base):
    root = make_world(base / 'monitored')
    with pytest.MonkeyPatch.context() as patch:
        assert train(patch, root, monitored(root, 'stage1', 'one', val__select='haar_distance')) == 0
        checkpoint = str(root / 'experiments' / 'one' / 'models' / 'net_g_best.pth')
        two = monitored(root, 'stage2', 'two', val__select='psnr', val__per_branch=True)
        for section in two['degradations']:
            section['checkpoint'] = checkpoint  # stage 2 takes the best
        assert train(patch, root, two) == 0
    return root
