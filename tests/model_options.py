"""Small option dictionaries of both stages, as BasicSR's ``parse_options`` returns them, for tests of the models."""

from copy import deepcopy

TINY_RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 16, 'num_block': 1, 'num_grow_ch': 8}
TINY_DERESNET = {'type': 'DeResnet', 'num_feat': 8, 'num_block': 1, 'scale': 4}
ADAM = {'type': 'Adam', 'lr': 1e-4, 'betas': [0.5, 0.999]}


def stage1_options(**train):
    """Options of ``DegradationGANModel``; keywords replace entries of ``train``."""
    return _options(
        model_type='DegradationGANModel',
        network_g=TINY_DERESNET,
        network_d={'type': 'WaveletDiscriminator'},
        train={
            'optim_g': {**ADAM, 'noise_lr': 1e-4},
            'optim_d': ADAM,
            'scheduler': {'type': 'LinearDecayLR', 'decay_start': 50, 'total_iter': 100},
            'total_iter': 100,
            'color_opt': {'type': 'LowFrequencyLoss', 'filter': 'wavelet', 'loss_weight': 1.0},
            'gan_opt': {'type': 'SigmoidGANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.005},
            **train,
        },
    )


def stage2_options(num_branch=2, degradations=(), **train):
    """Options of ``MultiDegradationSRModel``; keywords replace entries of ``train``."""
    l1 = {'type': 'L1Loss', 'loss_weight': 1.0}
    return _options(
        model_type='MultiDegradationSRModel',
        network_g={'type': 'SREnsemble', 'branches': [TINY_RRDB] * num_branch},
        degradations=list(degradations),
        train={
            'optim_g': ADAM,
            'scheduler': {'type': 'MultiStepLR', 'milestones': [3, 6, 9], 'gamma': 0.5},
            'total_iter': 10,
            'pixel_opt': l1,
            'collab_opt': {**l1, 'loss_weight': 0.01},
            'adapt_opt': l1,
            'collab_start_iter': 1,
            **train,
        },
    )


def _options(**options):
    common = {'performance': {'channels_last': False}, 'name': 'test',
              'scale': 4, 'num_gpu': 0, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1}
    return deepcopy({**common, 'path': {}, 'val': {}, **options})
