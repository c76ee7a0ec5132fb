"""What an option file may hold: a model for each section, a field for each key, and what each trained model reads.

The errors, ``options/schema.json`` and the tables of ``docs/options.md`` come from here; a new key is one field.
Data sets, optimizers and schedules are in :mod:`mssr_options.parts`. Networks, losses and metrics are not listed: the
signatures of what is registered tell what they take.
"""

from typing import Annotated, Literal

from pydantic import Field

from mssr_options import fields as f
from mssr_options import parts
from mssr_options.fields import IN_TRAINING, Section, about


class Path(Section):
    """Weights to start from."""

    resume_state: f.File | None = about('Training state (.state) to go on from.', None)
    ignore_resume_networks: list[f.Text] | None = about(
        'Networks that a resumed run does not load, such as network_d.', None)
    pretrain_network_g: f.File | None = about('Weights of network_g.', None)
    param_key_g: f.Text | None = about('Entry of the weight file: params or params_ema.', None)
    strict_load_g: bool = about('All weights must match.', True)


class GANPath(Path):
    pretrain_network_d: f.File | None = about('Weights of network_d.', None)
    param_key_d: f.Text | None = about('Entry of the weight file.', None)
    strict_load_d: bool = about('All weights must match.', True)


class Validation(Section):
    """Validation settings; without them nothing is validated."""

    val_freq: Annotated[f.Every, IN_TRAINING] = about('Validate every so many iterations.')
    save_img: bool = about('Save the pictures.')
    suffix: f.Text | None = about('Ending of the names of saved pictures; ~: the name of the experiment.', None)
    metrics: dict[str, parts.Metric] | None = about(
        'Metrics by any name: each a type and the arguments of that metric.', None)
    pbar: bool = about('Show a progress bar.', False)


class ObservedValidation(Validation):
    monitor: bool = about('Measure and picture what is trained, for logs, warnings and mssr report.', True)
    select: f.Text | None = about(
        'Figure whose best network is kept as net_g_best.pth: a name under val.metrics; in stage 1 also haar_, '
        'spectrum_ or noise_distance, color_shift or color_drift.', None)


class BranchValidation(ObservedValidation):
    select_bound: f.Number | None = about(
        'With train.stay_near: by how much the figure of select may become worse than that of the start.', None)
    per_branch: bool = about('Measure each branch as well as the ensemble.', False)


class Wandb(Section):
    """Weights & Biases; needs use_tb_logger."""

    project: f.Text | None = about('Project; ~: off.', None)
    resume_id: f.Text | None = about('Run to go on with.', None)


class Logger(Section):
    """Logging and saving."""

    print_freq: Annotated[f.Every, IN_TRAINING] = about('Log every so many iterations.')
    save_checkpoint_freq: Annotated[f.Every, IN_TRAINING] = about('Save weights and state every so many iterations.')
    use_tb_logger: Annotated[bool, IN_TRAINING] = about('Write TensorBoard logs.')
    wandb: Wandb | None = None


class KeepingLogger(Logger):
    keep_last: f.Natural | None = about('Keep the newest so many checkpoints, 2 or more to be safe; ~: all.', None)
    keep_every: f.Natural | None = about('With keep_last: keep those at multiples of so many iterations, too.', None)


class Performance(Section):
    """Faster steps; docs/performance.md."""

    channels_last: bool | Literal['auto'] = about(
        'Networks pixel by pixel in memory; equal to rounding. auto: whichever is faster here, by trying.', 'auto')
    threads: f.Natural | Literal['auto'] | None = about(
        "Of the CPU. auto: as many as are fastest here, by trying, unless OMP_NUM_THREADS says how many. ~: torch's "
        'number.', 'auto')
    fused_adam: bool = about('One kernel for each Adam step; equal to rounding.', True)
    keep_memory: bool = about('On CPUs, reuse freed memory, not return it; exact.', True)
    amp: Literal['bf16', 'fp16'] | None = about('Precision of the networks; not exact. ~: float32.', None)
    compile: bool | Literal['default', 'reduce-overhead', 'max-autotune', 'max-autotune-no-cudagraphs'] = about(
        'torch.compile: true or one of its modes.', False)


class UnscaledPerformance(Performance):
    amp: Literal['bf16'] | None = about('Precision of the networks; not exact. ~: float32.', None)


class DistParams(Section):
    """Distributed training."""

    backend: Literal['nccl', 'gloo', 'mpi'] = about('Backend of torch.distributed.', 'nccl')
    port: Annotated[int, Field(ge=1, le=65535)] | None = about('Port of the first process (Slurm).', None)


class Train(Section):
    """Training settings."""

    total_iter: Annotated[f.Every, IN_TRAINING] = about('Iterations to run.')
    warmup_iter: float = about('Iterations of linear warm-up of the learning rate; -1: none.', -1, multiple_of=1, ge=-1)
    scheduler: Annotated[parts.Scheduler, IN_TRAINING] = about('Schedule of the learning rates.')
    optim_g: Annotated[parts.Optimizer, IN_TRAINING] = about('Optimizer of network_g.')
    ema_decay: f.Decay = about('Decay of the running average of the weights; 0: none.', 0)


