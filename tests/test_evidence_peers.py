"""Upscalers beside each other on pairs: figures, halves, intervals, what is kept, and what goes wrong."""

import json
import os
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from backbone_tools import write_backbone
from benchmarks.evidence import peers
from benchmarks.evidence.measure import octave_figures
from benchmarks.evidence.statistics import interval
from data_tools import write_photo
from inference_tools import ENSEMBLE, TINY_RRDB, generator_checkpoint, picture, sr_checkpoint
from mssr_compat.errors import UserError
from mssr_inference.networks import load_upscaler
from mssr_metric import perceptual_metrics

PHOTOS = ('a', 'b', 'c')


@pytest.fixture(autouse=True)
def backbone(tmp_path_factory, monkeypatch):
    monkeypatch.setenv('MSSR_WEIGHTS', str(write_backbone(tmp_path_factory.mktemp('weights')).parent))
    perceptual_metrics._network.cache_clear()
    yield
    perceptual_metrics._network.cache_clear()


@pytest.fixture
def world(tmp_path):
    """Three pairs; only its folders of pairs are there."""
    for k, name in enumerate(PHOTOS):
        hr = picture(64, 72, seed=k)
        write_photo(tmp_path / 'small' / 'valid-gt-clean' / f'{name}.png', hr)
        write_photo(tmp_path / 'small' / 'valid-input-noisy' / f'{name}.png',
                    cv2.resize(hr, (18, 16), interpolation=cv2.INTER_AREA))
    return tmp_path / 'small'


@pytest.fixture
def files(tmp_path):
    """Two networks of random weights."""
    for name, options in (('one', ENSEMBLE), ('two', {'type': 'SREnsemble', 'branches': [TINY_RRDB]})):
        (tmp_path / name).mkdir()
        sr_checkpoint(tmp_path / name, options)
    return [tmp_path / name / 'net_g.pth' for name in ('one', 'two')]


@pytest.fixture
def knob(monkeypatch):
    """A loader that knows ``perception``: its settings are the branches of the file."""
    asked = []

    def load(path, perception=None, **keywords):
        asked.append(perception)
        loaded = load_upscaler(path, branch=None if perception is None else 1 + round(perception), **keywords)
        return replace(loaded, color_lock=perception is not None)

    monkeypatch.setattr(peers, 'load_upscaler', load)
    return asked


