"""The keys of a data set, who reads them, and what they may hold; see :mod:`mssr_options.tables`."""

from mssr_options.tables import Key

ALL = {
    'name': Key('text', 'Name of the data set in logs and folders.', 'always'),
    'type': Key('text', 'Registered data set, such as UnpairedImageDataset or PairedImageDataset.', 'always'),
    'scale': Key('int >= 1', 'HR size over LR size; the scale at the top wins.'),
    'io_backend': Key('io_backend', 'How files are read: type: disk, lmdb or memcached.', 'always'),
    'pin_memory': Key('bool', 'Page-locked batches, for faster copies to the GPU. Default of train: true with a GPU.'),
    'persistent_workers': Key('bool', "Keep the workers between epochs. Default: true with this project's data sets."),
    'prefetch_mode': Key("'cpu' | 'cuda' | null", 'Prefetch batches; cuda needs pin_memory.'),
    'num_prefetch_queue': Key('int >= 1', 'Batches to prefetch, for prefetch_mode: cpu.'),
    # Of the training set alone:
    'batch_size_per_gpu': Key('int >= 1', 'Batch size on each GPU.', 'train', 'train'),
    'num_worker_per_gpu': Key('int >= 0', 'Loader processes for each GPU; 0: none.', 'train', 'train'),
    'dataset_enlarge_ratio': Key('number > 0', 'Times the data set is gone through in one epoch.', '', 'train'),
    'use_shuffle': Key(
        'bool', "In BasicSR's option files, but read by nothing: training data are always shuffled.", '', 'train'
    ),
}

GT = {'dataroot_gt': Key('folder', 'Ground truth: HR images, a folder or a .lmdb.', 'always')}
LQ = {'dataroot_lq': Key('folder', 'LR images, a folder or a .lmdb.', 'always')}
CROP = {
    'gt_size': Key('int >= 1', 'Side of the HR crop in pixels; divisible by scale.', 'train', 'train'),
    'use_hflip': Key('bool', 'Mirror at random.', 'train', 'train'),
    'use_rot': Key('bool', 'Turn by quarters at random.', 'train', 'train'),
}
CROP_ELSEWHERE = {'gt_size': Key('int >= 1', 'Here for completeness: the model reads gt_size at the top.', '', 'train')}
HFLIP = {'use_hflip': CROP['use_hflip']}
NORMALISE = {
    'mean': Key('[number]?', 'Mean to subtract, one a channel.'),
    'std': Key('[number > 0]?', 'Deviation to divide by, one a channel.'),
}
COLOR = {'color': Key("'y' | null", 'y: the luma channel alone.')}
META_FILE = {'meta_info_file': Key('file?', 'Lists the images or clips to use.')}
META = {'meta_info': Key('file?', 'Lists the images to use.')}
TEMPLATE = {'filename_tmpl': Key('text', "Name of the LR image of an HR image, such as '{}x4'.")}

UNPAIRED = {
    'dataroot_gt': Key('folder', 'Clean HR photos y: a folder or a .lmdb.', 'always'),
    'dataroot_lq': Key('folder', 'Real LR photos x of other scenes: a folder or a .lmdb.', 'always'),
    'io_backend': Key('io_backend', 'How files are read: type: disk (default) or lmdb.'),
    'meta_info_gt': Key('file?', 'Lists the HR photos to use.'),
    'meta_info_lq': Key('file?', 'Lists the LR photos to use.'),
    'gt_size': CROP['gt_size'],
    'use_hflip': Key('bool', 'Mirror at random. Default: true.'),
    'use_rot': Key('bool', 'Turn by quarters at random. Default: true.'),
    'content_match': Key('int >= 1', 'HR crops tried, of which the one nearest to the LR crop in coarse contrast is '
                         'used. Default: 1.'),
    'cache_data': Key('bool', 'Keep all decoded photos in memory; for small sets. Default: false.'),
    'on_corrupt': Key("'stop' | 'skip'", 'At an image that cannot be used. Default: stop.'),
    'allow_larger_lq': Key('bool', 'LR photos larger than HR photos are no mistake. Default: false.'),
}
CLEAN = {key: UNPAIRED[key] for key in ('dataroot_gt', 'io_backend', 'meta_info_gt', 'gt_size', 'use_hflip', 'use_rot')}

