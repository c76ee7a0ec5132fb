"""The keys of an option file, who reads them, and what they may hold. A new key is one line here.

``GROUPS`` maps a group of keys to ``dotted key: Key(kind, meaning, when needed)``; kinds are the language of
:mod:`mssr_options.kinds`. ``MODELS`` says which groups a model reads; a subclass that is not listed reads what its
parent reads, and what its own source names (:func:`mssr_options.registries.keys_in_source`). Data sets have their own
tables in :mod:`mssr_options.dataset_tables`; networks, losses, metrics and optimizers are checked by their signatures,
with a little help from :mod:`mssr_options.component_tables`.
"""

from typing import NamedTuple


class Key(NamedTuple):
    """One option: its kind, its meaning (with unit), and when it must be there: ``always``, ``train``, ``test`` or ''.

    ``only`` names the one phase (``train``) in which it is read, if it is not read in all.
    """

    kind: str
    about: str
    need: str = ''
    only: str = ''


ALL = {
    'name': Key('text', 'Name of the experiment: results go to experiments/NAME or results/NAME.', 'always'),
    'model_type': Key('text', 'Registered model, such as DegradationGANModel or MultiDegradationSRModel.', 'always'),
    'scale': Key('int >= 1', 'HR size over LR size.'),
    'num_gpu': Key("int >= 0 | 'auto'", 'Number of GPUs; 0: CPU; auto: all there are.', 'always'),
    'manual_seed': Key('int >= 0?', 'Seed of all random numbers; without one it is drawn.'),
    'datasets': Key('datasets', 'Data sets: train, val, val_1, ...; for testing test_1, ...', 'always'),
    'path': Key('section', 'Weights to start from.', 'always'),
    'path.resume_state': Key('file?', 'Training state (.state) to go on from.'),
    'path.ignore_resume_networks': Key('[text]?', 'Networks that a resumed run does not load, such as network_d.'),
    'train': Key('section', 'Training settings.', 'train'),
    'train.total_iter': Key('count >= 1', 'Iterations to run.', 'train'),
    'train.warmup_iter': Key('count >= -1', 'Iterations of linear warm-up of the learning rate; -1: none.'),
    'train.scheduler': Key('scheduler', 'Schedule of the learning rates.', 'train'),
    'train.optim_g': Key('optimizer', 'Optimizer of network_g.', 'train'),
    'val': Key('section?', 'Validation settings; without them nothing is validated.', 'test'),
    'val.val_freq': Key('count >= 1', 'Validate every so many iterations.', 'train'),
    'val.save_img': Key('bool', 'Save the pictures.', 'always'),
    'val.suffix': Key('text?', 'Ending of the names of saved pictures; ~: the name of the experiment.'),
    'val.metrics': Key('metrics?', 'Metrics by any name: each a type and the arguments of that metric.'),
    'logger': Key('section', 'Logging and saving.', 'train'),
    'logger.print_freq': Key('count >= 1', 'Log every so many iterations.', 'train'),
    'logger.save_checkpoint_freq': Key('count >= 1', 'Save weights and state every so many iterations.', 'train'),
    'logger.use_tb_logger': Key('bool', 'Write TensorBoard logs.', 'train'),
    'logger.wandb': Key('section?', 'Weights & Biases; needs use_tb_logger.'),
    'logger.wandb.project': Key('text?', 'Project; ~: off.'),
    'logger.wandb.resume_id': Key('text?', 'Run to go on with.'),
    'dist_params': Key('section?', 'Distributed training.'),
    'dist_params.backend': Key("'nccl' | 'gloo' | 'mpi'", 'Backend of torch.distributed.'),
    'dist_params.port': Key('int >= 1 <= 65535?', 'Port of the first process (Slurm).'),
    'find_unused_parameters': Key('bool', 'DDP: allow parameters that a step does not use.'),
}

NETWORK_G = {
    'network_g': Key('network', 'The network that is trained: a type and the arguments of that network.', 'always'),
    'path.pretrain_network_g': Key('file?', 'Weights of network_g.'),
    'path.param_key_g': Key('text?', 'Entry of the weight file: params or params_ema.'),
    'path.strict_load_g': Key('bool', 'All weights must match.'),
}

