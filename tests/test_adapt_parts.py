"""The parts of an adaptation: folders, starts, arithmetic, time, and the choice without pairs."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from data_tools import write_photo
from inference_tools import TINY_RRDB, enliven, save, sr_checkpoint
from mssr_adapt.choice import SETTINGS, SHARES, UNSEEN, Figures, Judge, Tried, choose, fitting_well
from mssr_adapt.clock import ENOUGH, SEARCH, SHORTEST, fitting, seconds_per_iteration
from mssr_adapt.ends import added, make_restorer
from mssr_adapt.folders import FEWEST, check_roles, look, write_bundled
from mssr_adapt.option_files import GENERATOR, LEARNING, RECIPES, OptionFiles
from mssr_adapt.pairs import read_pairs
from mssr_adapt.starts import FAITHFUL, Start, gain_over_interpolation, read_start
from mssr_adapt.ways import read_peers, restoring
from mssr_arch import BicubicDegradation, SREnsemble
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.sharpening import sharpened
from mssr_compat.errors import UserError
from mssr_degradation import LearnedDegradation
from mssr_inference.restorer import Restorer
from mssr_metric.octaves import OCTAVES, ContrastReference, octave_power
from mssr_options.reader import read_options

# --- photos ---------------------------------------------------------------------------------------------------------


def scene(seed, height=192, width=160, slope=1.0):
    """(3, H, W): noise whose amplitude falls with frequency, as that of photos does."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    planes = [np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) / np.maximum(radius, 0.01) ** slope,
                            (height, width)) for _ in range(3)]
    planes = np.stack([planes[0] + 0.2 * plane for plane in planes])
    planes = (planes - planes.mean()) / planes.std() * 0.15 + 0.5
    return torch.from_numpy(planes).float().clamp(0, 1)


