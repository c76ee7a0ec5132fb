"""What other programs load computes what was trained."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ready_python
from data_tools import write_photo
from inference_tools import TINY_RRDB, enliven, picture, save, sr_checkpoint
from mssr_arch import SREnsemble
from mssr_command import export
from mssr_compat.checkpoint import read_description, read_weights
from mssr_compat.errors import UserError
from mssr_inference.export import (
    Mean,
    averaged_state,
    check_with_onnxruntime,
    check_with_spandrel,
    measure_gap,
    plain_state,
    psnr,
    write_onnx,
    write_weights,
)
from mssr_inference.networks import Loaded, load_upscaler
from mssr_inference.upscaler import Upscaler

ROOT = Path(__file__).resolve().parent.parent
ESRGAN = {**TINY_RRDB, 'num_grow_ch': 32}  # as spandrel knows it
SWINIR = {'type': 'SwinIR', 'upscale': 2, 'in_chans': 3, 'img_size': 64, 'window_size': 8, 'img_range': 1.0,
          'depths': [1, 1], 'embed_dim': 12, 'num_heads': [2, 2], 'mlp_ratio': 2, 'upsampler': 'pixelshuffle',
          'resi_connection': '1conv'}


def checkpoint(folder, branches):
    options = {'type': 'SREnsemble', 'branches': branches}
    return save(folder / 'net_g.pth', enliven(SREnsemble(branches)), options)


@pytest.mark.parametrize('options', [ESRGAN, {**ESRGAN, 'scale': 2}, SWINIR], ids=['x4', 'x2', 'SwinIR'])
def test_spandrel_computes_the_same(tmp_path, options):
    pytest.importorskip('spandrel')
    loaded = load_upscaler(checkpoint(tmp_path, [options]))
    for path in write_weights(tmp_path, 'S1', plain_state(loaded.net.branches[0]), options, loaded.scale):
        assert 'loads it as' in check_with_spandrel(path, loaded.net.branches[0], loaded.scale)
    other = SREnsemble([options]).branches[0].eval()
    with pytest.raises(RuntimeError, match='something else'):
        check_with_spandrel(path, other, loaded.scale)


def test_exports_carry_their_options(tmp_path):
    pytest.importorskip('safetensors')
    loaded = load_upscaler(sr_checkpoint(tmp_path))
    lq = torch.rand(1, 3, 6, 7)
    for path in write_weights(tmp_path / 'out', 'S2', plain_state(loaded.net.branches[1]), TINY_RRDB, 4):
        assert read_description(path) == {'network': TINY_RRDB, 'scale': 4}
        assert torch.equal(load_upscaler(path).net(lq), loaded.net.upscale(1, lq)[0])
        assert set(read_weights(path)) == set(loaded.net.branches[1].state_dict())


def test_unknown_networks_are_written_and_said(tmp_path):
    pytest.importorskip('spandrel')
    options = {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': 2}
    loaded = load_upscaler(checkpoint(tmp_path, [options]))
    path, _ = write_weights(tmp_path, 'S1', plain_state(loaded.net.branches[0]), options, 2)
    assert 'spandrel cannot load it' in check_with_spandrel(path, loaded.net.branches[0], 2)


@pytest.fixture
def runtime():
    pytest.importorskip('onnxscript')
    pytest.importorskip('onnxruntime')


def test_onnx_of_the_ensemble_takes_any_size(tmp_path, runtime):
    net = enliven(SREnsemble([TINY_RRDB, {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1}]))
    mean = Mean(net.branches)
    lq = torch.rand(2, 3, 5, 7)
    assert torch.equal(mean(lq), net(lq))
    write_onnx(tmp_path / 'e.onnx', mean)
    assert 'sizes free' in check_with_onnxruntime(tmp_path / 'e.onnx', mean)
    assert [path.name for path in tmp_path.iterdir()] == ['e.onnx']
    other = Mean(enliven(SREnsemble([TINY_RRDB, TINY_RRDB]), 3).branches)
    with pytest.raises(UserError, match='something else'):
        check_with_onnxruntime(tmp_path / 'e.onnx', other)
    assert not (tmp_path / 'e.onnx').exists()


@pytest.mark.slow
def test_onnx_of_windows_is_no_file_rather_than_a_wrong_one(tmp_path, runtime):
    """The exporter takes the attention mask of one size for all; that must not pass."""
    net = Mean(enliven(SREnsemble([{**SWINIR, 'depths': [1], 'num_heads': [2]}])).branches)
    with pytest.raises(UserError, match=r's\.onnx'):
        write_onnx(tmp_path / 's.onnx', net, 8)
        check_with_onnxruntime(tmp_path / 's.onnx', net, 8)
    assert not list(tmp_path.iterdir())


def test_averaged_weights_are_the_mean(tmp_path):
    loaded = load_upscaler(sr_checkpoint(tmp_path))
    state = averaged_state(loaded)
    one, two = plain_state(loaded.net.branches[0]), plain_state(loaded.net.branches[1])
    assert all(torch.allclose(state[name], (one[name] + two[name]) / 2) for name in one)
    assert averaged_state(load_upscaler(checkpoint(tmp_path, [TINY_RRDB, {**TINY_RRDB, 'num_block': 2}]))) is None
    assert averaged_state(load_upscaler(checkpoint(tmp_path, [TINY_RRDB]))) is None


def test_the_gap_is_what_psnr_says(tmp_path):
    loaded = load_upscaler(sr_checkpoint(tmp_path))
    first = Upscaler(loaded, torch.device('cpu'))
    second = Upscaler(load_upscaler(tmp_path / 'net_g.pth', branch=1), torch.device('cpu'))
    for k in range(2):
        write_photo(tmp_path / 'lq' / f'{k}.png', picture(6, 7, seed=k))
        write_photo(tmp_path / 'gt' / f'{k}.png', picture(24, 28, seed=k))
    gap = measure_gap(first, second, str(tmp_path / 'lq'), str(tmp_path / 'gt'))
    rows = []
    for k in range(2):
        lq = torch.from_numpy(picture(6, 7, seed=k)).permute(2, 0, 1)[None] / 255
        a, b = ((up(lq)[0] * 255).round().permute(1, 2, 0).numpy() for up in (first, second))
        truth = picture(24, 28, seed=k)
        rows.append([psnr(a, b), psnr(a, truth), psnr(b, truth)])
    assert gap.photos == 2
    assert np.allclose([gap.to_each_other, gap.of_first, gap.of_second], np.mean(rows, 0), atol=0.02)
    same = measure_gap(first, first, str(tmp_path / 'lq'))
    assert same.to_each_other == 100
    assert same.of_first is None
    (tmp_path / 'gt' / '1.png').unlink()
    with pytest.raises(UserError, match='--val-gt'):
        measure_gap(first, second, str(tmp_path / 'lq'), str(tmp_path / 'gt'))


def test_the_script_writes_and_reports_everything(tmp_path, capsys):
    pytest.importorskip('safetensors')
    write_photo(tmp_path / 'lq' / 'a.png', picture(6, 7))
    write_photo(tmp_path / 'gt' / 'a.png', picture(24, 28))
    weights = sr_checkpoint(tmp_path, {'type': 'SREnsemble', 'branches': [ESRGAN, dict(ESRGAN)]})
    arguments = ['--no-onnx', '--val-lq', tmp_path / 'lq', '--val-gt', tmp_path / 'gt', '--device', 'cpu']
    assert export.main(list(map(str, [weights, tmp_path / 'out', *arguments]))) == 0
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == sorted(f'{stem}{suffix}' for stem in ('S1_RRDBNet', 'S2_RRDBNet', 'averaged')
                           for suffix in ('.pth', '.safetensors'))
    text = capsys.readouterr().out
    assert 'dB to the ensemble on 1 photos' in text
    assert 'dB to the ground truth' in text
    assert export.main([str(tmp_path / 'none.pth'), str(tmp_path / 'out')]) == 2


def test_the_script_runs_from_anywhere(tmp_path):
    done = ready_python.run([sys.executable, str(ROOT / 'scripts' / 'export.py'), '--help'], cwd=tmp_path,
                            capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_loaded_average_is_one_network(tmp_path):
    loaded = load_upscaler(sr_checkpoint(tmp_path))
    average = SREnsemble([TINY_RRDB]).eval()
    average.branches[0].load_state_dict(averaged_state(loaded))
    stand_in = Upscaler(Loaded(average, {}, 4, tmp_path, ''), torch.device('cpu'))
    assert stand_in(torch.rand(1, 3, 5, 5)).shape == (1, 3, 20, 20)