SR = {
    'train.ema_decay': Key('number >= 0 < 1', 'Decay of the running average of the weights; 0: none.'),
    'train.pixel_opt': Key('loss?', 'Pixel loss.'),
    'train.perceptual_opt': Key('loss?', 'Perceptual loss.'),
    'val.pbar': Key('bool', 'Show a progress bar.'),
}

NETWORK_D = {
    'network_d': Key('network', 'The discriminator.', 'train'),
    'path.pretrain_network_d': Key('file?', 'Weights of network_d.'),
    'path.param_key_d': Key('text?', 'Entry of the weight file.'),
    'path.strict_load_d': Key('bool', 'All weights must match.'),
    'train.optim_d': Key('optimizer', 'Optimizer of network_d.', 'train'),
    'train.gan_opt': Key('loss', 'Adversarial loss.', 'train'),
}

D_TURNS = {
    'train.net_d_iters': Key('count >= 1', 'Step the generator every so many iterations.'),
    'train.net_d_init_iters': Key('count >= 0', 'Iterations for the discriminator alone at the start.'),
}

LDL = {'train.ldl_opt': Key('loss?', 'Locally discriminative learning loss.')}

FEATURE_MATCHING = {'train.feature_matching_opt': Key('loss?', 'Feature matching loss of the discriminator.')}

EDVR = {
    'train.tsa_iter': Key('count >= 1?', 'Train the TSA module alone for so many iterations.'),
    'train.dcn_lr_mul': Key('number >= 0', 'Factor on the learning rate of the deformable convolutions.'),
}

FLOW = {
    'train.fix_flow': Key('count >= 0?', 'Keep the flow network fixed for so many iterations.'),
    'train.flow_lr_mul': Key('number >= 0', 'Factor on the learning rate of the flow network.'),
    'val.flip_seq': Key('bool', 'Also feed the mirrored sequence.'),
    'val.center_frame_only': Key('bool', 'Measure the centre frame only.'),
}

FLOW_GAN = {'train.lr_flow': Key('number >= 0', 'Learning rate of the flow network.')}

STYLEGAN = {
    'train.r1_reg_weight': Key('number >= 0', 'Weight of the R1 penalty.', 'train'),
    'train.path_reg_weight': Key('number >= 0', 'Weight of the path length penalty.', 'train'),
    'train.path_batch_shrink': Key('number > 0', 'Factor by which its batch is smaller.', 'train'),
    'train.net_g_reg_every': Key('count >= 1', 'Iterations between penalties of G.', 'train'),
    'train.net_d_reg_every': Key('count >= 1', 'Iterations between penalties of D.', 'train'),
    'train.mixing_prob': Key('number >= 0 <= 1', 'Probability of style mixing.', 'train'),
    'val.num_val_samples': Key('int >= 1', 'Pictures to draw.'),
}

_PROBABILITY, _RANGE = 'number >= 0 <= 1', '[number]*2'
REAL_DEGRADATION = {
    'gt_size': Key('int >= 1', 'Side of the HR crop in pixels, after the degradation.', 'train'),
    'queue_size': Key('int >= 1', 'Pairs in the pool, divisible by the batch size.'),
    'high_order_degradation': Key('bool', 'Degrade in two rounds; false: paired data.'),
    'resize_prob': Key('[number >= 0]*3', 'First round: probability to enlarge, shrink, keep.'),
    'resize_range': Key(_RANGE, 'First round: range of the resize factor.'),
    'gaussian_noise_prob': Key(_PROBABILITY, 'First round: probability of Gaussian (else Poisson) noise.'),
    'noise_range': Key(_RANGE, 'First round: range of the noise deviation, in 8-bit levels.'),
    'poisson_scale_range': Key(_RANGE, 'First round: range of the Poisson scale.'),
    'gray_noise_prob': Key(_PROBABILITY, 'First round: probability of gray noise.'),
    'jpeg_range': Key(_RANGE, 'First round: range of the JPEG quality.'),
    'second_blur_prob': Key(_PROBABILITY, 'Second round: probability of blur.'),
    'resize_prob2': Key('[number >= 0]*3', 'Second round: as resize_prob.'),
    'resize_range2': Key(_RANGE, 'Second round: as resize_range.'),
    'gaussian_noise_prob2': Key(_PROBABILITY, 'Second round: as gaussian_noise_prob.'),
    'noise_range2': Key(_RANGE, 'Second round: as noise_range.'),
    'poisson_scale_range2': Key(_RANGE, 'Second round: as poisson_scale_range.'),
    'gray_noise_prob2': Key(_PROBABILITY, 'Second round: as gray_noise_prob.'),
    'jpeg_range2': Key(_RANGE, 'Second round: as jpeg_range.'),
}

