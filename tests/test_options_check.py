"""A corpus of bad option files: each gives one error that names the place, the key, and what would be right."""

import copy

import pytest
from basicsr.utils.registry import ARCH_REGISTRY
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mssr_compat.errors import UserError
from mssr_options.check import check_options
from mssr_options.reader import read_options
from option_tools import at, basicsr_sr, put, stage_1, stage_2, test_options, write

BASES = {'1': (stage_1, True), '2': (stage_2, True), 'sr': (basicsr_sr, True), 'test': (test_options, False)}
KEEP = object()

# base, key path, new name of the key (None: set, '': remove), new value, parts of the message
MISSPELT = [
    ('1', 'naem', 'x', ["'name'"]),
    ('1', 'Scale', 4, ["'scale'"]),
    ('1', 'modeltype', 'x', ["'model_type'"]),
    ('1', 'num_gpus', 1, ["'num_gpu'"]),
    ('1', 'manual-seed', 1, ["'manual_seed'"]),
    ('1', 'dataset', {}, ["'datasets'"]),
    ('1', 'network_G', {}, ["'network_g'"]),
    ('1', 'find_unused_parameter', True, ["'find_unused_parameters'"]),
    ('1', 'train.total_itr', 5, ["'total_iter'"]),
    ('1', 'train.warm_up_iter', 5, ["'warmup_iter'"]),
    ('1', 'train.shceduler', {}, ["'scheduler'"]),
    ('1', 'train.optimg', {}, ['optim_g']),
    ('1', 'train.colour_opt', {}, ["'color_opt'"]),
    ('1', 'train.percep_opt', {}, ["'perceptual_opt'"]),
    ('1', 'train.relativstic', True, ["'relativistic'"]),
    ('1', 'train.disc_frq', 1, ["'disc_freq'"]),
    ('1', 'train.ema-decay', 0.9, ["'ema_decay'"]),
    ('1', 'train.optim_g.learning_rate', 1, ['no such option']),
    ('1', 'train.optim_g.beta', [0.5, 0.9], ["'betas'"]),
    ('1', 'train.optim_g.noise_lrs', 1e-4, ["'noise_lr'"]),
    ('1', 'train.optim_g.weight_deacy', 0, ["'weight_decay'"]),
    ('1', 'train.scheduler.decay_begin', 5, ['decay_start']),
    ('1', 'train.gan_opt.loss_wieght', 1, ["'loss_weight'"]),
    ('1', 'train.gan_opt.gantype', 'vanilla', ["'gan_type'"]),
    ('1', 'train.color_opt.filters', 'wavelet', ["'filter'"]),
    ('1', 'network_g.num_feats', 8, ["'num_feat'"]),
    ('1', 'network_g.noisestd', 0.1, ["'noise_std'"]),
    ('1', 'network_d.band', 'concat', ["'bands'"]),
    ('1', 'datasets.train.data_root_gt', 'x', ["'dataroot_gt'"]),
    ('1', 'datasets.train.gtsize', 64, ["'gt_size'"]),
    ('1', 'datasets.train.use_hflp', True, ["'use_hflip'"]),
    ('1', 'datasets.train.batch_size_pergpu', 1, ["'batch_size_per_gpu'"]),
    ('1', 'datasets.train.num_workers_per_gpu', 1, ["'num_worker_per_gpu'"]),
    ('1', 'datasets.train.content_mach', 4, ["'content_match'"]),
    ('1', 'datasets.train.on_corupt', 'skip', ["'on_corrupt'"]),
    ('1', 'datasets.train.prefetch', 'cpu', ["'prefetch_mode'"]),
    ('1', 'datasets.train.io_backend.typ', 'disk', ['no such option']),
    ('1', 'datasets.val.filename_template', '{}', ["'filename_tmpl'"]),
    ('1', 'datasets.trian', {}, ['no such data set', 'train']),
    ('1', 'datasets.train_2', {}, ['no such data set']),
    ('1', 'path.pretrain_network_G', 'x', ["'pretrain_network_g'"]),
    ('1', 'path.pretrained_network_d', 'x', ["'pretrain_network_d'"]),
    ('1', 'path.resume', 'x', ["'resume_state'"]),
    ('1', 'path.param_key', 'params', ['param_key_']),
    ('1', 'val.val_frequency', 5, ["'val_freq'"]),
    ('1', 'val.save_image', True, ["'save_img'"]),
    ('1', 'val.metric', {}, ["'metrics'"]),
    ('1', 'val.metrics.psnr.cropborder', 4, ["'crop_border'"]),
    ('1', 'val.metrics.psnr.test_y', True, ["'test_y_channel'"]),
    ('1', 'logger.printfreq', 5, ["'print_freq'"]),
    ('1', 'logger.save_checkpoint_frq', 5, ["'save_checkpoint_freq'"]),
    ('1', 'logger.use_tensorboard_logger', True, ["'use_tb_logger'"]),
    ('1', 'logger.wandb.projet', 'x', ["'project'"]),
    ('1', 'dist_params.backends', 'nccl', ["'backend'"]),
    ('2', 'degradation', [], ["'degradations'"]),
    ('2', 'degradations.0.check_point', 'x', ["'checkpoint'"]),
    ('2', 'degradations.1.num_blocks', 1, ["'num_block'"]),
    ('2', 'network_g.branch', [], ["'branches'"]),
    ('2', 'network_g.branches.1.num_grow_channel', 4, ["'num_grow_ch'"]),
    ('2', 'train.collab_start', 1, ["'collab_start_iter'"]),
    ('2', 'train.colab_opt', {}, ["'collab_opt'"]),
    ('2', 'train.adapt_rmap', 'linear', ["'adapt_ramp'"]),
    ('2', 'train.lq_rounding', True, ["'lq_round'"]),
    ('2', 'train.adapt_weight', 0.01, ['adapt_ramp']),
    ('2', 'val.per_branches', True, ["'per_branch'"]),
    ('sr', 'datasets.val.meta_info_fil', 'x', ["'meta_info_file'"]),
    ('sr', 'network_g.upscales', 4, ["'upscale'"]),
    ('sr', 'train.scheduler.eta_minimum', 0, ["'eta_min'"]),
    ('sr', 'train.pixel_opt.reductions', 'mean', ["'reduction'"]),
    ('test', 'val.sufix', 'x', ["'suffix'"]),
    ('test', 'datasets.test_1.dataroot_hq', 'x', ['dataroot_']),
    # names of other programs
    ('1', 'datasets.train.use_flip', True, ['use_hflip']),
    ('1', 'datasets.train.batch_size', 4, ['batch_size_per_gpu']),
    ('1', 'path.pretrain_model_g', 'x', ['pretrain_network_g']),
    ('1', 'path.strict_load', True, ['strict_load_g']),
    ('1', 'gpu_ids', [0], ['num_gpu']),
    # names that options had before
    ('2', 'train.lq_refresh', 2, ['was removed', 'each iteration']),
    ('1', 'datasets.train.paired_augment', True, ['was removed', 'separately']),
    ('1', 'datasets.train.crops_per_image', 4, ['was removed', 'cache_data']),
]