def write_scenes(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        photo = scene(k)
        write_photo(folder / f'p{k}.png', (photo.permute(1, 2, 0).numpy()[..., ::-1] * 255).round().astype(np.uint8))
    return folder


def test_a_folder_is_described(tmp_path):
    found = look(write_scenes(tmp_path / 'a', 7), '--real')
    (tmp_path / 'a' / 'broken.png').write_bytes(b'no image')
    assert (found.count, found.sides, found.unreadable) == (7, (160, 192), [])
    again = look(tmp_path / 'a', '--real')
    assert again.count == 7 and 'broken.png' in again.described() and '7 photos' in again.described()


@pytest.mark.parametrize('count', [0, 5])
def test_too_few_photos_are_refused_in_a_sentence(tmp_path, count):
    write_scenes(tmp_path / 'few', count)
    with pytest.raises(UserError, match='--real') as found:
        look(tmp_path / 'few', '--real')
    assert '\n' not in str(found.value) and (str(FEWEST) in str(found.value) or 'is empty' in str(found.value))


def test_swapped_folders_are_noticed(tmp_path):
    """Photographs, which have flat regions, and the same out of focus."""
    for path in sorted(write_bundled(tmp_path / 'photos').iterdir()):
        photo = cv2.imread(str(path))[:448, :448]
        small = cv2.resize(photo, (224, 224), interpolation=cv2.INTER_AREA)
        write_photo(tmp_path / 'sharp' / f'{path.stem}.png', small)
        write_photo(tmp_path / 'soft' / f'{path.stem}.png', cv2.GaussianBlur(photo, (0, 0), 3)[:224, :224])
    sharp, soft = (look(tmp_path / name, '--clean') for name in ('sharp', 'soft'))
    check_roles(sharp, soft)
    with pytest.raises(UserError, match='swap the two folders'):
        check_roles(soft, sharp)


def test_bundled_photographs_are_enough(tmp_path):
    found = look(write_bundled(tmp_path / 'clean'), '--clean')
    assert found.count >= FEWEST and min(found.sides) >= 256
    write_bundled(tmp_path / 'clean')  # again: nothing to do


# --- starts ---------------------------------------------------------------------------------------------------------


class Knowing(nn.Module):
    """Knows the photo that each LR photo is of, but for an error."""

    def __init__(self, clean, error):
        super().__init__()
        self.clean, self.error = [photo[None, :, :128, :128] for photo in clean], error

    def forward(self, x):
        y = min(self.clean, key=lambda y: (bicubic_downsample(y, 4) - x).abs().mean())
        return y + self.error * (-1) ** torch.arange(128)


def test_fidelity_is_told_from_perception():
    clean = [scene(k) for k in range(4)]
    assert gain_over_interpolation(Knowing(clean, 0.01), 4, clean) > FAITHFUL
    assert gain_over_interpolation(Knowing(clean, 0.1), 4, clean) < 0
    with pytest.raises(UserError, match='--clean: no photo has 128 pixels a side'):
        gain_over_interpolation(Knowing(clean, 0.01), 4, [clean[0][:, :100]])


def save_net(path, state, scale=4, options=TINY_RRDB):
    torch.save({'params': state, 'network': options, 'scale': scale}, path)
    return path


def weights(seed):
    return enliven(SREnsemble([TINY_RRDB]), seed).branches[0].state_dict()


def test_starts_that_do_not_go_together_are_refused(tmp_path):
    clean = [scene(0)]
    one, other = save_net(tmp_path / 'one.pth', weights(0)), save_net(tmp_path / 'other.pth', weights(1))
    near = {name: tensor * 1.01 for name, tensor in weights(0).items()}
    third = save_net(tmp_path / 'near.pth', near)
    with pytest.raises(UserError, match='not trained from one another'):
        read_start([one, other], 4, clean)
    with pytest.raises(UserError, match='both trained to look sharp'):  # random networks err more than interpolation
        read_start([one, third], 4, clean)
    with pytest.raises(UserError, match='enlarges by 4, but --scale is 2'):
        read_start([one], 2, clean)
    small = {**TINY_RRDB, 'num_feat': 4}
    save_net(tmp_path / 'small.pth', enliven(SREnsemble([small])).branches[0].state_dict(), options=small)
    with pytest.raises(UserError, match='not one network'):
        read_start([one, tmp_path / 'small.pth'], 4, clean)
    ensemble = {'type': 'SREnsemble', 'branches': [TINY_RRDB, TINY_RRDB]}
    save_net(tmp_path / 'two.pth', SREnsemble(ensemble['branches']).state_dict(), options=ensemble)
    with pytest.raises(UserError, match='ensemble of 2'):
        read_start([tmp_path / 'two.pth'], 4, clean)
    start = read_start([one], 4, clean)
    assert start.fidelity is None and start.trained is start.perception
    assert start.origins[0]['file'] == 'one.pth'


def test_a_restorer_is_a_start_of_both_kinds(tmp_path):
    Restorer(TINY_RRDB, 4, weights(0), weights(1), 0.5).save(tmp_path / 'both.safetensors')
    start = read_start([tmp_path / 'both.safetensors'], 4, [scene(0)])
    assert all(torch.equal(start.fidelity[name], tensor) for name, tensor in weights(0).items())
    assert all(torch.equal(start.perception[name], tensor) for name, tensor in weights(1).items())


# --- arithmetic -----------------------------------------------------------------------------------------------------


def simple(value):
    return {'w': torch.full((2,), float(value)), 'count': torch.tensor(3)}


@pytest.mark.parametrize('fidelity, perception, B, ends', [
    (1, 10, None, (1 + 0.5 * 4, 10 + 0.5 * 4)),  # F - S = 4
    (None, 10, 2, (5, 10 + 0.5 * 3)),  # F - B = 3
    (1, None, None, (1 + 0.5 * 4, 5 + 0.5 * 4)),
])
def test_what_was_learned_is_added_to_both_ends(fidelity, perception, B, ends):
    start = Start(TINY_RRDB, 4, *(None if value is None else simple(value) for value in (fidelity, perception)))
    made = make_restorer(start, simple(5), None if B is None else simple(B), 0.5, 0.7)
    assert made.fidelity['w'].tolist() == [ends[0]] * 2 and made.perception['w'].tolist() == [ends[1]] * 2
    assert made.fidelity['count'] == 3 and made.setting == 0.7
    assert added(simple(1), 0, simple(5), simple(2))['w'].tolist() == [1, 1]


# --- time -----------------------------------------------------------------------------------------------------------


def test_lengths_fit_into_the_time():
    i1, i2, batch = fitting((900, 500), (0.5, 0.2), 100, 25, 4)
    assert batch == 4
    assert abs(100 + 0.5 * i1 + 0.2 * (i2 + SEARCH) - 25 * 60) < 2 and abs(i1 / i2 - 900 / 500) < 0.01
    assert fitting((900, 500), (0.5, 0.2), 100, None, 4) == (900, 500, 4)
    with pytest.raises(UserError, match=r'--minutes 1 is too little.* 3 at least'):
        fitting((900, 500), (0.5, 0.2), 100, 1, 1)
    least = (100 + SEARCH * 0.2 + SHORTEST * 550) / 60
    assert fitting((900, 500), (0.5, 0.2), 100, least + 0.01, 1)[0] >= 90


@pytest.mark.parametrize('minutes, batch', [(120, 4), (30, 4), (18, 2), (10, 1), (6, 1)])
def test_a_slow_network_gets_smaller_batches_before_few_iterations(minutes, batch):
    """A quarter of the recipe takes 22 s, 875 s and a search of 420 s at a batch of 4, half and a quarter of these two
    at smaller ones."""
    i1, i2, found = fitting((900, 500), (0.1, 7), 100, minutes, 4)
    assert found == batch
    assert 100 + 0.1 * i1 + 7 * batch / 4 * (i2 + SEARCH) == pytest.approx(60 * minutes, rel=0.01)
    assert batch == 1 or i2 >= ENOUGH * 500


def test_where_the_generator_takes_most_the_batch_stays():
    assert fitting((900, 500), (0.5, 0.2), 100, 3, 4)[2] == 4


def test_a_trial_tells_the_time_of_an_iteration(tmp_path):
    at = [10 + (k if k < 3 else 3 + (k - 3) * 0.5) for k in range(1, 9)]
    lines = [f'2026-01-01 00:00:{int(t)},{round(t % 1 * 1000):03d} INFO: [x..][epoch:  0, iter:  {k:6,d}, lr:(1e-3,)]'
             for k, t in enumerate(at, start=1)]
    (tmp_path / 'log').write_text('\n'.join(['2026-01-01 00:00:00,000 INFO: start', *lines]))
    assert seconds_per_iteration(tmp_path / 'log') == pytest.approx(0.5)
    (tmp_path / 'log').write_text('it broke')
    with pytest.raises(UserError, match='did not run'):
        seconds_per_iteration(tmp_path / 'log')


# --- the choice -----------------------------------------------------------------------------------------------------


def test_octaves_tell_which_band_was_weakened():
    photo = scene(0, 256, 256)
    spectrum = torch.fft.fft2(photo)
    radius = torch.hypot(torch.fft.fftfreq(256)[:, None], torch.fft.fftfreq(256)[None])
    for k, (low, high) in list(enumerate(OCTAVES))[1:]:  # the coarsest has a few waves in a window, and lets others in
        gain = torch.where((radius >= low) & (radius < high), 0.5, 1.0)
        changed = torch.fft.ifft2(spectrum * gain).real
        ratio = (octave_power(changed) / octave_power(photo)).log().mean(0).exp()
        assert ratio[k] == pytest.approx(0.25, abs=0.12)
        others = [ratio[j] for j in range(4) if abs(j - k) > 1]
        assert all(value == pytest.approx(1, abs=0.1) for value in others)


def test_detail_is_that_beyond_clean_photos():
    clean = [scene(k, 256, 256) for k in range(6)]
    reference = ContrastReference(clean[:4])
    assert reference.excess(clean[4:]).abs().max() < 0.3
    assert (reference.excess([sharpened(photo[None], 1.0)[0] for photo in clean[4:]]) > 0.5).any()
    soft = [nn.functional.avg_pool2d(photo[None], 5, 1, 2)[0] for photo in clean[4:]]
    assert (reference.excess(soft)[1:] < -0.5).all()


def test_the_choice_takes_the_result_that_fits_its_photo():
    """A start whose ends are off in opposite ways: only what lies between them fits."""
    degradation = LearnedDegradation(BicubicDegradation(4))
    judge = Judge([bicubic_downsample(scene(k)[None], 4)[0].clamp(0, 1) for k in range(3)], degradation,
                  [scene(9, 256, 256)])
    S = weights(0)
    C = {name: tensor * 1.3 for name, tensor in S.items()}
    F = {name: tensor * 1.02 for name, tensor in S.items()}
    steps = []
    restorer, chosen, tried = choose(Start(TINY_RRDB, 4, S, C), F, None, judge,
                                     lambda done, total: steps.append((done, total)))
    assert len(tried) == len(SHARES) * len(SETTINGS) == steps[-1][0] == steps[-1][1]
    least = min(one.figures.cycle + max(one.figures.noise - one.allowed, 0) for one in tried)
    best = fitting_well(tried)
    assert chosen is best
    assert best.cost <= least + UNSEEN and restorer.setting == best.setting
    assert {one.allowed for one in tried} == {best.allowed}
    assert best.allowed >= judge.clean_noise
    again = judge.measure(restoring(restorer))
    assert again.cycle == pytest.approx(best.figures.cycle) and again.noise >= 0
    perfect = judge.measure(lambda lq: interpolate(lq, scale_factor=4, mode='bicubic'))
    assert perfect.cycle < best.figures.cycle


def test_of_what_fits_alike_the_smallest_share_is_taken():
    def one(share, setting, cycle, noise=1.0):
        return Tried(share, setting, Figures(cycle, 0.0, noise), 1.0)

    best, near, nearer, noisy = one(0.3, 0.9, 2.0), one(0.3, 0.5, 2.3), one(0.15, 0.8, 2.4), one(0.1, 0.7, 1.9, 2.0)
    assert fitting_well([best, near, nearer, noisy, one(0.15, 0.9, 2.2), one(0.1, 0.5, 2.6)]) is nearer
    assert fitting_well([best, near, one(0.15, 0.5, 2.6)]) is near
    assert fitting_well([best, one(0.15, 0.5, 2.6)]) is best


def test_sharpening_keeps_flat_regions_and_doubles_no_edge():
    flat = torch.full((1, 3, 24, 24), 0.4)
    assert torch.allclose(sharpened(flat, 0.5), flat, atol=1e-6)
    edge = flat.clone()
    edge[..., 12:] = 0.6
    found = sharpened(edge, 0.5)
    assert found[..., 11].max() < 0.4 and found[..., 12].min() > 0.6 and found.min() >= 0.34 and found.max() <= 0.66


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_pairs_that_do_not_fit_are_named(tmp_path):
    for folder, size in (('gt', (32, 40)), ('lq', (8, 10))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a.png'), np.full((*size, 3), 90, np.uint8))
    (pair,) = read_pairs(tmp_path / 'gt', tmp_path / 'lq', 4)
    assert pair[0].shape == (32, 40, 3) and pair[1].shape == (8, 10, 3)
    with pytest.raises(UserError, match="'a' has 40 x 32 pixels .* scale is 2"):
        read_pairs(tmp_path / 'gt', tmp_path / 'lq', 2)
    cv2.imwrite(str(tmp_path / 'gt' / 'b.png'), np.full((32, 40, 3), 90, np.uint8))
    with pytest.raises(UserError, match="'b' is not in both folders"):
        read_pairs(tmp_path / 'gt', tmp_path / 'lq', 4)


def test_peers_are_files_of_one_scale_and_of_their_own_names(tmp_path):
    """Of any size of photo, also where windows do not take it."""
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
        sr_checkpoint(tmp_path / folder).rename(tmp_path / folder / 'net.pth')
    swinir = {'type': 'SwinIR', 'upscale': 4, 'in_chans': 3, 'img_size': 16, 'window_size': 4, 'img_range': 1.0,
              'depths': [1], 'embed_dim': 8, 'num_heads': [2], 'mlp_ratio': 1, 'upsampler': 'pixelshuffledirect',
              'resi_connection': '1conv'}
    windows = save(tmp_path / 'windows.pth', SREnsemble([swinir]), {'type': 'SREnsemble', 'branches': [swinir]})
    one, other = (tmp_path / folder / 'net.pth' for folder in ('a', 'b'))
    ways = read_peers([one, windows], 4)
    assert list(ways) == ['net.pth', 'windows.pth']
    assert {way(torch.rand(1, 3, 9, 13)).shape for way in ways.values()} == {(1, 3, 36, 52)}
    for paths, scale, words in (([one, other], 4, 'two files are called net'),
                                ([windows], 2, 'enlarges by 4, but --scale is 2'),
                                ([tmp_path / 'none.pth'], 4, 'there is no such file')):
        with pytest.raises(UserError, match=words):
            read_peers(paths, scale)


def test_a_seed_reaches_both_trainings(tmp_path):
    files = OptionFiles(tmp_path, tmp_path, tmp_path, 4, tmp_path / 's.pth', tmp_path / 'g.pth', seed=3)
    assert [read_options(str(file))['manual_seed'] for file in (files.generator(), files.learning())] == [3, 3]


def test_without_a_time_the_generator_learns_less_than_its_recipe():
    generator, learning = (read_options(str(RECIPES / name))['train']['total_iter'] for name in (GENERATOR, LEARNING))
    assert OptionFiles.recipe_lengths() == (generator // 3, learning)
