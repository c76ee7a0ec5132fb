"""JPEG's traces in real LR photos, and JPEG within training."""

import cv2
import numpy as np
import pytest
import torch
from basicsr.models import build_model
from hypothesis import given, settings
from hypothesis import strategies as st
from resume_tools import Kill, assert_same, experiment, kill_at, load, make_world, options, train
from step_tools import batch, step, write_generators

import mssr_arch
import mssr_model
from data_tools import photo, write_photo
from model_options import stage1_options, stage2_options
from mssr_arch.jpeg_coding import JPEGCoding, quantization_steps
from mssr_compat.errors import UserError
from mssr_data.jpeg_traces import jpeg_quality
from mssr_degradation.real_photos import build_coding, real_qualities
from mssr_inference.degrader import Degrader
from mssr_inference.networks import load_generator

CPU = torch.device('cpu')


def textured(seed, height=96, width=112):
    """(H, W, 3) uint8 with the spectrum of photos."""
    random = np.random.default_rng(seed)

    def noise(colors):
        octaves = [random.normal(0, 5 * 2**level, (height >> level, width >> level, colors)) for level in range(4)]
        return sum(cv2.resize(octave, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, -1)
                   for octave in octaves)

    return np.clip(noise(1) + noise(3) / 8 + 128, 0, 255).round().astype(np.uint8)