MISPLACED = [
    ('1', 'total_iter', 5, ['train.total_iter']),
    ('1', 'gt_size', 5, ['datasets.train.gt_size']),
    ('1', 'gan_opt', {}, ['train.gan_opt']),
    ('1', 'print_freq', 5, ['logger.print_freq']),
    ('1', 'val_freq', 5, ['val.val_freq']),
    ('1', 'batch_size_per_gpu', 5, ['datasets.train.batch_size_per_gpu']),
    ('1', 'pretrain_network_g', 'x', ['path.pretrain_network_g']),
    ('1', 'train.lr', 1, ['train.optim_g.lr', 'train.optim_d.lr']),
    ('1', 'train.milestones', [1], ['no such option']),
    ('1', 'train.gt_size', 5, ['datasets.train.gt_size']),
    ('1', 'train.optim_d.noise_lr', 1e-4, ['no such option']),
    ('1', 'train.network_g', {}, ['it belongs to network_g']),
    ('1', 'network_g.gan_type', 'x', ['train.gan_opt.gan_type']),
    ('1', 'network_g.checkpoint', 'x', ['no such option']),
    ('1', 'path.total_iter', 5, ['train.total_iter']),
    ('1', 'val.print_freq', 5, ['logger.print_freq']),
    ('1', 'datasets.val.gt_size', 64, ['datasets.train only']),
    ('1', 'datasets.val.batch_size_per_gpu', 1, ['datasets.train only']),
    ('2', 'checkpoint', 'x', ['no such option']),
    ('2', 'branches', [], ['network_g.branches']),
    ('2', 'train.degradations', [], ['it belongs to degradations']),
    ('2', 'degradations.0.num_grow_ch', 4, ['network_g.branches[0].num_grow_ch']),
]