_RANGE, _PROBABILITIES = '[number >= 0]*2', '[number >= 0 <= 1]'
_KERNELS = "['iso' | 'aniso' | 'generalized_iso' | 'generalized_aniso' | 'plateau_iso' | 'plateau_aniso']"
KERNELS = {
    'blur_kernel_size': Key('int >= 1', 'First round: largest blur kernel, odd.', 'train'),
    'kernel_list': Key(_KERNELS, 'First round: kinds of kernels.', 'train'),
    'kernel_prob': Key(_PROBABILITIES, 'First round: probability of each kind.', 'train'),
    'sinc_prob': Key('number >= 0 <= 1', 'First round: probability of a sinc filter.', 'train'),
    'blur_sigma': Key(_RANGE, 'First round: range of the blur deviation in pixels.', 'train'),
    'betag_range': Key(_RANGE, 'First round: shape of generalised Gaussian kernels.', 'train'),
    'betap_range': Key(_RANGE, 'First round: shape of plateau kernels.', 'train'),
    'blur_kernel_size2': Key('int >= 1', 'Second round: as blur_kernel_size.', 'train'),
    'kernel_list2': Key(_KERNELS, 'Second round: as kernel_list.', 'train'),
    'kernel_prob2': Key(_PROBABILITIES, 'Second round: as kernel_prob.', 'train'),
    'sinc_prob2': Key('number >= 0 <= 1', 'Second round: as sinc_prob.', 'train'),
    'blur_sigma2': Key(_RANGE, 'Second round: as blur_sigma.', 'train'),
    'betag_range2': Key(_RANGE, 'Second round: as betag_range.', 'train'),
    'betap_range2': Key(_RANGE, 'Second round: as betap_range.', 'train'),
    'final_sinc_prob': Key('number >= 0 <= 1', 'Probability of a last sinc filter.', 'train'),
}

NUM_FRAME = {'num_frame': Key('int >= -1', 'Frames of a clip; -1: all.')}
CLIP = {
    **NUM_FRAME,
    'interval_list': Key('[int >= 1]', 'Steps between frames, to draw from.'),
    'random_reverse': Key('bool', 'Reverse clips at random.'),
}
REDS = {
    'dataroot_flow': Key('folder?', 'Optical flow.'),
    'val_partition': Key("'REDS4' | 'official'", 'Which clips are kept for validation.'),
    'test_mode': Key('bool', 'Read the clips kept for validation.'),
}
FLIP_SEQUENCE = {'flip_sequence': Key('bool', 'Append the mirrored sequence.')}
VIDEO_TEST = {
    **NUM_FRAME,
    'cache_data': Key('bool', 'Keep all frames in memory.', 'always'),
    'padding': Key("'replicate' | 'reflection' | 'reflection_circle' | 'circle'", 'Frames beyond the ends of a clip.'),
}
DUF = {'use_duf_downsampling': Key('bool', "Make LR frames by DUF's downsampling.")}

_PAIRED = (ALL, GT, LQ, CROP, NORMALISE, TEMPLATE)
_VIDEO = (ALL, GT, LQ, CROP, META_FILE, CLIP)
_VIDEO_TEST = (ALL, GT, LQ, META_FILE, VIDEO_TEST)
DATASETS: dict[str, tuple[dict[str, Key], ...]] = {
    'UnpairedImageDataset': (ALL, UNPAIRED),
    'CleanImageDataset': (ALL, CLEAN),
    'PairedImageDataset': (*_PAIRED, COLOR, META_FILE),
    'RealESRGANPairedDataset': (*_PAIRED, META),
    'RealESRGANDataset': (ALL, GT, {**CROP, **CROP_ELSEWHERE}, META, KERNELS),
    'SingleImageDataset': (ALL, LQ, NORMALISE, COLOR, META_FILE),
    'FFHQDataset': (ALL, GT, NORMALISE, HFLIP),
    'REDSDataset': (*_VIDEO, REDS),
    'REDSRecurrentDataset': (*_VIDEO, REDS),
    'Vimeo90KDataset': _VIDEO,
    'Vimeo90KRecurrentDataset': (*_VIDEO, FLIP_SEQUENCE),
    'VideoTestDataset': _VIDEO_TEST,
    'VideoRecurrentTestDataset': _VIDEO_TEST,
    'VideoTestVimeo90KDataset': _VIDEO_TEST,
    'VideoTestDUFDataset': (*_VIDEO_TEST, DUF),
}