class SRTrain(Train):
    pixel_opt: f.Loss | None = about('Pixel loss.', None)
    perceptual_opt: f.Loss | None = about('Perceptual loss.', None)


class ClippedTrain(Train):
    grad_clip: f.Positive | None = about("Limit of the norm of an optimizer's gradients. ~: none, as published.", None)


class SteppedTrain(ClippedTrain):
    accumulate: f.Natural = about('Parts in which a batch goes through the networks, to save memory.', 1)
    on_nan: Literal['skip', 'stop'] = about('A step that is not finite: skip it (ten in a row stop), or stop.', 'skip')


class KeptTrain(ClippedTrain):
    stay_near: f.Positive | None = about(
        'How far outputs on real LR photos may move from those of the start (mean absolute difference in [0, 1]); '
        'beyond, training ends with the best so far. Looked at whenever checkpoints are saved. ~: however far.', None)


class DiscriminatorTrain(Train):
    optim_d: Annotated[parts.Optimizer, IN_TRAINING] = about('Optimizer of network_d.')
    gan_opt: Annotated[f.Loss, IN_TRAINING] = about('Adversarial loss.')


class PerceptualTrain(SRTrain, SteppedTrain, KeptTrain):
    find_rate: bool = about(
        'Of optim_g.lr and its halves, the first that lowers the loss and moves outputs on real LR photos by less than '
        'stay_near (0.02 if that is not set) in 20 steps; tried before the first iteration.', False)
    gt_sharpen: f.Positive | None = about(
        'Clean photos are sharpened by this share (unsharp mask of 2 pixels) before losses compare with them. ~: not.',
        None)
    gan_opt: f.Loss | None = about('Adversarial loss; needs network_d and optim_d.', None)
    optim_d: parts.Optimizer | None = about('Optimizer of network_d.', None)
    net_d_iters: f.Every = about('Step the SR network every so many iterations.', 1)
    net_d_init_iters: f.Iterations = about('Iterations for the discriminator alone at the start.', 0)


_JPEG = ('Generated LR goes through JPEG, as real LR photos did: with a quality drawn from theirs, with their median, '
         'or between two. ~: no JPEG.')
_STRENGTH = ('Share of what a generator does beyond bicubic downsampling, drawn for each photo between these two. '
             '~: all of it.')
_NOISE = "The same of a generator's noise alone"


class DegradationTrain(DiscriminatorTrain, SteppedTrain):
    optim_g: Annotated[parts.NoiseOptimizer, IN_TRAINING] = about('Optimizer of network_g.')
    color_opt: f.Loss | None = about('Keeps low frequencies: generated LR against bicubic LR (w_col).', None)
    perceptual_opt: f.Loss | None = about('Keeps content: generated LR against bicubic LR (w_per).', None)
    spectrum_opt: f.Loss | None = about('Generated LR against the real LR crops of the batch (SpectrumLoss).', None)
    relativistic: bool = about('RaGAN: D judges each side against the mean of the other.', False)
    gp_opt: f.Loss | None = about('Gradient penalty of D, for WGAN.', None)
    disc_freq: f.Natural = about('Step D every so many iterations.', 1)
    gen_freq: f.Natural = about('Step G every so many iterations.', 1)
    lq_jpeg: Literal['auto', 'median'] | f.Qualities | None = about(_JPEG, None)
    content_antithetic: bool = about('Content losses judge the mean of G(y, z) and G(y, -z).', False)


class EnsembleTrain(PerceptualTrain):
    pixel_opt: Annotated[f.Loss, IN_TRAINING] = about('Supervised loss (w_sup).')
    collab_opt: f.Loss | None = about('Collaborative loss: branches learn from each other (w_col).', None)
    adapt_opt: f.Loss | None = about('Adaptation loss: the mean of the branches on real LR is the label.', None)
    consistency_opt: f.Loss | None = about(
        'Of adaptation, too: the result on real LR, degraded again without noise, is that LR, both a little blurred.',
        None)
    distance_opt: f.Loss | None = about(
        'Of adaptation, too: PairwiseDistanceLoss of real and drawn LR to the averaged weights; needs ema_decay.', None)
    feature_opt: f.Loss | None = about('Feature distillation between the trunks of the branches.', None)
    perceptual_branches: list[f.Natural] | None = about(
        'Branches, from 1, that perceptual_opt and gan_opt are for. ~: all.', None)
    collab_start_iter: f.Iterations = about('The collaborative term and those of adaptation begin after it.', 0)
    adapt_ramp: Literal['linear', 'constant'] = about('Weight of adaptation: iteration / total_iter, or 1.', 'linear')
    lq_jpeg: Literal['auto', 'median'] | f.Qualities | None = about(_JPEG, None)
    lq_strength: f.Shares | None = about(_STRENGTH, None)
    lq_noise: Literal['auto'] | f.Shares | None = about(
        f'{_NOISE}; auto: as much as makes its LR photos as noisy as the real ones. ~: as lq_strength has it.', None)
    lq_round: bool = about('Generated LR is clamped and rounded to 8 bits, as photos are.', False)