def waves(gains):
    """A picture with a wave in the middle of each octave."""
    rows, columns = np.mgrid[:256, :256]
    plane = 128 + sum(gain * 15 * np.sin(2 * np.pi * frequency * (rows + columns) / 2**0.5)
                      for gain, frequency in zip(gains, (3 / 64, 3 / 32, 3 / 16, 3 / 8), strict=True))
    return np.repeat(plane.round().astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize('halved', range(4))
def test_an_octave_of_half_the_amplitude_has_a_quarter_of_the_power(halved):
    gains = [1.0] * 4
    gains[halved] = 0.5
    found = octave_figures(waves(gains), waves([1.0] * 4))
    assert [found[f'octave_{k}'] for k in range(4)] == pytest.approx([gain**2 for gain in gains], rel=0.02)
    assert found['octaves'] == pytest.approx(10 * np.log10(4) / 4, rel=0.05)


def test_a_picture_without_texture_has_ratios_all_the_same():
    found = octave_figures(np.full((40, 50, 3), 9, np.uint8), np.full((40, 50, 3), 70, np.uint8))
    assert found == {**{f'octave_{k}': 1 for k in range(4)}, 'octaves': 0}


@given(st.sets(st.text('abc123', min_size=1), min_size=2, max_size=20))
def test_halves_share_nothing_and_lack_nothing(names):
    pairs = {name: (Path(name), Path(name)) for name in names}
    first, second = (list(peers.half(pairs, which)) for which in ('first', 'second'))
    assert sorted(first + second) == sorted(names) == list(peers.half(pairs, 'both'))
    assert 0 <= len(first) - len(second) <= 1
    assert first == sorted(names)[::2]
    with pytest.raises(UserError, match='has no second half'):
        peers.half({'a': pairs[first[0]]}, 'second')


def test_rows_of_files_of_settings_and_of_seeds(world, files, knob, tmp_path, capsys):
    out, (one, two) = tmp_path / 'out', files
    command = [str(world), '--out', str(out), '--checkpoint', f'one={one}', f'two={two}',
               '--restorer', f'low={one}@0', f'high={one}@1.0', f'plain={two}', f'plain={one}',
               '--curve', f'knob={one}', '--against', 'two+lock', '--strip', 'b', '--show', 'bicubic', 'knob@1+lock']
    assert peers.main(command) == 0, capsys.readouterr().err
    found = json.loads((out / 'peers.json').read_text())
    small = found['sets']['small']
    figures, summary = small['figures'], small['summary']
    names = ['one', 'two', 'low', 'high', 'plain', *(f'knob@{p:g}' for p in peers.CURVE)]
    assert list(figures) == ['bicubic', *(row for name in names for row in (name, f'{name}+lock'))]
    assert small['photos'] == list(PHOTOS) and found['peers'] == ['one', 'one+lock', 'two', 'two+lock']
    assert knob.count(None) == 4 and {0.0, 0.25, 0.5, 0.75, 1.0} <= set(knob)
    assert figures['plain'] == {'0': figures['two'][''], '1': figures['one']['']}  # two files: two seeds
    assert figures['knob@0'] == figures['low'] and figures['knob@1'] == figures['high']
    assert figures['knob@0']['']['psnr_mssr'] != figures['knob@1']['']['psnr_mssr'] != figures['one']['']['psnr_mssr']

    hr, lr = (next((world / role).glob('a.*')) for role in ('valid-gt-clean', 'valid-input-noisy'))
    alone = peers.as_pixels(load_upscaler(one, branch=1).net(peers.read_tensor(lr)[None])[0])  # without the lock
    assert figures['low']['']['psnr_mssr'][0] == pytest.approx(
        peers.image_figures(alone, peers.read_rgb(hr), lpips=False)['psnr_mssr'], abs=1e-3)
    assert abs(figures['low+lock']['']['psnr_mssr'][0] - figures['low']['']['psnr_mssr'][0]) > 0.1

    for metric, sign in (('psnr_mssr', 1), ('ssim_mssr', 1), ('lpips', -1), ('octaves', -1)):
        ours, theirs = (np.array(figures[row][''][metric]) for row in ('knob@1+lock', 'two'))
        expected = interval(sign * (ours - theirs))
        difference = summary['differences']['knob@1+lock']['two'][metric]
        assert [difference[key] for key in ('mean', 'low', 'high', 'images')] == pytest.approx(
            [expected.mean, expected.low, expected.high, 3])
        means = {row: sign * np.mean(figures[row][''][metric]) for row in found['peers']}
        assert summary['best_peer'][metric] == max(means, key=means.get)
    ratios = figures['one']['']['octave_2']
    assert summary['octaves']['one'][2]['mean'] == pytest.approx(np.prod(ratios) ** (1 / 3))

    text = (out / 'peers.md').read_text()
    assert text in capsys.readouterr().out
    assert '| against two+lock |' in text and '`plain`, 2 seeds' in text and '3 pairs.' in text
    drawn = ET.parse(out / 'scatter_small.svg').getroot()
    assert set(figures) <= {element.get('id') for element in drawn.iter('{http://www.w3.org/2000/svg}g')}
    strip = cv2.imread(str(out / 'strip_b.png'))  # LR, two rows, truth: each pixel as it is
    assert strip.shape[1] == 4 * (72 + 8) + 8
    assert (strip[-72:-8, -80:-8, ::-1] == picture(64, 72, seed=1)).all()


def test_dists_is_measured_where_it_is_asked_for(world, files, tmp_path, monkeypatch, capsys):
    out, command = tmp_path / 'out', [str(world), '--out', str(tmp_path / 'out'), '--checkpoint', f'one={files[0]}']
    monkeypatch.setattr(perceptual_metrics.torch.hub, 'get_dir', lambda: str(tmp_path / 'file' / 'hub'))
    (tmp_path / 'file').write_text('no folder')  # nothing can be downloaded
    assert peers.main([*command, '--dists']) == 2
    assert 'VGG16' in capsys.readouterr().err
    write_backbone(Path(os.environ['MSSR_WEIGHTS']), 'vgg')
    for asked in (False, True):
        assert peers.main([*command, *(['--dists'] if asked else [])]) == 0
        small, text = json.loads((out / 'peers.json').read_text())['sets']['small'], (out / 'peers.md').read_text()
        assert [('dists' in figures['']) for figures in small['figures'].values()] == [asked] * 3
        assert ('| DISTS |' in text) == asked and ('dists' in small['summary']['best_peer']) == asked


def test_what_is_measured_is_not_measured_again(world, files, tmp_path, monkeypatch):
    out, count = tmp_path / 'out', []
    measure = peers.image_figures
    monkeypatch.setattr(peers, 'image_figures', lambda *a, **k: count.append(1) or measure(*a, **k))
    command = [str(world), '--out', str(out), '--checkpoint', f'one={files[0]}']
    assert peers.main([*command, '--half', 'second']) == 0
    assert len(count) == 3  # one photo: interpolation, and the network without and with the lock
    assert json.loads((out / 'peers_second.json').read_text())['sets']['small']['photos'] == ['b']
    assert peers.main(command) == 0
    assert len(count) == 9
    # Under other names, it is the same file and the same photos.
    pairs = f'other={world / "valid-input-noisy"},{world / "valid-gt-clean"}'
    assert peers.main(['--pairs', pairs, '--out', str(out), '--restorer', f'again={files[0]}', f'new={files[1]}']) == 0
    assert len(count) == 15
    assert list(json.loads((out / 'peers.json').read_text())['sets']) == ['other']


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--checkpoint', 'x={missing}'], "error: x: there is no file '{missing}'."),
    (['--checkpoint', 'x={generator}'], 'error: {generator} '),
    (['--checkpoint', 'x={net2}'], 'error: x: {net2} enlarges 2 times, but the pairs are of factor 4.'),
    (['--checkpoint', 'x={text}'], 'error: {text} '),
    (['--checkpoint', '{net}'], 'error: --checkpoint {net}: it must begin with NAME='),
    (['--checkpoint', 'x={net}', 'x={net}'], "error: Two rows are called 'x'"),
    (['--restorer', 'x={net}@0', 'x={net}@1'], "error: 'x' is given {net} twice"),
    (['--restorer', 'x={net}@3'], 'error: --restorer x={net}@3: perception goes from 0 to 1.'),
    (['--pairs', 'small={net}'], 'error: --pairs small={net}: it must be NAME=LR_FOLDER,HR_FOLDER.'),
    (['--pairs', 'p={missing},{missing}'], 'error: p/missing: '),
    (['--against', 'y'], "error: --against: there is no row 'y'; there are bicubic."),
    (['--strip', 'y'], "error: --strip: no set has a photo 'y', but one has 'a'."),
])
def test_a_mistake_is_one_sentence_before_anything_is_measured(world, files, tmp_path, capsys, arguments, said):
    (tmp_path / 'text.pth').write_text('no weights')
    (tmp_path / 'twice').mkdir()
    options = {'type': 'SREnsemble', 'branches': [{**TINY_RRDB, 'scale': 2}]}
    paths = {'missing': tmp_path / 'missing', 'generator': generator_checkpoint(tmp_path), 'net': files[0],
             'net2': sr_checkpoint(tmp_path / 'twice', options), 'text': tmp_path / 'text.pth'}
    command = [argument.format(**paths) for argument in arguments]
    assert peers.main([str(world), '--out', str(tmp_path / 'out'), *command]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said.format(**paths)) and error.count('\n') == 1
    assert not (tmp_path / 'out').exists()