UNUSED = [
    ('1', 'train.collab_opt', {}, ['MultiDegradationSRModel']),
    ('1', 'train.pixel_opt', {'type': 'L1Loss'}, ['not by DegradationGANModel']),
    ('1', 'train.ldl_opt', {'type': 'L1Loss'}, ['SRGANModel']),
    ('2', 'train.ldl_opt', {'type': 'L1Loss'}, ['not by MultiDegradationSRModel']),
    ('2', 'train.gan_opt', {'type': 'GANLoss', 'gan_type': 'vanilla'}, ['needs network_d', 'discriminator']),
    ('2', 'train.optim_g.noise_lr', 1e-4, ['no such option']),
]

WRONG_TYPE = [
    ('1', 'name', None, ['text', '~']),
    ('1', 'name', 1e5, ['text', 'quote']),
    ('1', 'name', '', ['empty text']),
    ('1', 'scale', 'four', ["'four'", 'whole number >= 1']),
    ('1', 'scale', 0, ['>= 1']),
    ('1', 'scale', True, ['true']),
    ('1', 'num_gpu', 'all', ['auto']),
    ('1', 'num_gpu', -1, ['>= 0']),
    ('1', 'manual_seed', 1.5, ['whole number']),
    ('1', 'datasets', [], ['section']),
    ('1', 'train', None, ['section']),
    ('1', 'train.total_iter', '1e5 iterations', ['whole number']),
    ('1', 'train.total_iter', 0, ['>= 1']),
    ('1', 'train.total_iter', 10.5, ['10.5']),
    ('1', 'train.ema_decay', 1, ['< 1']),
    ('1', 'train.ema_decay', '0.999', ["'0.999'"]),
    ('1', 'train.relativistic', 'yes please', ['true or false']),
    ('1', 'train.disc_freq', 0, ['>= 1']),
    ('1', 'train.gan_opt', 'GANLoss', ['a loss']),
    ('1', 'train.gan_opt.loss_weight', 'small', ['number']),
    ('1', 'train.optim_g', 'Adam', ['an optimizer']),
    ('1', 'train.optim_g.lr', '1e-4x', ['number']),
    ('1', 'train.optim_g.lr', -1e-4, ['>= 0']),
    ('1', 'train.optim_g.lr', float('nan'), ['number']),
    ('1', 'train.optim_g.betas', [0.5], ['list of 2']),
    ('1', 'train.optim_g.betas', [0.5, 1.0], ['< 1']),
    ('1', 'train.scheduler.decay_start', 'half', ['whole number']),
    ('1', 'datasets.train', 'photos', ['section']),
    ('1', 'datasets.train.gt_size', 64.5, ['whole number']),
    ('1', 'datasets.train.gt_size', 64.0, ['whole number', 'not 64.0']),
    ('1', 'datasets.train.batch_size_per_gpu', 2e0, ['whole number', 'not 2.0']),
    ('1', 'scale', 4.0, ['whole number', 'not 4.0']),
    ('1', 'datasets.train.use_rot', 1, ['true or false']),
    ('1', 'datasets.train.dataroot_gt', None, ['folder']),
    ('1', 'datasets.train.dataroot_gt', ['a', 'b'], ['folder']),
    ('1', 'datasets.train.batch_size_per_gpu', 0, ['>= 1']),
    ('1', 'datasets.train.num_worker_per_gpu', -1, ['>= 0']),
    ('1', 'datasets.train.dataset_enlarge_ratio', 0, ['> 0']),
    ('1', 'datasets.train.prefetch_mode', 'gpu', ['cpu', 'cuda']),
    ('1', 'datasets.train.on_corrupt', 'skipp', ["did you mean 'skip'"]),
    ('1', 'datasets.train.io_backend', 'disk', ['section']),
    ('1', 'network_g', 'DeResnet', ['a network']),
    ('1', 'network_g.num_feat', '8', ["'8'"]),
    ('1', 'network_d.filter', 3, ['text']),
    ('1', 'path.pretrain_network_g', True, ['file']),
    ('1', 'path.strict_load_g', 'true', ['true or false']),
    ('1', 'path.ignore_resume_networks', 'network_d', ['list']),
    ('1', 'val.val_freq', 0, ['>= 1']),
    ('1', 'val.save_img', 'no way', ['true or false']),
    ('1', 'val.metrics', ['psnr'], ['section']),
    ('1', 'val.metrics.psnr', 'calculate_psnr', ['section']),
    ('1', 'val.metrics.psnr.crop_border', 'four', ['whole number >= 0']),
    ('1', 'val.metrics.psnr.better', 'bigger', ['higher']),
    ('1', 'logger.print_freq', 'often', ['whole number']),
    ('1', 'logger.use_tb_logger', 'no', ['true or false']),
    ('1', 'dist_params.backend', 'ncll', ["did you mean 'nccl'"]),
    ('1', 'dist_params.port', 70000, ['65535']),
    ('2', 'degradations', {'type': 'DeResnet'}, ['list']),
    ('2', 'degradations', [], ['one at least']),
    ('2', 'degradations.0', 'g1.pth', ['network']),
    ('2', 'network_g.branches', {'type': 'RRDBNet'}, ['list']),
    ('2', 'network_g.branches', [], ['one at least']),
    ('2', 'train.adapt_ramp', 'liner', ["did you mean 'linear'"]),
    ('2', 'train.lq_round', 8, ['true or false']),
    ('2', 'train.collab_start_iter', -1, ['>= 0']),
    ('2', 'train.scheduler.milestones', 50, ['list']),
    ('2', 'train.scheduler.milestones', ['50k'], ['whole number']),
    ('2', 'train.pixel_opt.reduction', 'average', ['mean']),
]

