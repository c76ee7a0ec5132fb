"""What optimizers, schedules and the arguments of networks, losses and metrics may hold, and what people write instead.

Most arguments need no row: signatures tell their names, and annotations or defaults their kinds.
"""

from mssr_options.tables import Key

SCHEDULERS: dict[str, dict[str, Key]] = {
    'MultiStepLR': {
        'milestones': Key('[count >= 0]', 'Iterations at which the rate is multiplied by gamma.', 'always'),
        'gamma': Key('number > 0', 'That factor.'),
        'restarts': Key('[count >= 0]', 'Iterations at which the rate restarts.'),
        'restart_weights': Key('[number >= 0]', 'Factor on the rate at each restart.'),
    },
    'CosineAnnealingRestartLR': {
        'periods': Key('[count >= 1]', 'Length of each cosine, in iterations.', 'always'),
        'restart_weights': Key('[number >= 0]', 'Factor on the rate in each.'),
        'eta_min': Key('number >= 0', 'Lowest rate.'),
    },
    'LinearDecayLR': {
        'decay_start': Key('count >= 0', 'Iteration from which the rate falls.', 'always'),
        'total_iter': Key('count >= 1', 'Iteration at which it is zero.', 'always'),
        'interval': Key('count >= 1', 'The rate changes every so many iterations.'),
    },
}
SCHEDULERS['MultiStepRestartLR'] = SCHEDULERS['MultiStepLR']

OPTIMIZER = {
    'lr': Key('number >= 0', 'Learning rate.', 'always'),
    'noise_lr': Key('number >= 0', 'Learning rate of the noise weights of a degradation network (stage 1, optim_g).'),
    'betas': Key('[number >= 0 < 1]*2', 'Decay of the running means of Adam.'),
    'weight_decay': Key('number >= 0', 'L2 penalty.'),
    'eps': Key('number > 0', "Adam's epsilon."),
}

# Arguments of BasicSR's and our own networks, losses and metrics whose signatures do not tell what they take.
ARGUMENTS = {
    'gan_type': "'vanilla' | 'lsgan' | 'wgan' | 'wgan_softplus' | 'hinge'",
    'reduction': "'none' | 'mean' | 'sum'",
    'criterion': "'l1' | 'l2' | 'fro'",
    'better': "'higher' | 'lower'",
    'crop_border': 'int >= 0',
    'layer_weights': 'mapping',
    'num_in_ch': 'int >= 1',
    'num_out_ch': 'int >= 1',
    'num_feat': 'int >= 1',
    # Bounded, because every one of them is built when the options are checked:
    'num_block': 'int >= 1 <= 1000',
    'num_group': 'int >= 1 <= 1000',
    'num_conv': 'int >= 1 <= 1000',
    'num_layer': 'int >= 1 <= 1000',
}

# What people write, and what it is called here.
HINTS = {
    'lq_size': 'the LR crop is gt_size / scale; set gt_size',
    'lr_size': 'the LR crop is gt_size / scale; set gt_size',
    'patch_size': 'the HR crop is datasets.train.gt_size',
    'use_flip': 'it is use_hflip',
    'batch_size': 'it is batch_size_per_gpu',
    'num_workers': 'it is num_worker_per_gpu',
    'n_workers': 'it is num_worker_per_gpu',
    'pretrain_model_g': 'it is pretrain_network_g',
    'pretrain_model_d': 'it is pretrain_network_d',
    'strict_load': 'it is strict_load_g',
    'gpu_ids': 'set num_gpu, and CUDA_VISIBLE_DEVICES in the environment',
    'niter': 'it is train.total_iter',
    'epochs': 'training is counted in iterations: train.total_iter',
    'lr_g': 'it is train.optim_g.lr',
    'lr_d': 'it is train.optim_d.lr',
    'adapt_weight': 'the published configuration lists it, but nothing ever read it; the weight of adaptation is '
    'train.adapt_ramp and train.adapt_opt.loss_weight',
    'gp_weight': 'it is train.gp_opt.loss_weight',
}
