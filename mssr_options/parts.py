"""Sections whose ``type`` says what they hold: data sets, optimizers, schedules, and what is built by name."""

from typing import Annotated, Literal

from pydantic import Field

from mssr_options import fields as f
from mssr_options.fields import IN_TRAINING, Section, about


class Weights(Section):
    """What a network in a list takes beside its own keywords."""

    checkpoint: f.File | None = about('Weights to start from.', None)


class Grouped(Weights):
    """What a generator in a list of those that serve groups of photos takes beside its own keywords."""

    meta_info_lq: f.File | None = about('Lists the real LR photos that it was trained on.', None)


class Direction(Section):
    """What a metric takes beside its own keywords."""

    better: Literal['higher', 'lower'] = about('Which values are better.', 'higher')


ListedNetwork = Annotated[dict, f.ByType('listed network', extra=Weights)]
GroupedNetwork = Annotated[dict, f.ByType('listed network', extra=Grouped)]
Metric = Annotated[dict, f.ByType('metric', extra=Direction)]


class MultiStep(Section):
    """The rate is multiplied at each milestone."""

    type: f.Text
    milestones: list[f.Iterations] = about('Iterations at which the rate is multiplied by gamma.')
    gamma: f.Positive = about('That factor.', 0.1)
    restarts: list[f.Iterations] = about('Iterations at which the rate restarts.', [0])
    restart_weights: list[f.Number] = about('Factor on the rate at each restart.', [1])


class Cosine(Section):
    """The rate falls along cosines."""

    type: f.Text
    periods: list[f.Every] = about('Length of each cosine, in iterations.')
    restart_weights: list[f.Number] = about('Factor on the rate in each.', [1])
    eta_min: f.Number = about('Lowest rate.', 0)


class LinearDecay(Section):
    """The rate falls to zero along a line; for the models of this project."""

    type: f.Text
    decay_start: f.Iterations = about('Iteration from which the rate falls.')
    total_iter: f.Every = about('Iteration at which it is zero.')
    interval: f.Every = about('The rate changes every so many iterations.', 1)


SCHEDULERS = {'MultiStepLR': MultiStep, 'MultiStepRestartLR': MultiStep, 'CosineAnnealingRestartLR': Cosine,
              'LinearDecayLR': LinearDecay}
Scheduler = Annotated[dict, f.ByType('schedule', SCHEDULERS)]


class Adam(Section):
    """The one optimizer that BasicSR 1.4.2 knows."""

    type: f.Text
    lr: f.Number = about('Learning rate.')
    betas: list[f.Decay] = about('Decay of the running means.', [0.9, 0.999], min_length=2, max_length=2)
    weight_decay: f.Number = about('L2 penalty.', 0)
    eps: f.Positive = about("Adam's epsilon.", 1e-8)
    amsgrad: bool = about('Divide by the largest running mean of squares so far.', False)


class AdamW(Adam):
    """Adam whose decay of the weights is apart from their gradients; for the models of this project."""

    weight_decay: f.Number = about('Decay of the weights, times lr.', 0.01)


class AdamWScheduleFree(Section):
    """AdamW that averages all steps in place of a schedule (keep the rate constant), of package schedulefree."""

    type: f.Text
    lr: f.Number = about('Learning rate.')
    betas: list[Annotated[f.Decay, Field(gt=0)]] = about(
        'Weight of the average where gradients are taken; decay of the mean of squares.', [0.9, 0.999], min_length=2,
        max_length=2)
    weight_decay: f.Number = about('Decay of the weights, times lr.', 0)
    eps: f.Positive = about("Adam's epsilon.", 1e-8)
    warmup_steps: f.Whole = about('Steps of linear warm-up.', 0)
    r: f.Number = about('Step k counts k^r in the average.', 0)
    weight_lr_power: f.Number = about('And lr to this power, the highest so far.', 2)


class Noisy(Section):
    """What a degradation network's optimizer takes beside its own keywords."""

    noise_lr: f.Number = about('Learning rate of the noise weights, unless it is lr.', None)


class NoiseAdam(Adam, Noisy):
    """Adam of a degradation network."""


class NoiseAdamW(AdamW, Noisy):
    """AdamW of a degradation network."""


class NoiseScheduleFree(AdamWScheduleFree, Noisy):
    """AdamWScheduleFree of a degradation network."""


OPTIMIZERS = {'Adam': Adam, 'AdamW': AdamW, 'AdamWScheduleFree': AdamWScheduleFree}
NOISE_OPTIMIZERS = {'Adam': NoiseAdam, 'AdamW': NoiseAdamW, 'AdamWScheduleFree': NoiseScheduleFree}
Optimizer = Annotated[dict, f.ByType('optimizer', OPTIMIZERS)]
NoiseOptimizer = Annotated[dict, f.ByType('optimizer of a generator', NOISE_OPTIMIZERS)]


