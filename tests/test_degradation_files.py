"""A learned degradation as one file: what it draws, what it says, and what is refused."""

import json
import struct

import numpy as np
import pytest
import torch

import degrade
from data_tools import write_photo
from inference_tools import DERESNET, TINY_RRDB, generator_checkpoint, picture, save, sr_checkpoint
from mssr_arch import DSGAN, BicubicDegradation
from mssr_compat.checkpoint import read_description
from mssr_compat.errors import UserError
from mssr_degradation import LearnedDegradation


def photos(number=2, size=32):
    values = np.stack([picture(size, size, seed=k) for k in range(number)])
    return torch.from_numpy(values).permute(0, 3, 1, 2).float() / 255


def seeded():
    return torch.Generator().manual_seed(0)


def files_of(folder, **said):
    """A checkpoint as stage 1 writes it, and its path."""
    path = generator_checkpoint(folder)
    torch.save({**torch.load(path), 'jpeg_qualities': [60, 90], **said}, path)
    return path


def test_a_notebook_draws_from_a_checkpoint(tmp_path):
    degradation, hr = LearnedDegradation.load(files_of(tmp_path)), photos()
    before = torch.get_rng_state()
    lq = degradation(hr, generator=seeded())
    assert lq.shape == (2, 3, 8, 8) and not lq.requires_grad and torch.equal(torch.get_rng_state(), before)
    assert torch.equal(lq, degradation(hr, generator=seeded())) and not torch.equal(lq, degradation(hr))
    torch.testing.assert_close((lq * 255).round(), lq * 255, rtol=0, atol=1e-3)
    assert degradation.jpeg.qualities == [60, 90] and degradation.options['type'] == 'DeResnet'


@pytest.mark.parametrize('said', [
    {}, {'strength': [0.1, 0.7], 'noise': [0.2, 0.4, 0.9]}, {'strength': None, 'noise': (0.5, 1), 'eight_bit': False}])
def test_a_saved_degradation_is_the_same(tmp_path, said):
    first = LearnedDegradation.load(files_of(tmp_path))
    for name, value in said.items():
        setattr(first, name, value)
    first.options['checkpoint'] = '/home/me/net_g.pth'
    first.save(tmp_path / 'given.safetensors')
    second = LearnedDegradation.load(tmp_path / 'given.safetensors')
    for seed in range(3):
        one, other = (d(photos(3), torch.Generator().manual_seed(seed)) for d in (first, second))
        assert torch.equal(one, other)
    content = (tmp_path / 'given.safetensors').read_bytes()
    assert b'/home/me' not in content and str(tmp_path).encode() not in content
    assert read_description(tmp_path / 'given.safetensors')['network'] == DERESNET


def test_a_generator_that_does_not_downsample_keeps_its_scale(tmp_path):
    options = {'type': 'DSGAN', 'num_feat': 4, 'num_block': 1}
    path = save(tmp_path / 'dsgan.pth', DSGAN(num_feat=4, num_block=1), options, scale=2)
    LearnedDegradation.load(path).save(tmp_path / 'dsgan.safetensors')
    assert LearnedDegradation.load(tmp_path / 'dsgan.safetensors')(photos()).shape == (2, 3, 16, 16)


def test_a_published_file_needs_the_options(tmp_path):
    path = generator_checkpoint(tmp_path)
    torch.save({'model_g_state_dict': torch.load(path)['params']}, tmp_path / 'published.tar')
    with pytest.raises(UserError, match='does not say its options'):
        LearnedDegradation.load(tmp_path / 'published.tar')
    one, other = LearnedDegradation.load(tmp_path / 'published.tar', DERESNET), LearnedDegradation.load(path)
    assert torch.equal(one(photos(), seeded()), other(photos(), seeded()))


@pytest.mark.parametrize('said, words', [
    ({'strength': [0.7, 0]}, 'strength'), ({'strength': [0.5]}, 'strength'), ({'noise': [-1, 2]}, 'noise'),
    ({'jpeg_qualities': [0]}, 'jpeg_qualities'), ({'scale': 3}, 'scale'),
    ({'network': TINY_RRDB}, 'generator of stage'), ({'network': {**DERESNET, 'num_feats': 3}}, 'num_feats'),
    ({'network': {'type': 'Nothing'}}, 'generator of stage')])
def test_what_a_file_must_not_say(tmp_path, said, words):
    with pytest.raises(UserError, match=words):
        LearnedDegradation.load(files_of(tmp_path, **said))


def test_metadata_that_are_no_json(tmp_path):
    header = json.dumps({'__metadata__': {'network': '{'}, 'w': {
        'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}}).encode()
    (tmp_path / 'bad.safetensors').write_bytes(struct.pack('<Q', len(header)) + header + bytes(4))
    with pytest.raises(UserError, match='no JSON'):
        LearnedDegradation.load(tmp_path / 'bad.safetensors')


def test_what_cannot_be_saved(tmp_path):
    for degradation, name in ((LearnedDegradation(BicubicDegradation()), 'a.safetensors'),
                              (LearnedDegradation.load(files_of(tmp_path)), 'a.pth')):
        with pytest.raises(UserError, match=name):
            degradation.save(tmp_path / name)
    with pytest.raises(UserError, match='a degradation generator of stage 1 is needed'):
        LearnedDegradation.load(sr_checkpoint(tmp_path))


# --- degrade.py ---------------------------------------------------------------------------------------------------


def run(*arguments):
    return degrade.main([*map(str, arguments), '--device', 'cpu'])


def pictures(folder):
    return {path.name: path.read_bytes() for path in (folder / 'lq').iterdir()}


def test_degrade_saves_a_file_and_draws_from_it_as_it_says(tmp_path, capsys):
    checkpoint, given = files_of(tmp_path), tmp_path / 'given.safetensors'
    for k in range(3):
        write_photo(tmp_path / 'hr' / f'{k}.png', picture(48, 64, seed=k))
    chosen = ['--strength', 0.2, 0.6, '--noise', 0, 1]
    hr = ['-i', tmp_path / 'hr']
    assert run('-c', checkpoint, *chosen, '--save', given) == 0
    assert str(given) in capsys.readouterr().out
    assert run('-c', checkpoint, *chosen, *hr, '-o', tmp_path / 'a') == 0
    assert run('-c', given, *hr, '-o', tmp_path / 'b', '--save', tmp_path / 'again.safetensors') == 0
    assert run('-c', given, '--strength', 1, 1, '--noise', 1, 1, *hr, '-o', tmp_path / 'c') == 0
    assert pictures(tmp_path / 'a') == pictures(tmp_path / 'b') != pictures(tmp_path / 'c')
    assert read_description(given) == read_description(tmp_path / 'again.safetensors')
    for wrong in (['-c', checkpoint], ['-c', checkpoint, '-o', 'x'], ['-c', checkpoint, given, '--save', 'x']):
        with pytest.raises(SystemExit):
            run(*wrong)
