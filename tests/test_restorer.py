"""A restorer: two ends in one file, and everything between them on one knob."""

import json

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import inference
from inference_tools import TINY_RRDB, enliven, picture
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.sr_ensemble_arch import SREnsemble
from mssr_command import export
from mssr_compat.errors import UserError
from mssr_inference.networks import load_upscaler
from mssr_inference.restorer import Restorer
from mssr_inference.upscaler import Upscaler, lock_color

ORIGIN = {'file': 'a.pth', 'sha256': '0' * 64, 'licence': 'BSD-3-Clause'}


def weights(seed):
    return enliven(SREnsemble([TINY_RRDB]), seed).branches[0].state_dict()


def restorer(setting=0.5):
    return Restorer(TINY_RRDB, 4, weights(0), weights(1), setting, [ORIGIN])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'restorer.safetensors'
    restorer().save(path)
    return path


def test_a_file_gives_back_both_ends(file):
    found, made = Restorer.load(file), restorer()
    assert (found.options, found.scale, found.setting, found.started_from) == (TINY_RRDB, 4, 0.5, [ORIGIN])
    for end in ('fidelity', 'perception'):
        assert all(torch.equal(tensor, getattr(made, end)[name]) for name, tensor in getattr(found, end).items())
    with safe_open(file, 'pt') as opened:
        assert str(file.parent) not in repr(opened.metadata())


@pytest.mark.parametrize('setting', [0.0, 0.3, 1.0])
def test_the_knob_is_a_straight_line(setting):
    made = restorer()
    for name, tensor in made.at(setting).items():
        expected = (1 - setting) * made.fidelity[name] + setting * made.perception[name]
        assert torch.allclose(tensor, expected, atol=1e-6), name
    assert all(torch.equal(made.at()[name], made.at(0.5)[name]) for name in made.fidelity)


@pytest.mark.parametrize('setting', [-0.1, 1.5, float('nan')])
def test_a_setting_beyond_the_ends_is_refused(setting, file):
    with pytest.raises(UserError, match='from 0 .* to 1'):
        restorer().at(setting)
    with pytest.raises(UserError, match='from 0 .* to 1'):
        load_upscaler(file, perception=setting)


def test_inference_turns_the_knob_and_locks_colours(file, tmp_path):
    cv2.imwrite(str(tmp_path / 'in.png'), picture(20, 28))
    results = {}
    for name, arguments in {'own': [], 'half': ['--perception', '0.5'], 'end': ['--perception', '1'],
                            'loose': ['--no-color-lock']}.items():
        out = tmp_path / f'{name}.png'
        assert inference.main(['-c', str(file), '-i', str(tmp_path / 'in.png'), '-o', str(out), *arguments]) == 0
        results[name] = cv2.imread(str(out)).astype(int)
    assert (results['own'] == results['half']).all()
    assert (results['own'] != results['end']).any() and (results['own'] != results['loose']).any()

    upscaler = Upscaler(load_upscaler(file, perception=1), torch.device('cpu'))
    x = torch.from_numpy(picture(20, 28)).permute(2, 0, 1)[None].float() / 255
    net = enliven(SREnsemble([TINY_RRDB]), 1)
    with torch.no_grad():
        assert torch.allclose(upscaler(x), lock_color(net(x), x, 4), atol=1e-5)
    assert (bicubic_downsample(upscaler(x), 4) - x).mean().abs() < 0.02  # the lock is on


def test_the_knob_is_for_restorers(tmp_path):
    torch.save({'params': weights(0), 'network': TINY_RRDB, 'scale': 4}, tmp_path / 'net.pth')
    with pytest.raises(UserError, match='net.pth has no knob'):
        load_upscaler(tmp_path / 'net.pth', perception=0.5)
    assert not load_upscaler(tmp_path / 'net.pth').color_lock


@pytest.mark.parametrize('spoil', ['setting', 'network', 'shapes', 'nan'])
def test_a_damaged_file_is_refused(file, tmp_path, spoil):
    with safe_open(file, 'pt') as opened:
        state, said = {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()  # noqa: SIM118
    name = next(name for name in state if name.startswith('perception.'))
    if spoil == 'setting':
        said['perception'] = '1.5'
    elif spoil == 'network':
        del said['network']
    else:
        state[name] = state[name][:1].clone() if spoil == 'shapes' else state[name] * float('nan')
    save_file(state, tmp_path / 'bad.safetensors', said)
    with pytest.raises(UserError, match='bad.safetensors'):
        load_upscaler(tmp_path / 'bad.safetensors')


def test_half_precision_is_enough_for_a_start(tmp_path):
    restorer().save(tmp_path / 'small.safetensors', torch.float16)
    restorer().save(tmp_path / 'large.safetensors')
    small, large = (tmp_path / f'{name}.safetensors' for name in ('small', 'large'))
    assert small.stat().st_size < 0.75 * large.stat().st_size
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (load_upscaler(path).net(x) for path in (small, large))
    assert one.dtype == torch.float32 and (one - other).abs().max() < 2e-2


def test_export_writes_a_plain_network_at_a_setting(file, tmp_path):
    assert export.main([str(file), str(tmp_path / 'out'), '--no-onnx', '--perception', '0.25']) == 0
    state = torch.load(tmp_path / 'out' / 'S1_RRDBNet.pth', weights_only=True)
    assert all(torch.allclose(tensor, restorer().at(0.25)[name]) for name, tensor in state['params'].items())
    assert state['started_from'] == [ORIGIN]
    with safe_open(tmp_path / 'out' / 'S1_RRDBNet.safetensors', 'pt') as opened:
        assert json.loads(opened.metadata()['network'])['type'] == 'RRDBNet'


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match='safetensors'):
        restorer().save(tmp_path / 'restorer.pth')
    assert np.size(list(tmp_path.iterdir())) == 0
