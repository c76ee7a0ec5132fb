"""All of BasicSR's own keys stay valid, and those of other people's plugins; the schema lists what ours read."""

import ast
import copy
import inspect
import re
import textwrap
from pathlib import Path

import pytest
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY
from torch import nn
from torch.utils.data import Dataset

from mssr_compat.errors import UserError
from mssr_options.check import check_options
from mssr_options.components import find, keywords
from mssr_options.fields import ByType, inner, keys
from mssr_options.parts import DATASETS, SCHEDULERS
from mssr_options.reader import read_options
from mssr_options.schema import MODELS
from option_tools import ADAM, COMMON, LOADER, PAIRED, basicsr_sr, stage_1, stage_2

ROOT = Path(__file__).resolve().parent.parent
DISK = {'io_backend': {'type': 'disk'}}
STOCK_LOADER = {**LOADER, 'use_shuffle': True, 'prefetch_mode': None, 'pin_memory': True, 'persistent_workers': True}
CROP = {'gt_size': 128, 'use_hflip': True, 'use_rot': False}
PERCEPTUAL = {
    'type': 'PerceptualLoss', 'layer_weights': {'conv1_2': 0.1, 'conv5_4': 1}, 'vgg_type': 'vgg19', 'style_weight': 0,
    'use_input_norm': True, 'range_norm': False, 'perceptual_weight': 1.0, 'criterion': 'l1',
}
GAN = {
    'perceptual_opt': PERCEPTUAL, 'optim_d': {**ADAM, 'weight_decay': 0}, 'net_d_iters': 1, 'net_d_init_iters': 0,
    'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0,
                'loss_weight': 0.1},
}
VGG_D = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 8}
UNET_D = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 8, 'skip_connection': True}
RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4}
REAL = {
    'gt_size': 256, 'queue_size': 180, 'high_order_degradation': True, 'second_blur_prob': 0.8,
    'resize_prob': [0.2, 0.7, 0.1], 'resize_range': [0.15, 1.5], 'gaussian_noise_prob': 0.5, 'noise_range': [1, 30],
    'poisson_scale_range': [0.05, 3], 'gray_noise_prob': 0.4, 'jpeg_range': [30, 95],
    'resize_prob2': [0.3, 0.4, 0.3], 'resize_range2': [0.3, 1.2], 'gaussian_noise_prob2': 0.5, 'noise_range2': [1, 25],
    'poisson_scale_range2': [0.05, 2.5], 'gray_noise_prob2': 0.4, 'jpeg_range2': [30, 95],
}
KERNEL = {'blur_kernel_size': 21, 'kernel_list': ['iso', 'aniso'], 'kernel_prob': [0.5, 0.5], 'sinc_prob': 0.1,
          'blur_sigma': [0.2, 3], 'betag_range': [0.5, 4], 'betap_range': [1, 2]}
REAL_DATA = {
    'name': 'DF2K', 'type': 'RealESRGANDataset', 'dataroot_gt': 'gt', 'meta_info': 'list.txt', **DISK, **KERNEL,
    **{f'{key}2': value for key, value in KERNEL.items()}, 'final_sinc_prob': 0.8, **CROP, **STOCK_LOADER,
}
CLIPS = {
    'name': 'clips', 'dataroot_gt': 'gt', 'dataroot_lq': 'lq', 'meta_info_file': 'list.txt', **DISK, 'num_frame': 5,
    'interval_list': [1], 'random_reverse': False, **CROP, **STOCK_LOADER,
}
REDS = {**CLIPS, 'dataroot_flow': None, 'val_partition': 'REDS4'}
VIDEO_VAL = {'name': 'REDS4', 'type': 'VideoTestDataset', 'dataroot_gt': 'gt', 'dataroot_lq': 'lq', **DISK,
             'meta_info_file': 'list.txt', 'cache_data': False, 'num_frame': 5,
             'padding': 'reflection_circle'}
EDVR = {'type': 'EDVR', 'num_feat': 8, 'num_frame': 5, 'deformable_groups': 1, 'num_extract_block': 1,
        'num_reconstruct_block': 1, 'center_frame_idx': None, 'hr_in': False, 'with_tsa': True}
BASICVSR = {'type': 'BasicVSR', 'num_feat': 8, 'num_block': 1, 'spynet_path': None}
STYLE = {
    'optim_d': ADAM, 'gan_opt': {'type': 'GANLoss', 'gan_type': 'wgan_softplus', 'loss_weight': 1.0},
    'r1_reg_weight': 10, 'path_batch_shrink': 2, 'path_reg_weight': 2, 'net_g_reg_every': 4, 'net_d_reg_every': 16,
    'mixing_prob': 0.9, 'net_d_iters': 1, 'net_d_init_iters': 0,
}
PAIRED_D = {'path': {'pretrain_network_g': None, 'param_key_g': 'params_ema', 'strict_load_g': True,
            'pretrain_network_d': None, 'param_key_d': 'params', 'strict_load_d': True, 'resume_state': None,
            'ignore_resume_networks': ['network_d']}}