USM = {'gt_usm': Key('bool', 'Sharpen the ground truth.')}

USM_GAN = {
    'l1_gt_usm': Key('bool', 'Sharpen the ground truth of the pixel loss.'),
    'percep_gt_usm': Key('bool', 'Sharpen the ground truth of the perceptual loss.'),
    'gan_gt_usm': Key('bool', 'Sharpen the ground truth that the discriminator sees.'),
}

PERFORMANCE = {
    'performance': Key('section?', 'Faster steps; docs/performance.md.'),
    'performance.channels_last': Key('bool', 'Networks pixel by pixel in memory; equal to rounding.'),
    'performance.fused_adam': Key('bool', 'One kernel for each Adam step; equal to rounding.'),
    'performance.keep_memory': Key('bool', 'On CPUs, reuse freed memory, not return it; exact. Default: true.'),
    'performance.amp': Key("'bf16' | 'fp16' | null", 'Precision of the networks; not exact. ~: float32.'),
    'performance.compile': Key(
        "bool | 'default' | 'reduce-overhead' | 'max-autotune' | 'max-autotune-no-cudagraphs'",
        'torch.compile: true or one of its modes.',
    ),
}

RELIABILITY = {
    'train.accumulate': Key('int >= 1', 'Parts in which a batch goes through the networks, to save memory.'),
    'train.on_nan': Key("'skip' | 'stop'", 'A step that is not finite: skip it (ten in a row stop), or stop.'),
    'train.grad_clip': Key('number > 0?', "Limit of the norm of each optimizer's gradients. ~: none, as published."),
    'logger.keep_last': Key('int >= 1?', 'Keep the newest so many checkpoints, 2 or more to be safe; ~: all.'),
    'logger.keep_every': Key('int >= 1?', 'With keep_last: keep those at multiples of so many iterations, too.'),
}

MONITOR = {
    'val.monitor': Key('bool', 'Measure and picture what is trained, for logs, warnings and report.py. Default: true.'),
    'val.select': Key('text?', 'Figure whose best network is kept as net_g_best.pth: a name under val.metrics; in '
                      'stage 1 also haar_, spectrum_ or noise_distance, color_shift or color_drift.'),
}

_LQ_JPEG = Key("'auto' | 'median' | [int >= 1 <= 100]*2 | null", 'Generated LR goes through JPEG, as real LR photos '
               'did: with a quality drawn from theirs, with their median, or between two. ~: no JPEG.')
_LQ_STRENGTH = Key('[number >= 0]*2 | null', 'Share of what a generator does beyond bicubic downsampling, drawn '
                   'for each photo between these two. ~: all of it.')
_LQ_NOISE = Key("'auto' | [number >= 0]*2 | null", "The same of a generator's noise alone; auto: as much as makes "
                'its LR photos as noisy as the real ones. ~: as lq_strength has it.')

