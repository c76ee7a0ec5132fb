"""Learned degradations inside BasicSR's trainings."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from basicsr.models import build_model
from resume_tools import Kill, assert_same_end, experiment, kill_at, load, make_world, options, train

import mssr_data  # noqa: F401
import mssr_model
from data_tools import folder_to_lmdb, write_folder, write_photo
from inference_tools import DERESNET, TINY_RRDB, generator_checkpoint, picture
from mssr_arch.imresize import bicubic_downsample
from mssr_compat.errors import UserError
from mssr_data.sampler import SampleIndex
from mssr_inference.networks import load_generator, load_upscaler
from mssr_options.check import check_options
from mssr_options.reader import read_options

ADAM = {'type': 'Adam', 'lr': 1e-3, 'betas': [0.9, 0.99]}
L1 = {'type': 'L1Loss', 'loss_weight': 1.0}


@pytest.fixture(scope='module')
def generators(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    return [{**DERESNET, 'checkpoint': str(generator_checkpoint(folder, f'{seed}.pth', seed))} for seed in (0, 5)]


def build(degradations, model_type='LearnedDegradationSRModel', path=None, network_d=None, **train):
    options = {
        'name': 'test', 'model_type': model_type, 'scale': 4, 'num_gpu': 0, 'is_train': True, 'dist': False, 'rank': 0,
        'world_size': 1, 'network_g': TINY_RRDB, 'degradations': degradations, 'path': path or {}, 'val': {},
        'logger': {}, 'auto_resume': False,
        'train': {'optim_g': ADAM, 'scheduler': {'type': 'MultiStepLR', 'milestones': [9], 'gamma': 0.5},
                  'total_iter': 10, 'pixel_opt': L1, **train},
    }
    return build_model(deepcopy(options | ({'network_d': network_d} if network_d else {})))


def photos(number=4, size=32):
    values = np.stack([picture(size, size, seed=k) for k in range(number)])
    return torch.from_numpy(values).permute(0, 3, 1, 2).float() / 255


def test_training_draws_lq_and_learns(generators):
    torch.manual_seed(0)
    model = build(generators)
    data = {'gt': photos()}
    losses, seen = [], []
    for iteration in range(1, 16):
        model.feed_data(data)
        seen.append(model.lq.clone())
        model.optimize_parameters(iteration)
        losses.append(float(model.get_current_log()['l_pix']))
    assert losses[-1] < 0.8 * losses[0]
    assert seen[0].shape == (4, 3, 8, 8)
    assert (seen[0] - seen[1]).abs().mean() > 1 / 255  # a fresh draw each time
    assert torch.equal(seen[0], (seen[0] * 255).round() / 255)
    assert not any(p.requires_grad for G in model.degradations for p in G.parameters())


def test_each_photo_is_drawn_by_one_of_the_generators(generators):
    model = build(generators)
    y = photos(64)
    torch.manual_seed(3)
    x = model.draw_lq(y)
    quiet = [load_generator(g['checkpoint']).net(y, noise=False) for g in generators]
    distance = torch.stack([(x - q).abs().mean((1, 2, 3)) for q in quiet])
    share = (distance[0] < distance[1]).float().mean()
    assert 0.25 < share < 0.75


def test_draws_are_the_generators_own(generators):
    model = build(generators[:1], lq_round=False)
    net, y = load_generator(generators[0]['checkpoint']).net, photos(3)
    torch.manual_seed(7)
    x = model.draw_lq(y)
    torch.manual_seed(7)
    torch.randint(1, (3,))  # the choice of the generator
    assert torch.equal(x, net(y))


def test_a_generator_that_does_not_downsample_reads_the_bicubic_lr(tmp_path):
    from inference_tools import enliven, save
    from mssr_arch import DSGAN

    options = {'type': 'DSGAN', 'num_feat': 4, 'num_block': 1}
    net = enliven(DSGAN(num_feat=4, num_block=1))
    checkpoint = save(tmp_path / 'dsgan.pth', net, options)
    model = build([{**options, 'checkpoint': str(checkpoint)}], lq_round=False)
    with torch.no_grad():
        assert torch.allclose(model.draw_lq(photos(2)), net(bicubic_downsample(photos(2), 4)))


def test_draws_of_less_strength(generators):
    y = photos(3)
    assert torch.equal(build(generators[:1], lq_round=False, lq_strength=[0, 0]).draw_lq(y), bicubic_downsample(y, 4))
    torch.manual_seed(7)
    whole = build(generators[:1], lq_round=False).draw_lq(y)
    torch.manual_seed(7)
    x = build(generators[:1], lq_round=False, lq_strength=[1, 1]).draw_lq(y)
    assert torch.allclose(x, whole, atol=1e-6)
    noise = build(generators[:1], lq_round=False, lq_strength=[0, 0], lq_noise=[1, 1]).draw_lq(y)
    assert 1e-3 < (noise - bicubic_downsample(y, 4)).std() < (whole - bicubic_downsample(y, 4)).std()


def test_validation_takes_pairs_as_they_are(generators):
    model = build(generators)
    lq, gt = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 32, 32)
    taken = []

    class Loader:
        class dataset:
            opt = {'name': 'set'}

            def __len__(self):
                return 1

        dataset = dataset()

        def __len__(self):
            return 1

        def __iter__(self):
            yield {'lq': lq, 'gt': gt, 'lq_path': ['x.png']}

    model.test = lambda: (taken.append(model.lq.clone()), setattr(model, 'output', model.gt))
    model.validation(Loader(), 1, None, False)
    assert torch.equal(taken[0], lq)
    model.feed_data({'gt': photos(2), 'lq': torch.rand(2, 3, 8, 8)})
    assert not torch.equal(model.lq, lq)  # training draws again
    assert model.lq.shape == (2, 3, 8, 8)


def test_esrgan_trains_on_draws_too(generators):
    discriminator = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    options = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0}
    model = build(generators, 'LearnedDegradationESRGANModel', gan_opt={**options, 'loss_weight': 0.1},
                  optim_d=dict(ADAM),
                  network_d=discriminator)
    model.feed_data({'gt': photos(2)})
    model.optimize_parameters(1)
    assert model.lq.shape == (2, 3, 8, 8)
    assert {'l_g_pix', 'l_g_gan', 'l_d_real'} <= set(model.get_current_log())


def test_esrgan_tells_the_norms_of_its_gradients_and_limits_them(generators):
    discriminator = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    gan = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0, 'loss_weight': 0.1}
    model = build(generators, 'LearnedDegradationESRGANModel', gan_opt=gan, optim_d=dict(ADAM), network_d=discriminator,
                  grad_clip=1e-3)
    norms = []
    for optimizer in model.optimizers:
        optimizer.register_step_pre_hook(lambda optimizer, *_: norms.append(float(torch.cat(
            [p.grad.flatten() for group in optimizer.param_groups for p in group['params']]).norm())))
    model.feed_data({'gt': photos(2)})
    model.optimize_parameters(1)
    log = model.get_current_log()
    assert norms == [pytest.approx(1e-3, rel=1e-2)] * 2
    assert log['grad_norm_g'] > 1e-3 < log['grad_norm_d'] and log['grad_clipped_g'] == log['grad_clipped_d'] == 1


@pytest.mark.parametrize('kind', ['SR', 'ESRGAN'])
def test_trainings_are_saved_as_sets_and_resume_exactly(monkeypatch, tmp_path, kind):
    """A full disk leaves the set before; files name no place of this machine; a kill changes nothing of the end."""
    world = make_world(tmp_path / 'world')
    opt = options(world, 'stage2', total=6)
    opt |= {'model_type': f'LearnedDegradation{kind}Model', 'network_g': opt['network_g']['branches'][0]}
    opt['datasets']['train'] |= {'type': 'CleanImageDataset'}
    del opt['datasets']['train']['dataroot_lq']
    for key in ('collab_opt', 'adapt_opt', 'collab_start_iter'):
        del opt['train'][key]
    if kind == 'ESRGAN':
        opt['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
        opt['train'] |= {'optim_d': dict(ADAM), 'gan_opt': {
            'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0, 'loss_weight': 0.1}}
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, getattr(mssr_model, opt['model_type']), 5)
        train(patched, tmp_path / 'b', opt)
    with monkeypatch.context() as patched:
        patched.setattr('mssr_compat.checkpoint_sets.os.replace', full_disk)
        assert train(patched, tmp_path / 'b', opt, '--auto_resume') == 2
    states = experiment(tmp_path / 'b') / 'training_states'
    assert [path.name for path in states.iterdir()] == ['3.state'] and not list(tmp_path.rglob('*.aside'))
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    assert_same_end(experiment(tmp_path / 'a'), experiment(tmp_path / 'b'), 6)
    networks = 'gd' if kind == 'ESRGAN' else 'g'
    assert load(states / '6.state')['files'].keys() == {f'net_{name}_6.pth' for name in networks}
    for path in (experiment(tmp_path / 'b') / 'models').iterdir():
        assert load(path)['network']['type'] and str(tmp_path).encode() not in path.read_bytes()


def full_disk(*_):
    raise OSError(28, 'No space left on device')


def test_checkpoints_go_straight_to_inference(generators, tmp_path):
    model = build(generators, path={'models': str(tmp_path), 'training_states': str(tmp_path)})
    model.feed_data({'gt': photos(2)})
    model.optimize_parameters(1)
    model.save(0, 1)
    loaded = load_upscaler(tmp_path / 'net_g_1.pth')
    lq = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        assert torch.equal(loaded.net(lq), model.get_bare_model(model.net_g)(lq).clamp(0, 1))
    assert loaded.options['branches'][0]['type'] == 'RRDBNet'


def test_bicubic_is_a_degradation_without_a_checkpoint():
    model = build([{'type': 'BicubicDegradation'}], lq_round=False)
    y = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.draw_lq(y), bicubic_downsample(y, 4))


def test_mistakes_are_named(generators, tmp_path):
    for degradations, words in (
        ([], 'degradations is missing'),
        ([DERESNET], r'degradations\[0\].checkpoint is missing'),
        ([{**DERESNET, 'checkpoint': str(tmp_path / 'no.pth')}], r'degradations\[0\].checkpoint.*no such file'),
        ([{**generators[0], 'num_feat': 8}], r'degradations\[0\].checkpoint'),
    ):
        with pytest.raises(UserError, match=words):
            build(degradations)


# --- the data set -------------------------------------------------------------------------------------------------


def clean(root, **changes):
    return build_dataset({'name': 'x', 'type': 'CleanImageDataset', 'phase': 'train', 'dataroot_gt': str(root),
                          'io_backend': {'type': 'disk'}, 'gt_size': 16, 'scale': 4, **changes})


def test_crops_are_a_function_of_the_draw(tmp_path):
    folder = write_folder(tmp_path / 'hr', 3, 24, 30)
    data = clean(folder)
    assert len(data) == 3
    one, same, other = (data[SampleIndex(1, draw, 5)] for draw in (10, 10, 11))
    assert one['gt'].shape == (3, 16, 16)
    assert torch.equal(one['gt'], same['gt'])
    assert not torch.equal(one['gt'], other['gt'])
    database = folder_to_lmdb(folder, tmp_path / 'hr.lmdb')
    stored = clean(database, io_backend={'type': 'lmdb'})
    assert torch.equal(stored[SampleIndex(1, 10, 5)]['gt'], one['gt'])
    assert data[0]['gt'].max() <= 1


def test_without_augmentation_crops_are_windows_of_the_photo(tmp_path):
    image = picture(20, 21)
    write_photo(tmp_path / 'hr' / 'a.png', image)
    crop = clean(tmp_path / 'hr', use_hflip=False, use_rot=False)[0]['gt']
    crop = (crop * 255).round().byte().permute(1, 2, 0).numpy()
    windows = [image[y:y + 16, x:x + 16] for y in range(5) for x in range(6)]
    assert any(np.array_equal(crop, window) for window in windows)


def test_mistakes_in_the_data_are_named(tmp_path):
    write_photo(tmp_path / 'hr' / 'small.png', picture(8, 40))
    with pytest.raises(UserError, match=r'dataroot_gt: .*small\.png. has a side of 8 px, too small for the 16 px crop'):
        clean(tmp_path / 'hr')
    with pytest.raises(UserError, match='dataroot_gt'):
        clean(tmp_path / 'none')


def test_the_option_file_is_right():
    path = Path(__file__).resolve().parent.parent / 'options' / 'train_learned_degradation.yml'
    check_options(read_options(str(path)), str(path))