WRONG_NAME = [
    ('1', 'model_type', 'DegradationGanModel', ['did you mean DegradationGANModel']),
    ('1', 'model_type', 'GAN', ['no registered model']),
    ('1', 'network_g.type', 'DeResNet', ['did you mean DeResnet']),
    ('1', 'network_g.type', 'HAN', ['DegradationHAN']),
    ('1', 'network_g.type', 5, ['no registered network']),
    ('1', 'network_d.type', 'WaveletDiscriminater', ['WaveletDiscriminator']),
    ('1', 'train.gan_opt.type', 'GanLoss', ['GANLoss']),
    ('1', 'train.gan_opt.gan_type', 'vanila', ["did you mean 'vanilla'"]),
    ('1', 'train.optim_g.type', 'adam', ['Adam']),
    ('1', 'train.optim_g.type', 'SGD', ['Adam']),
    ('1', 'performance', {'amp': 'fp32'}, ['performance.amp', 'bf16']),
    ('2', 'performance', {'chanels_last': True}, ["'channels_last'"]),
    ('1', 'train.scheduler.type', 'LinearDecay', ['LinearDecayLR']),
    ('1', 'datasets.train.type', 'UnpairedDataset', ['UnpairedImageDataset']),
    ('1', 'datasets.train.io_backend.type', 'lmbd', ['lmdb']),
    ('1', 'val.metrics.psnr.type', 'psnr', ['calculate_psnr']),
    ('2', 'network_g.type', 'SRensamble', ['SREnsemble']),
    ('2', 'network_g.branches.0.type', 'RRDB', ['RRDBNet']),
    ('2', 'degradations.1.type', 'DegradationHan', ['DegradationHAN']),
    ('sr', 'train.scheduler.type', 'LinearDecayLR', ['MultiStepLR']),
    ('sr', 'train.optim_g.type', 'SGD', ['Adam']),
]