def through_jpeg(image, quality):
    """RGB or gray, as OpenCV writes and reads it."""
    _, code = cv2.imencode('.jpg', np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else image),
                           [cv2.IMWRITE_JPEG_QUALITY, quality])
    image = cv2.imdecode(code, cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


# --- traces ---------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), quality=st.integers(30, 92), top=st.integers(0, 15), left=st.integers(0, 15))
def test_quality_is_read_from_pixels_wherever_the_photo_was_cut(seed, quality, top, left):
    """To one step of quality: neighbours have nearly the same tables."""
    image = through_jpeg(textured(seed), quality)[top:, left:]
    assert abs(jpeg_quality(image) - quality) <= 1


@pytest.mark.parametrize('change', [
    lambda image: image, lambda image: cv2.resize(through_jpeg(image, 80), (90, 77)),
    lambda image: cv2.GaussianBlur(through_jpeg(image, 80), (0, 0), 1), lambda image: through_jpeg(image, 99),
    lambda image: np.full_like(image, 90), lambda image: image[:7, :7], lambda image: image[:1]],
    ids=['never saved', 'resized', 'blurred', 'too good', 'flat', 'smaller than a block', 'one row'])
def test_no_traces(change):
    assert jpeg_quality(change(textured(1))) is None


def test_gray_photos_have_traces_too():
    assert jpeg_quality(through_jpeg(textured(2)[..., 0], 60)) == 60


def test_the_real_photos_decide(tmp_path):
    """Half of them must have traces; the others are left out."""
    def write(count, marked):
        root = tmp_path / f'{marked} of {count}'
        for number in range(count):
            write_photo(root / f'{number}.png', through_jpeg(textured(number), 60 + number) if number < marked
                        else textured(number))
        return {'dataroot_lq': str(root)}

    assert real_qualities(write(4, 2)) == [60, 61]
    assert build_coding('median', write(5, 3), CPU).qualities == [61]
    assert build_coding('auto', write(5, 2), CPU) is build_coding('median', write(3, 0), CPU) is None
    assert build_coding([90, 92], {}, CPU).qualities == build_coding([92, 90], {}, CPU).qualities == [90, 91, 92]
    with pytest.raises(UserError, match='dataroot_lq'):
        build_coding('auto', {}, CPU)


# --- coding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('quality', [20, 50, 75, 95])
def test_it_is_libjpegs_to_a_small_part_of_what_jpeg_changes(quality):
    image = textured(3, 128, 96)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    ours = (JPEGCoding([quality]).code(x, torch.tensor([0]))[0] * 255).permute(1, 2, 0).numpy()
    theirs = through_jpeg(image, quality).astype(float)
    change = np.square(theirs - image).mean()
    assert np.square(ours - theirs).mean() < 0.1 * change + 1  # a level: its cosine transform is an approximation
    assert abs(jpeg_quality(ours.round().astype(np.uint8)) - quality) <= 1 if quality < 93 else True


def test_steps_are_the_standard_s():
    assert quantization_steps(50)[0].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert quantization_steps(50, color=True)[0, :5].tolist() == [17, 18, 24, 47, 99]
    assert quantization_steps(100).unique().tolist() == [1]


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 9))
def test_any_size_stays_with_8_bit_values(height, width, seed):
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 3, height, width, generator=random) * 1.4 - 0.2
    coding = JPEGCoding([40, 90])
    one, same = (coding(x, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert one.shape == x.shape and torch.equal(one, same)
    assert one.min() >= 0 and one.max() <= 1
    torch.testing.assert_close((one * 255).round(), one * 255, rtol=0, atol=1e-3)


def test_each_photo_has_a_quality_of_its_own():
    x = torch.from_numpy(textured(4)).permute(2, 0, 1)[None].float().expand(40, -1, -1, -1) / 255
    errors = (JPEGCoding([10, 95])(x) - x).square().mean((1, 2, 3))
    assert 8 < (errors > errors.mean()).sum() < 32


def test_gradients_are_finite_and_end_at_the_range():
    x = torch.rand(1, 3, 16, 16)
    x[..., :8] = 1.5
    x.requires_grad_(True)
    (JPEGCoding([60])(x) * torch.rand(1, 3, 16, 16)).sum().backward()
    assert x.grad.isfinite().all() and x.grad[..., 8:].abs().sum() > 0
    assert x.grad[..., :8].abs().sum() == 0


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('stage', ['stage1', 'stage2'])
def test_generated_lr_goes_through_jpeg(tmp_path, stage):
    """All that both stages make of HR photos; without the option, nothing does."""
    opt = stage1_options() if stage == 'stage1' else stage2_options(degradations=write_generators(tmp_path))
    opt['train']['lq_jpeg'] = [35, 35]
    model = build_model(opt)
    G = mssr_arch.BicubicDegradation()
    y = torch.from_numpy(textured(5, 512, 512)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        degradation = model.degradation if stage == 'stage1' else model.degradations[0]
        degradation.net = G
        coded = degradation(y)[0]
        degradation.jpeg = None
        plain = degradation(y)[0]
    assert abs(jpeg_quality((coded * 255).round().byte().permute(1, 2, 0).numpy()) - 35) <= 1
    assert jpeg_quality((plain.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()) is None


def test_generators_learn_through_it():
    opt = stage1_options()
    opt['train']['lq_jpeg'] = [60, 90]
    model = build_model(opt)
    before = [p.clone() for p in model.net_g.parameters()]
    step(model, 1, batch(1))
    moved = [not torch.equal(p, q) for p, q in zip(before, model.net_g.parameters(), strict=True)]
    assert all(moved)


@pytest.mark.parametrize('stage', ['stage1', 'stage2'])
def test_training_resumes_exactly(monkeypatch, tmp_path, stage):
    world = make_world(tmp_path / 'world')
    opt = options(world, stage, total=6, train__lq_jpeg=[50, 90])
    assert train(monkeypatch, tmp_path / 'a', opt) == 0
    model = getattr(mssr_model, opt['model_type'])
    with monkeypatch.context() as patched, pytest.raises(Kill):
        kill_at(patched, model, 5)
        train(patched, tmp_path / 'b', opt)
    assert train(monkeypatch, tmp_path / 'b', opt, '--auto_resume') == 0
    a, b = (load(experiment(tmp_path / name) / 'models' / 'net_g_6.pth') for name in 'ab')
    assert_same(a, b)
    assert a.get('jpeg_qualities') == (list(range(50, 91)) if stage == 'stage1' else None)


def test_draws_of_a_trained_generator_are_files_too(tmp_path):
    """degrade.py's LR has the traces, and a draw is a function of its key."""
    keywords = {'num_feat': 4, 'num_block': 1, 'skip': True}
    net = mssr_arch.DeResnet(**keywords)
    content = {'params': net.state_dict(), 'network': {'type': 'DeResnet', **keywords}, 'scale': 4}
    for name, qualities in (('plain', {}), ('files', {'jpeg_qualities': [45, 46]})):
        torch.save({**content, **qualities}, tmp_path / f'{name}.pth')
    hr = textured(6, 512, 512)
    plain, files = (Degrader(load_generator(tmp_path / f'{name}.pth'), CPU) for name in ('plain', 'files'))
    assert jpeg_quality(plain(hr, 'k')) is None
    assert 44 <= jpeg_quality(files(hr, 'k')) <= 47
    assert np.array_equal(files(hr, 'k'), files(hr, 'k'))
    assert np.abs(files(hr, 'k').astype(int) - plain(hr, 'k')).mean() < 12


def test_photos_without_traces_are_left_alone(tmp_path):
    for number in range(3):
        write_photo(tmp_path / f'{number}.png', photo(number, 80, 80))
    assert build_coding('auto', {'dataroot_lq': str(tmp_path)}, CPU) is None