STAGE_1 = {
    'train.ema_decay': SR['train.ema_decay'],
    'train.color_opt': Key('loss?', 'Keeps low frequencies: generated LR against bicubic LR (w_col).'),
    'train.perceptual_opt': Key('loss?', 'Keeps content: generated LR against bicubic LR (w_per).'),
    'train.spectrum_opt': Key('loss?', 'Generated LR against the real LR crops of the batch (SpectrumLoss).'),
    'train.relativistic': Key('bool', 'RaGAN: D judges each side against the mean of the other.'),
    'train.gp_opt': Key('loss?', 'Gradient penalty of D, for WGAN.'),
    'train.disc_freq': Key('int >= 1', 'Step D every so many iterations.'),
    'train.gen_freq': Key('int >= 1', 'Step G every so many iterations.'),
    'train.lq_jpeg': _LQ_JPEG,
    'train.content_antithetic': Key('bool', 'Content losses judge the mean of G(y, z) and G(y, -z). Default: false.'),
    'val.pbar': SR['val.pbar'],
}

STAGE_2 = {
    'degradations': Key('networks', 'Trained generators: network options, each with checkpoint: FILE '
                        'unless it has no weights.', 'train'),
    'train.ema_decay': SR['train.ema_decay'],
    'train.pixel_opt': Key('loss', 'Supervised loss (w_sup).', 'train'),
    'train.collab_opt': Key('loss?', 'Collaborative loss: branches learn from each other (w_col).'),
    'train.adapt_opt': Key('loss?', 'Adaptation loss: the mean of the branches on real LR is the label.'),
    'train.feature_opt': Key('loss?', 'Feature distillation between the trunks of the branches.'),
    'train.collab_start_iter': Key('count >= 0', 'The collaborative and adaptation terms begin after it.'),
    'train.adapt_ramp': Key("'linear' | 'constant'", 'Weight of adaptation: iteration / total_iter, or 1.'),
    'train.lq_jpeg': _LQ_JPEG,
    'train.lq_strength': _LQ_STRENGTH,
    'train.lq_noise': _LQ_NOISE,
    'train.lq_round': Key('bool', 'Generated LR is clamped and rounded to 8 bits, as photos are.'),
    'train.lq_refresh': Key('int >= 1', 'Draw generated LR anew every so many iterations.'),
    'val.per_branch': Key('bool', 'Measure each branch as well as the ensemble.'),
    'val.pbar': SR['val.pbar'],
}

LEARNED = {
    'degradations': STAGE_2['degradations'],
    'train.lq_jpeg': Key('[int >= 1 <= 100]*2 | null', 'Drawn LR goes through JPEG, of a quality between these two.'),
    'train.lq_strength': _LQ_STRENGTH,
    'train.lq_noise': Key('[number >= 0]*2 | null', "The same of a generator's noise alone. ~: as lq_strength has it."),
    'train.lq_round': Key('bool', 'Drawn LR is clamped and rounded to 8 bits, as files are. Default: true.'),
}

_SR = (ALL, NETWORK_G, SR)
_GAN = (*_SR, NETWORK_D, D_TURNS)
MODELS: dict[str, tuple[dict[str, Key], ...]] = {
    'DegradationGANModel': (ALL, NETWORK_G, NETWORK_D, PERFORMANCE, RELIABILITY, MONITOR, STAGE_1),
    'MultiDegradationSRModel': (ALL, NETWORK_G, PERFORMANCE, RELIABILITY, MONITOR, STAGE_2),
    'LearnedDegradationSRModel': (*_SR, PERFORMANCE, RELIABILITY, LEARNED),
    'LearnedDegradationESRGANModel': (*_GAN, LDL, LEARNED),
    'SRModel': _SR,
    'SwinIRModel': _SR,
    'SRGANModel': (*_GAN, LDL),
    'ESRGANModel': (*_GAN, LDL),
    'RealESRNetModel': (*_SR, REAL_DEGRADATION, USM),
    'RealESRGANModel': (*_GAN, LDL, REAL_DEGRADATION, USM_GAN),
    'HiFaceGANModel': (*_GAN, FEATURE_MATCHING),
    'VideoBaseModel': _SR,
    'VideoGANModel': (*_GAN, LDL),
    'EDVRModel': (*_SR, EDVR),
    'VideoRecurrentModel': (*_SR, FLOW),
    'VideoRecurrentGANModel': (*_GAN, FLOW, FLOW_GAN),
    'StyleGAN2Model': (ALL, NETWORK_G, NETWORK_D, D_TURNS, STYLEGAN),
}