IMPOSSIBLE = [
    ('1', 'datasets.train.gt_size', 66, ['not divisible by scale 4', '64 or 68']),
    ('1', 'network_g.scale', 3, ['1, 2, 4']),
    ('1', 'network_g.scale', 2, ['scale at the top is 4']),
    ('1', 'network_g.num_block', 0, ['num_block']),
    ('1', 'network_d.norm', 'layer', ['instance', 'batch']),
    ('1', 'network_d.bands', 'max', ['concat']),
    ('1', 'datasets.train.scale', 2, ['scale 4 at the top']),
    ('1', 'datasets.train.gt_size', 4, ['cannot judge LR crops of 1 x 1']),
    ('1', 'train.perceptual_opt', {'type': 'LPIPSLoss'}, ['needs LR crops of 31', 'gt_size']),
    ('1', 'train.scheduler.decay_start', 100, ['before the end']),
    ('1', 'datasets.train.dataroot_lq', 'clean', ['dataroot_gt']),
    ('1', 'datasets.train.dataroot_lq', 'real.lmdb', ['is an LMDB']),
    ('1', 'datasets.train.io_backend.type', 'lmdb', ['must end in .lmdb']),
    ('1', 'datasets.train.prefetch_mode', 'cuda', ['pin_memory']),
    ('1', 'datasets.val.type', 'UnpairedImageDataset', ['is for training']),
    ('1', 'datasets.val.name', 'photos', ['would mix']),
    ('1', 'logger.wandb.project', 'p', ['use_tb_logger']),
    ('2', 'network_g.branches.0.scale', 2, ['scale at the top is 4']),
    ('2', 'degradations.0.scale', 2, ['scale at the top is 4']),
    ('2', 'train.color_opt', None, ['DegradationGANModel']),
    ('sr', 'network_g.upscale', 2, ['scale at the top is 4']),
    ('sr', 'train.scheduler.periods', [50, 50], ['2 entries', 'has 1']),
    ('sr', 'train.scheduler.periods', [50], ['end after 50', '100']),
    ('sr', 'train.pixel_opt', None, ['no loss']),
    ('2', 'train.lq_strength', [0.7, 0], ['train.lq_strength', 'from the lower to the higher', 'from 0.7 to 0']),
    ('2', 'train.lq_noise', [0.7, 0.2], ['train.lq_noise', 'from the lower to the higher']),
    ('2', 'train.lq_jpeg', [90, 30], ['train.lq_jpeg', 'from the lower to the higher']),
    ('1', 'train.lq_jpeg', [90, 30], ['train.lq_jpeg', 'from the lower to the higher']),
    ('test', 'path.pretrain_network_g', None, ['random weights']),
]

SET = [*MISSPELT, *MISPLACED, *UNUSED, *WRONG_TYPE, *WRONG_NAME, *IMPOSSIBLE]