FACES = {'name': 'FFHQ', 'type': 'FFHQDataset', 'dataroot_gt': 'f.lmdb', 'io_backend': {'type': 'lmdb'},
         'use_hflip': True, 'mean': [0.5, 0.5, 0.5], 'std': [0.5, 0.5, 0.5], **STOCK_LOADER}

# model, networks and keys at the top, training set, keys under train
TRAININGS = [
    ('SRModel', {}, None, {'perceptual_opt': PERCEPTUAL, 'warmup_iter': -1}),
    ('SwinIRModel', {'network_g': {'type': 'SwinIR', 'upscale': 4, 'in_chans': 3, 'img_size': 16, 'window_size': 8,
     'img_range': 1.0, 'depths': [2, 2], 'embed_dim': 12, 'num_heads': [2, 2], 'mlp_ratio': 2,
     'resi_connection': '1conv', 'upsampler': 'pixelshuffle'}}, None, {}),
    ('SRGANModel', {'network_d': VGG_D, **PAIRED_D}, None, GAN),
    ('ESRGANModel', {'network_g': RRDB, 'network_d': VGG_D}, None, {**GAN, 'ldl_opt': {'type': 'L1Loss'}}),
    ('RealESRNetModel', {**REAL, 'gt_usm': True, 'network_g': RRDB}, REAL_DATA, {}),
    ('RealESRGANModel', {**REAL, 'l1_gt_usm': True, 'percep_gt_usm': True, 'gan_gt_usm': False, 'network_g': RRDB,
     'network_d': UNET_D}, REAL_DATA, GAN),
    ('HiFaceGANModel', {'scale': 1, 'network_g': {'type': 'HiFaceGAN', 'num_feat': 8, 'norm_g': 'spectralspadebatch3x3',
     'is_train': False}, 'network_d': {'type': 'HiFaceGANDiscriminator', 'num_feat': 8, 'norm_d': 'spectralinstance'}},
     None, {**GAN, 'gan_opt': {'type': 'MultiScaleGANLoss', 'gan_type': 'lsgan'},
            'feature_matching_opt': {'type': 'L1Loss', 'loss_weight': 10.0}}),
    ('EDVRModel', {'network_g': EDVR, 'find_unused_parameters': True}, {**REDS, 'type': 'REDSDataset'},
     {'tsa_iter': 50000, 'dcn_lr_mul': 1}),
    ('VideoRecurrentModel', {'network_g': BASICVSR}, {**REDS, 'type': 'REDSRecurrentDataset', 'test_mode': False},
     {'fix_flow': 5000, 'flow_lr_mul': 0.125}),
    ('VideoRecurrentModel', {'network_g': BASICVSR}, {**CLIPS, 'type': 'Vimeo90KRecurrentDataset', 'num_frame': -1,
     'flip_sequence': True}, {}),
    ('VideoRecurrentGANModel', {'network_g': BASICVSR, 'network_d': VGG_D}, {**REDS, 'type': 'REDSRecurrentDataset'},
     {**GAN, 'fix_flow': None, 'lr_flow': 0}),
    ('VideoBaseModel', {'network_g': EDVR}, {**CLIPS, 'type': 'Vimeo90KDataset', 'num_frame': 7}, {}),
    ('VideoGANModel', {'network_g': EDVR, 'network_d': VGG_D}, {**CLIPS, 'type': 'Vimeo90KDataset'}, GAN),
    ('StyleGAN2Model', {'network_g': {'type': 'StyleGAN2Generator', 'out_size': 32, 'num_style_feat': 16, 'num_mlp': 1,
     'channel_multiplier': 1, 'resample_kernel': [1, 3, 3, 1], 'lr_mlp': 0.01}, 'network_d': {
         'type': 'StyleGAN2Discriminator', 'out_size': 32, 'channel_multiplier': 1}, 'scale': None}, FACES, STYLE),
]


def training(model, top, train_set, train):
    opt = {**basicsr_sr(), 'model_type': model, **copy.deepcopy(top)}
    opt['train'].update(copy.deepcopy(train))
    if train_set is not None:
        opt['datasets'] = {'train': copy.deepcopy(train_set)}
        opt['datasets']['train']['batch_size_per_gpu'] = 12
        opt.pop('val')
    else:
        opt['datasets']['train'].update(STOCK_LOADER, gt_size=128)
    if model == 'StyleGAN2Model':
        for key in ('pixel_opt', 'ema_decay'):
            opt['train'].pop(key)
        opt.pop('scale')
    return opt