class IoBackend(Section):
    """How files are read."""

    type: Literal['disk', 'lmdb', 'memcached'] = about('From a folder, a .lmdb, or a memcached server.')
    readonly: bool = about('lmdb: open for reading alone.', True)
    lock: bool = about('lmdb: lock the database.', False)
    readahead: bool = about('lmdb: let the system read ahead.', False)
    server_list_cfg: f.File = about('memcached: its list of servers.', None)
    client_cfg: f.File = about('memcached: the options of its client.', None)
    sys_path: f.Text | None = about('memcached: where its Python package is.', None)


class DataSet(Section):
    """Keys of every data set, those of other packages included."""

    name: f.Text = about('Name of the data set in logs and folders.')
    type: f.Text = about('Registered data set, such as UnpairedImageDataset or PairedImageDataset.')
    scale: f.Natural = about('HR size over LR size; the scale at the top wins.', None)
    io_backend: IoBackend
    pin_memory: bool = about('Page-locked batches, for faster copies to the GPU, if there is one.', None)
    persistent_workers: bool = about("Keep the workers between epochs; this project's data sets do.", None)
    prefetch_mode: Literal['cpu', 'cuda'] | None = about('Prefetch batches; cuda needs pin_memory.', None)
    num_prefetch_queue: f.Natural = about('Batches to prefetch, for prefetch_mode: cpu.', 1)
    batch_size_per_gpu: Annotated[f.Natural, IN_TRAINING] = about('Batch size on each GPU.')
    num_worker_per_gpu: Annotated[f.Whole, IN_TRAINING] = about('Loader processes for each GPU; 0: none.')
    dataset_enlarge_ratio: Annotated[f.Positive, IN_TRAINING] = about(
        'Times the data set is gone through in one epoch.', 1)
    use_shuffle: Annotated[bool, IN_TRAINING] = about(
        "In BasicSR's option files, but read by nothing: training data are always shuffled.", None)


class CleanImageDataset(DataSet):
    """HR photos alone."""

    dataroot_gt: f.Folder = about('Clean HR photos y: a folder or a .lmdb.')
    io_backend: IoBackend = None  # a folder
    meta_info_gt: f.File | None = about('Lists the HR photos to use.', None)
    gt_size: Annotated[f.Natural, IN_TRAINING] = about('Side of the HR crop in pixels; divisible by scale.')
    use_hflip: bool = about('Mirror at random.', True)
    use_rot: bool = about('Turn by quarters at random.', True)
    cache_data: bool = about('Keep all decoded photos in memory; for small sets.', False)
    on_corrupt: Literal['stop', 'skip'] = about('At an image that cannot be used.', 'stop')


class UnpairedImageDataset(CleanImageDataset):
    """HR photos, and LR photos of other scenes."""

    dataroot_lq: f.Folder = about('Real LR photos x of other scenes: a folder or a .lmdb.')
    meta_info_lq: f.File | None = about('Lists the LR photos to use.', None)
    content_match: f.Natural = about(
        'HR crops tried, of which the one nearest to the LR crop in coarse contrast is used.', 1)
    allow_larger_lq: bool = about('LR photos larger than HR photos are no mistake.', False)


class SingleImageDataset(DataSet):
    """LR images without ground truth."""

    dataroot_lq: f.Folder = about('LR images, a folder or a .lmdb.')
    meta_info_file: f.File | None = about('Lists the images to use.', None)
    color: Literal['y'] | None = about('y: the luma channel alone.', None)
    mean: list[float] | None = about('Mean to subtract, one a channel.', None)
    std: list[f.Positive] | None = about('Deviation to divide by, one a channel.', None)


class PairedImageDataset(SingleImageDataset):
    """LR images and their ground truth."""

    dataroot_gt: f.Folder = about('Ground truth: HR images, a folder or a .lmdb.')
    filename_tmpl: f.Text = about("Name of the LR image of an HR image, such as '{}x4'.", '{}')
    gt_size: Annotated[f.Natural, IN_TRAINING] = about('Side of the HR crop in pixels; divisible by scale.')
    use_hflip: Annotated[bool, IN_TRAINING] = about('Mirror at random.')
    use_rot: Annotated[bool, IN_TRAINING] = about('Turn by quarters at random.')


DATASETS = {model.__name__: model
            for model in (UnpairedImageDataset, CleanImageDataset, PairedImageDataset, SingleImageDataset)}