# base, key that is removed, parts of the message
MISSING = [
    ('1', 'name', ['name is missing']),
    ('1', 'model_type', ['model_type is missing']),
    ('1', 'num_gpu', ['num_gpu is missing']),
    ('1', 'datasets', ['datasets is missing']),
    ('1', 'datasets.train', ['train is missing']),
    ('1', 'network_g', ['network_g is missing']),
    ('1', 'network_d', ['network_d is missing']),
    ('1', 'path', ['path is missing']),
    ('1', 'train', ['train is missing']),
    ('1', 'logger', ['logger is missing']),
    ('1', 'val', ['never used without a val section']),
    ('1', 'scale', ['no scale']),
    ('1', 'train.total_iter', ['total_iter is missing']),
    ('1', 'train.scheduler', ['scheduler is missing']),
    ('1', 'train.scheduler.type', ['type is missing']),
    ('1', 'train.scheduler.decay_start', ['decay_start is missing']),
    ('1', 'train.optim_g', ['optim_g is missing']),
    ('1', 'train.optim_g.lr', ['lr is missing']),
    ('1', 'train.optim_d.type', ['type is missing']),
    ('1', 'train.gan_opt', ['gan_opt is missing']),
    ('1', 'train.gan_opt.type', ['type is missing']),
    ('1', 'train.gan_opt.gan_type', ['needs gan_type']),
    ('1', 'network_g.type', ['type is missing']),
    ('1', 'datasets.train.name', ['name is missing']),
    ('1', 'datasets.train.type', ['type is missing']),
    ('1', 'datasets.train.dataroot_lq', ['dataroot_lq is missing']),
    ('1', 'datasets.train.gt_size', ['gt_size is missing']),
    ('1', 'datasets.train.batch_size_per_gpu', ['batch_size_per_gpu is missing']),
    ('1', 'datasets.val.io_backend', ['io_backend is missing']),
    ('1', 'datasets.train.io_backend.type', ['type is missing']),
    ('1', 'val.val_freq', ['val_freq is missing']),
    ('1', 'val.save_img', ['save_img is missing']),
    ('1', 'val.metrics.psnr.type', ['type is missing']),
    ('1', 'val.metrics.psnr.crop_border', ['needs crop_border']),
    ('1', 'logger.print_freq', ['print_freq is missing']),
    ('2', 'degradations', ['degradations is missing']),
    ('2', 'degradations.0.checkpoint', ['checkpoint is missing']),
    ('2', 'network_g.branches', ['needs branches']),
    ('2', 'network_g.branches.0.num_in_ch', ['needs num_in_ch']),
    ('2', 'train.pixel_opt', ['pixel_opt is missing']),
    ('sr', 'datasets.train.use_rot', ['use_rot is missing']),
    ('test', 'path.pretrain_network_g', ['random weights']),
    ('test', 'val', ['val is missing']),
    ('test', 'val.suffix', ['suffix is missing']),
    ('test', 'datasets.test_1', ['no data set']),
]


def error_of(tmp_path, opt, is_train=True, force=None):
    file = write(tmp_path, opt)
    with pytest.raises(UserError) as error:
        check_options(read_options(file, force), file, is_train)
    return str(error.value)


@pytest.mark.parametrize('absent', [{}, {'checkpoint': None}])
def test_a_degradation_without_weights_needs_no_checkpoint(tmp_path, absent):
    opt = stage_2()
    opt['degradations'] = [{'type': 'BicubicDegradation', 'scale': 4, **absent}, opt['degradations'][1]]
    file = write(tmp_path, opt)
    check_options(read_options(file), file, True)
    opt['degradations'][0]['scale'] = 2
    assert 'scale at the top is 4' in error_of(tmp_path, opt)


@pytest.mark.parametrize('base', BASES)
def test_the_unspoilt_options_are_good(tmp_path, base):
    make, is_train = BASES[base]
    file = write(tmp_path, make())
    check_options(read_options(file), file, is_train)
    check_options(make(), None, is_train)


