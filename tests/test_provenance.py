"""Saved files say what they were started from, by name, checksum and licence, and name no path of this machine."""

import hashlib
import json

import pytest
import torch
from basicsr.archs import build_network
from basicsr.models import build_model

import mssr_arch  # noqa: F401
import mssr_model  # noqa: F401
from inference_tools import TINY_RRDB
from model_options import stage2_options
from mssr_compat.checkpoint import network_description, read_description, read_metadata
from mssr_compat.provenance import OWN, carried_on, note_start, origins

NET = {'type': 'DeResnet', 'num_feat': 4, 'num_block': 1}


def saved(path, options=NET, **said):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({'params': build_network(options).state_dict(), **said}, path)
    return path


def names(starts):
    return [(start['file'], start['licence']) for start in starts]


@pytest.mark.parametrize(('name', 'said', 'licence'), [
    ('RealESRGAN_x4plus.pth', {}, 'BSD-3-Clause (Real-ESRGAN), by the name of the file'),
    ('ESRGAN_PSNR_SRx4_DF2K_official-150ff491.pth', {}, 'Apache-2.0 (BasicSR), by the name of the file'),
    ('RRDB_PSNR_x4.pth', {'license': 'CC BY-NC 4.0'}, 'CC BY-NC 4.0'),
    ('RealESRGAN_x4plus_finetuned.pth', {}, 'unknown'),
    ('4x-ClearReality_SPAN.pth', {}, 'CC BY-NC-SA 4.0, by the name of the file'),
])
def test_a_file_has_a_checksum_and_a_licence(tmp_path, name, said, licence):
    path = saved(tmp_path / name, **said)
    assert origins(path) == [{'file': name, 'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
                              'licence': licence}] == carried_on(path)


def test_licence_in_the_metadata_of_safetensors(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / 'net.safetensors'
    save_file({'weight': torch.ones(2)}, path, {'modelspec.license': 'CC BY-NC-SA 4.0',
                                                'started_from': json.dumps([{'file': 'a.pth', 'sha256': 'x'}])})
    assert names(origins(path)) == [('net.safetensors', 'CC BY-NC-SA 4.0'), ('a.pth', 'unknown')]


def test_starts_are_inherited_and_named_once(tmp_path):
    first = saved(tmp_path / 'first.pth')
    second = saved(tmp_path / 'second.pth', started_from=origins(first))
    opt = {'is_train': True, 'path': {'pretrain_network_g': str(second), 'resume_state': None}}
    for _ in range(2):
        note_start(opt, str(second))
    note_start(opt, str(first))
    assert names(opt['started_from']) == [('second.pth', OWN), ('first.pth', 'unknown')]
    assert names(carried_on(second)) == [('first.pth', 'unknown')]


def test_a_resumed_run_is_not_its_own_start(tmp_path):
    own = saved(tmp_path / 'net_g_6.pth', started_from=origins(saved(tmp_path / 'first.pth')))
    opt = {'is_train': True, 'path': {'pretrain_network_g': str(own), 'resume_state': '6.state'}}
    note_start(opt, str(own))
    assert names(opt['started_from']) == [('first.pth', 'unknown')]


def test_stage_2_names_its_branches_starts_and_its_generators(tmp_path):
    first = saved(tmp_path / 'camera' / 'first.pth')
    opt = stage2_options(degradations=[NET, NET])
    opt['path'].update(models=str(tmp_path), training_states=str(tmp_path))
    opt['degradations'] = [{**NET, 'checkpoint': str(saved(tmp_path / 'g' / f'g{k}.pth', started_from=origins(first)))}
                           for k in (0, 1)]
    opt['network_g']['branches'] = [{**TINY_RRDB, 'checkpoint': str(saved(tmp_path / 'b' / f'RRDB_PSNR_x{k}.pth',
                                                                          TINY_RRDB))} for k in (0, 1)]
    build_model(opt).save(0, 3)
    path = tmp_path / 'net_g_3.pth'
    found = [start['file'] for start in read_metadata(path)['started_from']]
    assert sorted(found) == ['RRDB_PSNR_x0.pth', 'RRDB_PSNR_x1.pth', 'first.pth', 'g0.pth', 'g1.pth']
    said = {key: value for key, value in torch.load(path, weights_only=True).items() if key[:6] != 'params'}
    assert str(tmp_path) not in str(said) and 'checkpoint' not in str(said['network'])


def test_descriptions_name_no_file(tmp_path):
    options = {'type': 'X', 'checkpoint': 'a.pth', 'spynet_path': 'flow', 'upsampler': 'pixelshuffle', 'branches': [
        {'type': 'Y', 'checkpoint': '/home/me/b.pth', 'prior': '~/c.npz', 'sub': {'weights': 'w/d.pth', 'mode': 'k'}}]}
    right = {'type': 'X', 'upsampler': 'pixelshuffle', 'branches': [{'type': 'Y', 'sub': {'mode': 'k'}}]}
    assert network_description({'network_g': options, 'scale': 4}, 'network_g') == {'network': right, 'scale': 4}
    assert read_description(saved(tmp_path / 'old.pth', network=options))['network'] == right  # one of before


def test_exports_and_conversions_carry_it_on(tmp_path, capsys):
    import convert_checkpoint
    import export

    start = saved(tmp_path / '4x-ClearReality_SPAN.pth')
    ours = saved(tmp_path / 'net_g_latest.pth', TINY_RRDB, network=TINY_RRDB, scale=4, started_from=origins(start))
    assert export.main([str(ours), str(tmp_path / 'out'), '--no-onnx']) == 0
    assert 'started from 4x-ClearReality_SPAN.pth, licence: CC BY-NC-SA 4.0' in capsys.readouterr().out
    assert convert_checkpoint.main([str(ours), str(tmp_path / 'converted.pth')]) == 0
    for path in (*(tmp_path / 'out').glob('S1*'), tmp_path / 'converted.pth'):
        assert read_metadata(path)['started_from'] == origins(start)