class LearnedTrain(SRTrain):
    lq_jpeg: f.Qualities | None = about('Drawn LR goes through JPEG, of a quality between these two.', None)
    lq_strength: f.Shares | None = about(_STRENGTH, None)
    lq_noise: f.Shares | None = about(f'{_NOISE}. ~: as lq_strength has it.', None)
    lq_round: bool = about('Drawn LR is clamped and rounded to 8 bits, as files are.', True)


class LearnedSRTrain(LearnedTrain, PerceptualTrain):
    pass


class LearnedGANTrain(LearnedTrain, DiscriminatorTrain, KeptTrain):
    net_d_iters: f.Every = about('Step the generator every so many iterations.', 1)
    net_d_init_iters: f.Iterations = about('Iterations for the discriminator alone at the start.', 0)
    ldl_opt: f.Loss | None = about('Locally discriminative learning loss.', None)


class Options(Section):
    """Options of an experiment. A model of BasicSR or of another package may read more than these."""

    name: f.Text = about('Name of the experiment: results go to experiments/NAME or results/NAME.')
    model_type: f.Text = about('Registered model, such as DegradationGANModel or MultiDegradationSRModel.')
    scale: f.Natural = about('HR size over LR size.', None)
    num_gpu: f.Whole | Literal['auto'] = about('Number of GPUs; 0: CPU; auto: all there are.')
    manual_seed: f.Whole | None = about('Seed of all random numbers; without one it is drawn.', None)
    datasets: dict[str, Annotated[dict, f.ByType('data set')]] = about(
        'Data sets: train, val, val_1, ...; for testing test_1, ...')
    network_g: f.Network = about('The network that is trained: a type and the arguments of that network.')
    path: Path
    train: Annotated[SRTrain, IN_TRAINING]
    val: Validation | None = None
    logger: Annotated[Logger, IN_TRAINING]
    dist_params: DistParams | None = None
    find_unused_parameters: bool = about('DDP: allow parameters that a step does not use.', False)


class WithDiscriminator(Options):
    """Options of an experiment with a discriminator."""

    network_d: Annotated[f.Network, IN_TRAINING] = about('The discriminator.')
    path: GANPath


class WithJudge(Options):
    """Options of an experiment that may have a discriminator."""

    network_d: Annotated[f.Network | None, IN_TRAINING] = about('The discriminator, for train.gan_opt.', None)
    path: GANPath


class WithGenerators(Options):
    """Options of an experiment with what stage 1 trained."""

    degradations: Annotated[list[parts.ListedNetwork], IN_TRAINING] = about(
        'Trained generators: network options, each with checkpoint: FILE unless it has no weights.', min_length=1)


class DegradationGANModel(WithDiscriminator):
    """Options of stage 1: a degradation is learned."""

    train: Annotated[DegradationTrain, IN_TRAINING]
    val: ObservedValidation | None = None
    logger: Annotated[KeepingLogger, IN_TRAINING]
    performance: Performance | None = None


class MultiDegradationSRModel(WithJudge, WithGenerators):
    """Options of stage 2: an ensemble learns from what the generators of stage 1 draw."""

    degradations: Annotated[list[parts.GroupedNetwork], IN_TRAINING] = about(
        'Trained generators: network options, each with checkpoint: FILE unless it has no weights, and, if it was '
        'trained on a group of photos, meta_info_lq: FILE, which lists those of datasets.train.dataroot_lq that '
        'lq_jpeg: auto or median and lq_noise: auto read for it (default: all of datasets.train).', min_length=1)
    train: Annotated[EnsembleTrain, IN_TRAINING]
    val: BranchValidation | None = None
    logger: Annotated[KeepingLogger, IN_TRAINING]
    performance: Performance | None = None


class LearnedDegradationSRModel(WithJudge, WithGenerators):
    """Options of any SR network that learns from what the generators of stage 1 draw."""

    train: Annotated[LearnedSRTrain, IN_TRAINING]
    logger: Annotated[KeepingLogger, IN_TRAINING]
    performance: Performance | None = None


class LearnedDegradationESRGANModel(WithDiscriminator, WithGenerators):
    """The same with a discriminator."""

    train: Annotated[LearnedGANTrain, IN_TRAINING]
    logger: Annotated[KeepingLogger, IN_TRAINING]
    performance: UnscaledPerformance | None = None


MODELS = {model.__name__: model for model in (DegradationGANModel, MultiDegradationSRModel, LearnedDegradationSRModel,
                                              LearnedDegradationESRGANModel)}