@pytest.mark.parametrize(('model', 'top', 'train_set', 'train'), TRAININGS, ids=[t[0] for t in TRAININGS])
def test_trainings_of_basicsr(model, top, train_set, train):
    check_options(training(model, top, train_set, train))


VIDEO_TESTS = [
    VIDEO_VAL,
    {**VIDEO_VAL, 'type': 'VideoRecurrentTestDataset', 'num_frame': -1},
    {**VIDEO_VAL, 'type': 'VideoTestVimeo90KDataset'},
    {**VIDEO_VAL, 'type': 'VideoTestDUFDataset', 'use_duf_downsampling': True},
]


@pytest.mark.parametrize('dataset', VIDEO_TESTS, ids=[d['type'] for d in VIDEO_TESTS])
def test_video_tests_of_basicsr(dataset):
    opt = {**copy.deepcopy(COMMON), 'model_type': 'VideoRecurrentModel', 'network_g': BASICVSR,
           'datasets': {'test': dataset}}
    opt['path']['pretrain_network_g'] = 'x.pth'
    opt['val'] = {'save_img': True, 'suffix': None, 'flip_seq': False, 'metrics': COMMON['val']['metrics']}
    check_options(opt, None, is_train=False)


@pytest.mark.parametrize('file', sorted((ROOT / 'options').rglob('*.yml')), ids=lambda file: file.stem)
def test_shipped_option_files(file):
    opt = read_options(str(file))
    for network in (opt['network_g'], *opt['network_g'].get('branches', ())):
        if network.pop('pretrained', None):  # a file that users have, and that says what network it holds
            network |= {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3}
    check_options(opt, str(file), is_train='train' in opt)


# --- the schema against the sources ---------------------------------------------------------------------------------

# What BasicSR itself puts into the options, or reads from sections that are checked by signature.
SET_BY_BASICSR = {'dist', 'rank', 'world_size', 'is_train', 'models', 'training_states', 'visualization', 'phase',
                  'resume_iter', 'root_path', 'experiments_root', 'auto_resume'}
BELOW = {'type', 'lr', 'name', 'db_paths', 'client_keys', 'window_size', 'num_style_feat', 'branches', 'checkpoint',
         'noise_lr', 'params', 'net_g', 'loss_weight'}


def keys_in_source(cls):
    """Option keys that the body of one class reads: ``opt['key']``, ``train_opt.get('key')``, ``'key' in self.opt``."""
    found = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
        holder = key = None
        if isinstance(node, ast.Subscript):
            holder, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in ('get', 'pop', 'setdefault'):
                holder, key = node.func.value, node.args[0]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            holder, key = node.comparators[0], node.left
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and 'opt' in ast.unparse(holder):
            found.add(key.value)
    return found


def parents(cls):
    """Classes of a model or data set that read options, from BasicSR or from here."""
    return [parent for parent in cls.__mro__ if parent.__module__.split('.')[0] in ('basicsr', *OURS)]


def listed(model):
    """All keys of a section and of those in it."""
    found = set(keys(model))
    for field in keys(model).values():
        part = inner(field)
        if part is not None:
            found |= set(keys(part.extra)) if isinstance(part, ByType) else listed(part)
    return found


OURS = ('mssr_model', 'mssr_data')


@pytest.mark.parametrize('name', MODELS)
def test_models_read_nothing_that_the_schema_lacks(name):
    own = find('model', name)
    # A method that a subclass replaces may name keys that are then read by nobody.
    read = keys_in_source(own) if own.__module__.startswith(OURS) else set().union(*map(keys_in_source, parents(own)))
    assert read - listed(MODELS[name]) - SET_BY_BASICSR - BELOW == set()


@pytest.mark.parametrize('name', DATASETS)
def test_data_sets_read_nothing_that_the_schema_lacks(name):
    read = set().union(*map(keys_in_source, parents(find('data set', name))))
    assert read - listed(DATASETS[name]) - SET_BY_BASICSR - BELOW == set()


def test_all_of_our_models_and_data_sets_are_listed():
    for registry, table in ((MODEL_REGISTRY, MODELS), (DATASET_REGISTRY, DATASETS)):
        own = {name for name, cls in registry if cls.__module__.startswith('mssr_')}
        assert own and own <= set(table)