def test_the_corpus_is_large():
    assert len(SET) + len(MISSING) > 200
    assert len({(base, path, str(value)) for base, path, value, _ in SET}) == len(SET), 'each case once'


@pytest.mark.parametrize(('base', 'path', 'value', 'parts'), SET, ids=[f'{b}-{p}-{v}'[:60] for b, p, v, _ in SET])
def test_bad_key_or_value(tmp_path, base, path, value, parts):
    make, is_train = BASES[base]
    opt = make()
    put(opt, path, value)
    message = error_of(tmp_path, opt, is_train)
    line = next((line for line in message.splitlines() if all(part in line for part in parts)), None)
    assert line is not None, message
    assert 'opt.yml:' in line
    key = path.split('.')[-1]
    assert key.isdigit() or key in line, line


@pytest.mark.parametrize(('base', 'path', 'parts'), MISSING, ids=[f'{base}-{path}' for base, path, _ in MISSING])
def test_missing_key(tmp_path, base, path, parts):
    make, is_train = BASES[base]
    opt = make()
    section, key = at(opt, path)
    del section[key]
    message = error_of(tmp_path, opt, is_train)
    assert any(all(part in line for part in parts) for line in message.splitlines()), message
    assert 'opt.yml' in message


def test_a_generator_may_leave_the_downsampling_to_bicubic():
    for make, path in ((stage_1, 'network_g.scale'), (stage_2, 'degradations.0.scale')):
        opt = make()
        put(opt, path, 1)
        check_options(opt)
    opt = stage_1()
    opt['network_g'] = {'type': 'DSGAN', 'num_feat': 8, 'num_block': 1}
    check_options(opt)


def test_what_may_be_tested_without_pretrained_weights():
    opt = test_options()
    opt['path']['pretrain_network_g'] = None
    for branch in opt['network_g']['branches']:
        branch['checkpoint'] = 'rrdb.pth'
    check_options(opt, None, is_train=False)

    class Interpolation(nn.Module):
        def __init__(self, scale=4):
            super().__init__()

    ARCH_REGISTRY.register(Interpolation)
    try:
        opt |= {'model_type': 'SRModel', 'network_g': {'type': 'Interpolation'}}
        check_options(opt, None, is_train=False)
    finally:
        del ARCH_REGISTRY._obj_map['Interpolation']


def test_one_mistake_is_told_once(tmp_path):
    opt = stage_2()
    opt['train']['lq_noise'] = [0.7, 0.2]  # neither auto nor a good pair
    assert len(error_of(tmp_path, opt).splitlines()) == 1
    opt['train']['lq_noise'] = 'atuo'
    assert error_of(tmp_path, opt).endswith("not 'atuo'; did you mean 'auto'?")


def test_pairs_that_go_upwards_or_nowhere_are_good():
    opt = stage_2()
    opt['train'] |= {'lq_strength': [0, 0.7], 'lq_noise': [1, 1], 'lq_jpeg': [30, 90]}
    check_options(opt)


def test_the_options_are_handed_on_as_they_are():
    """No default is filled in, and 5e3 stays a float."""
    opt = stage_2()
    check_options(opt)
    assert repr(opt) == repr(stage_2())


def test_line_numbers_are_those_of_the_key(tmp_path):
    opt = stage_1()
    put(opt, 'train.gan_opt.loss_wieght', 1)
    message = error_of(tmp_path, opt)
    number = int(message.split('opt.yml:')[1].split(':')[0])
    assert 'loss_wieght' in (tmp_path / 'opt.yml').read_text().splitlines()[number - 1]


def test_forced_mistakes_name_their_entry(tmp_path):
    message = error_of(tmp_path, stage_1(), force=['train:total_itr=5', 'datasets:train:gt_size=66'])
    assert '--force_yml train:total_itr=5: train.total_itr' in message
    assert '--force_yml datasets:train:gt_size=66' in message