def test_schedules_take_what_the_schema_says():
    from basicsr.models import lr_scheduler

    from mssr_model.lr_schedule import LinearDecayLR

    classes = {'MultiStepLR': lr_scheduler.MultiStepRestartLR, 'LinearDecayLR': LinearDecayLR,
               'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
               'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR}
    for name, model in SCHEDULERS.items():
        parameters = set(keywords(classes[name])[0])
        assert parameters - {'last_epoch', 'optimizer'} == set(keys(model)) - {'type'}


# --- plugins of others ----------------------------------------------------------------------------------------------


class ForeignNet(nn.Module):
    def __init__(self, width, act='relu', criterion='huber', **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(3, width, kwargs.get('kernel_size', 3))


class ForeignChild(ForeignNet):
    def __init__(self, depth: int = 1, **kwargs):
        super().__init__(**kwargs)


class ForeignLoss(nn.Module):
    def __init__(self, loss_weight=1.0, margin=0.5):
        super().__init__()


class ForeignData(Dataset):
    def __init__(self, opt):
        self.folder, self.mode = opt['dataroot'], opt.get('mode', 'a')


class ForeignModel(SRModel):
    def init_training_settings(self):
        super().init_training_settings()
        train_opt = self.opt['train']
        self.teacher_weight = train_opt.get('teacher_weight', 1)
        self.options_t = self.opt['network_t']
        self.distill = train_opt['distill_opt']


def foreign_metric(img, img2, window=7, **kwargs):
    return window + len(img) + len(img2)


@pytest.fixture
def foreign():
    """Register another plugin for one test."""
    things = [(ARCH_REGISTRY, ForeignNet), (ARCH_REGISTRY, ForeignChild), (LOSS_REGISTRY, ForeignLoss),
              (DATASET_REGISTRY, ForeignData), (MODEL_REGISTRY, ForeignModel),
              (METRIC_REGISTRY, foreign_metric)]
    for registry, thing in things:
        registry.register(thing)
    opt = basicsr_sr()
    opt['model_type'] = 'ForeignModel'
    opt['network_g'] = {'type': 'ForeignChild', 'width': 4, 'depth': 2, 'kernel_size': 1, 'criterion': 'huber'}
    opt['network_t'] = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3}
    opt['path']['pretrain_network_t'] = None
    opt['train'] |= {'teacher_weight': 0.5, 'distill_opt': {'type': 'ForeignLoss', 'margin': 1}}
    opt['datasets']['train'] = {'name': 'x', 'type': 'ForeignData', 'dataroot': 'x', 'mode': 'b', **LOADER, **DISK}
    opt['val']['metrics'] = {'m': {'type': 'foreign_metric', 'window': 3, 'better': 'lower'}}
    yield opt
    for registry, thing in things:
        del registry._obj_map[thing.__name__]


def test_plugins_of_others_work(foreign):
    check_options(foreign)


@pytest.mark.parametrize(
    ('path', 'key', 'value', 'expected'),
    [
        (['train', 'distill_opt'], 'margn', 1, "'margin'"),
        (['train', 'distill_opt'], 'type', 'ForeinLoss', 'ForeignLoss'),
        (['network_g'], 'depth', 'x', 'whole number'),
        (['network_t'], 'num_blocks', 2, "'num_block'"),
        (['network_g'], 'type', 'ForeignNat', 'ForeignNet'),
    ],
)
def test_mistakes_in_plugins_of_others(foreign, path, key, value, expected):
    section = foreign
    for name in path:
        section = section[name]
    section[key] = value
    with pytest.raises(UserError, match=re.escape(expected)):
        check_options(foreign)


def test_networks_that_cannot_be_built_without_storage_are_tried_in_earnest(foreign):
    class Peculiar(nn.Module):
        def __init__(self, size=2):
            super().__init__()
            import torch

            if torch.linspace(0, 1, 3)[1].item() != 0.5 or size > 4:
                raise ValueError('size must be at most 4')

    ARCH_REGISTRY.register(Peculiar)
    try:
        foreign['network_g'] = {'type': 'Peculiar', 'size': 3}
        check_options(foreign)
        foreign['network_g']['size'] = 5
        with pytest.raises(UserError, match='network_g: Peculiar cannot be built: size must be at most 4'):
            check_options(foreign)
    finally:
        del ARCH_REGISTRY._obj_map['Peculiar']


@pytest.mark.parametrize('make', [stage_1, stage_2])
@pytest.mark.parametrize('backend', [{'type': 'lmdb'}, {'type': 'lmdb', 'readahead': True}])
def test_lmdb(make, backend):
    opt = make()
    opt['datasets']['train'] |= {'io_backend': backend, 'dataroot_gt': 'gt.lmdb', 'dataroot_lq': 'lq.lmdb/'}
    check_options(opt)
    assert PAIRED['io_backend'] == {'type': 'disk'}