def test_all_mistakes_at_once_in_the_order_of_the_file(tmp_path):
    opt = stage_1()
    for path, value in (('train.total_itr', 5), ('scale', 3), ('network_g.num_feats', 8), ('val.save_img', 1)):
        put(opt, path, value)
    lines = error_of(tmp_path, opt).splitlines()
    numbers = [int(line.split('opt.yml:')[1].split(':')[0]) for line in lines]
    assert numbers == sorted(numbers)
    for part in ('train.total_itr', 'datasets.train.gt_size', 'network_g.num_feats', 'val.save_img'):
        assert any(part in line for line in lines), part


def test_a_set_without_ground_truth_cannot_be_compared(tmp_path):
    opt = stage_2()
    opt['datasets']['val'] = {'name': 'photos', 'type': 'SingleImageDataset', 'dataroot_lq': 'lq',
                              'io_backend': {'type': 'disk'}}
    assert 'val.metrics.psnr: calculate_psnr compares with ground truth' in error_of(tmp_path, opt)
    opt['val']['metrics'] = {'niqe': {'type': 'calculate_niqe', 'crop_border': 4}}
    opt['datasets']['val']['name'] = 'others'
    check_options(opt)


@pytest.mark.parametrize('decay, options, parts', [
    (0, {}, ['train.distance_opt: needs train.ema_decay above 0', 'averaged weights']),
    (0.9, {'type': 'L1Loss'}, ['distance_opt.type: L1Loss does not compare distances', 'PairwiseDistanceLoss']),
    (0.9, {'patch': 65}, ['distance_opt.patch: 65 is more than datasets.train.gt_size, 64']),
    (0.9, {'patch': 64}, []),
    (0.9, {'net': 'vgg', 'weights': 'vgg.pth'}, []),
])
def test_distances_to_averaged_weights(tmp_path, decay, options, parts):
    opt = stage_2()
    opt['train'] |= {'ema_decay': decay, 'distance_opt': {'type': 'PairwiseDistanceLoss', **options}}
    if not parts:
        return check_options(opt)
    message = error_of(tmp_path, opt)
    assert len(message.splitlines()) == 1 and all(part in message for part in parts)


def test_the_check_leaves_logger_random_state_and_options_alone():
    import torch
    from basicsr.utils.logger import initialized_logger

    opt, state, made = stage_2(), torch.get_rng_state(), dict(initialized_logger)
    check_options(opt)
    assert torch.equal(torch.get_rng_state(), state)
    assert initialized_logger == made, 'a logger made here would keep BasicSR from opening its log file'
    assert opt == stage_2()


def paths(node, path=()):
    """All key paths of nested options."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


ODD = st.sampled_from([None, True, -1, 0, 1.5, float('nan'), 10**30, '', 'x', [], [None], [[1]], {}, {'type': []},
                       {'type': None}, {1: 2}, {'a': {'type': {}}}, ['type'], {'type': 'Adam', 'lr': {}}])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nothing_but_a_user_error_comes_of_any_spoilt_options(data):
    base = data.draw(st.sampled_from(sorted(BASES)))
    make, is_train = BASES[base]
    opt = make()
    for _ in range(data.draw(st.integers(1, 3))):
        choices = sorted(paths(opt), key=str)
        if not choices:
            break
        *sections, key = data.draw(st.sampled_from(choices))
        section = opt
        for name in sections:
            section = section[name]
        action = data.draw(st.sampled_from(['replace', 'delete', 'add']))
        if action == 'delete':
            del section[key]
        elif action == 'add' and isinstance(section, dict):
            section[data.draw(st.sampled_from(['type', 'new', 5, None, True]))] = copy.deepcopy(data.draw(ODD))
        else:
            section[key] = copy.deepcopy(data.draw(ODD))
    try:
        check_options(opt, 'opt.yml', is_train)
    except UserError as error:
        assert str(error)
