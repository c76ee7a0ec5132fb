import importlib
import os
import pickle

import numpy as np
import pytest
import torch
from basicsr.archs import build_network
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import mssr_arch  # noqa: F401
from data_tools import photo, write_photo
from mssr_compat.checkpoint import read_training_state, read_weights
from mssr_compat.errors import UserError

KEY = 'path.pretrain_network_g'
TRAINING_STATE = {'epoch': 3, 'iter': 700, 'optimizers': [{'state': {}, 'param_groups': []}], 'schedulers': [{}]}


def tensors(seed=0, names=('conv.weight', 'conv.bias')):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(2, 3, generator=generator) for name in names}


def prefixed(prefix, state):
    return {prefix + name: value for name, value in state.items()}


def same(a, b):
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def saved(tmp_path, content, name='file.pth', **options):
    torch.save(content, tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: {'params': state},
    lambda state: {'params_ema': state},
    lambda state: {'params': prefixed('module.', state)},
    lambda state: prefixed('module.', state),
    lambda state: {'state_dict': state, 'epoch': 4},
    lambda state: {'params': state, 'params_ema': tensors(1)},
    lambda state: {'epoch': 2, 'model_g_state_dict': state, 'models_d_state_dict': [tensors(1)], 'optimizer': {}},
    lambda state: {'model_g_state_dict': prefixed('model.', state)},
    lambda state: {'model_g_state_dict': prefixed('module.model.', state)},
])
@pytest.mark.parametrize('zipped', [True, False])
def test_every_wrapping_gives_the_same_weights(tmp_path, wrap, zipped):
    path = saved(tmp_path, wrap(tensors()), _use_new_zipfile_serialization=zipped)
    assert same(read_weights(path, KEY), tensors())


def test_averaged_weights_on_request(tmp_path):
    both = saved(tmp_path, {'params': tensors(0), 'params_ema': tensors(1)})
    assert same(read_weights(both, param_key='params_ema'), tensors(1))
    one = saved(tmp_path, {'params': tensors(0)})
    assert same(read_weights(one, param_key='params_ema'), tensors(0))


@pytest.mark.parametrize('wrap', [lambda state: [state], lambda state: {'d': state}, lambda state: state])
def test_the_discriminator_of_a_stage_1_file(tmp_path, wrap):
    path = saved(tmp_path, {'model_g_state_dict': tensors(0), 'models_d_state_dict': wrap(tensors(1))}, 'e.tar')
    assert same(read_weights(path, part='discriminator'), tensors(1))


def test_several_discriminators_and_none(tmp_path):
    path = saved(tmp_path, {'models_d_state_dict': [tensors(1), tensors(2)]}, 'e.tar')
    assert same(read_weights(path, part='discriminator', index=1), tensors(2))
    for index in (None, 2, -1):
        with pytest.raises(UserError, match='has 2 discriminators: choose one, 0 to 1'):
            read_weights(path, part='discriminator', index=index)
    with pytest.raises(UserError, match='without model_g_state_dict: it has no generator'):
        read_weights(path)


def test_numpy_values_beside_weights(tmp_path):
    content = {'model_g_state_dict': tensors(), 'best': np.float64(3), 'ssim': np.float32(0.5), 'n': np.int64(1),
               'history': np.arange(3.0), 'generator': np.random.get_state()}
    assert same(read_weights(saved(tmp_path, content, 'e.tar')), tensors())


def old_names(name):
    """The two names that a tensor of BasicSR's RRDBNet with 2 blocks had in ESRGAN's earlier releases."""
    module, kind = name.rsplit('.', 1)
    ends = {'conv_first': ('model.0', 'conv_first'), 'conv_body': ('model.1.sub.2', 'trunk_conv'),
            'conv_up1': ('model.3', 'upconv1'), 'conv_up2': ('model.6', 'upconv2'), 'conv_hr': ('model.8', 'HRconv'),
            'conv_last': ('model.10', 'conv_last')}
    if module in ends:
        return tuple(f'{end}.{kind}' for end in ends[module])
    _, block, dense, conv = module.split('.')
    return (f'model.1.sub.{block}.{dense.upper()}.{conv}.0.{kind}', f'RRDB_trunk.{block}.{dense.upper()}.{conv}.{kind}')


@pytest.mark.parametrize('release', [0, 1])
def test_older_esrgan_names(tmp_path, release):
    net = build_network({'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 2,
                         'num_grow_ch': 4})
    state = net.state_dict()
    path = saved(tmp_path, {old_names(name)[release]: value for name, value in state.items()})
    assert same(read_weights(path), state)


def test_oldest_esrgan_of_another_scale(tmp_path):
    names = ['model.0.weight', 'model.1.sub.0.RDB1.conv1.0.weight', 'model.3.weight', 'model.5.weight']
    with pytest.raises(UserError, match='scale other than 4'):
        read_weights(saved(tmp_path, tensors(names=names)))


def test_safetensors(tmp_path):
    path = tmp_path / 'file.safetensors'
    save_file(tensors(), path)
    assert {name: value.tolist() for name, value in read_weights(path).items()} == {
        name: value.tolist() for name, value in tensors().items()}
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match='damaged or truncated'):
        read_weights(path)


class Malicious:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize('write', [
    lambda content, path: torch.save({'params': content}, path),
    lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    lambda content, path: path.write_bytes(pickle.dumps(content, protocol=0)),
    lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2)),
    lambda content, path: path.write_bytes(pickle.dumps(content, protocol=5)),
], ids=['zip', 'legacy', 'pickle 0', 'pickle 2', 'pickle 5'])
@pytest.mark.parametrize('read', [read_weights, read_training_state])
def test_code_is_refused_and_not_run(tmp_path, write, read):
    write(Malicious(tmp_path / 'run'), tmp_path / 'file.pth')
    with pytest.raises(UserError, match=f'^{KEY}: .*file.pth was refused: .*could run any code') as error:
        read(tmp_path / 'file.pth', KEY)
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'run').exists()


def test_a_pickled_module_is_refused_by_its_name(tmp_path):
    with pytest.raises(UserError, match=r'refused: .*\(torch.nn.modules.linear.Linear\)'):
        read_weights(saved(tmp_path, torch.nn.Linear(2, 2)))


@pytest.mark.parametrize(('content', 'complaint'), [
    (b'', 'is empty'),
    (b'hello world\n', "no checkpoint of torch .*hello world"),
    (b'<!DOCTYPE html><html>', 'web page'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'git lfs pull'),
    (b'\x89PNG\r\n\x1a\n' + bytes(30), 'no checkpoint of torch'),
    (b'PK\x03\x04' + bytes(30), 'damaged, truncated'),
])
def test_other_files_are_named(tmp_path, content, complaint):
    (tmp_path / 'file.pth').write_bytes(content)
    for read in (read_weights, read_training_state):
        with pytest.raises(UserError, match=f'^{KEY}: .*file.pth.*{complaint}'):
            read(tmp_path / 'file.pth', KEY)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match='^key: .*absent.pth: there is no such file'):
        read_weights(tmp_path / 'absent.pth', 'key')
    with pytest.raises(UserError, match='is a folder'):
        read_weights(tmp_path)


@settings(max_examples=30, deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True), zipped=st.booleans())
def test_any_truncation_is_the_user_s_error(tmp_path_factory, cut, zipped):
    folder = tmp_path_factory.mktemp('cut')
    path = saved(folder, {'params': tensors()}, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[:int(cut * len(content))])
    with pytest.raises(UserError, match='empty|damaged|no checkpoint|refused'):  # half a type's name is refused
        read_weights(path)


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_are_the_user_s_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp('bytes') / 'file.pth'
    path.write_bytes(content)
    with pytest.raises(UserError):
        read_weights(path)


def test_training_states_and_weights_are_told_apart(tmp_path):
    state = saved(tmp_path, TRAINING_STATE, '700.state')
    assert read_training_state(state)['iter'] == 700
    with pytest.raises(UserError, match='key: .*700.state holds a training state of iteration 700.*but.*weights'):
        read_weights(state, 'key')
    net = build_network({'type': 'DeResnet', 'num_feat': 4, 'num_block': 1})
    for content in (net.state_dict(), {'params': net.state_dict()}):
        weights = saved(tmp_path, content, 'net_g_700.pth')
        with pytest.raises(UserError, match='path.resume_state: .*net_g_700.pth holds weights of a DeResnet x4.*state'):
            read_training_state(weights, 'path.resume_state')


@pytest.mark.parametrize(('content', 'words'), [
    ({'params': {}}, 'nothing'),
    ({}, 'nothing'),
    ([1, 2], 'one object of type list'),
    (torch.ones(3), 'one object of type Tensor'),
    ({'epoch': 1, 'lr': 0.1}, 'a dictionary of epoch, lr'),
    ({'model_g_state_dict': {'epoch': 1}}, 'a dictionary of epoch'),
    ({0: torch.ones(3)}, 'a dictionary of 0'),
    ({'model_g_state_dict': 3}, 'one object of type int'),
])
def test_files_without_weights_are_named(tmp_path, content, words):
    with pytest.raises(UserError, match=f'holds {words}, but'):
        read_weights(saved(tmp_path, content))


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.float8_e5m2])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, value, dtype):
    state = tensors() | {'body.weight': torch.tensor([1.0, value]).to(dtype)}
    for content in (state, {'params_ema': state}, {'model_g_state_dict': state}):
        with pytest.raises(UserError, match=f'^{KEY}: .*file.pth holds NaN or infinity in its tensor body.weight'):
            read_weights(saved(tmp_path, content), KEY)
    state['body.weight'] = torch.tensor([1.0, 57344]).to(dtype)
    assert set(read_weights(saved(tmp_path, state), KEY)) == set(state)


@pytest.mark.parametrize('command', ['inference', 'degrade'])
def test_no_pictures_are_made_of_them(tmp_path, command, capsys):
    net = {'inference': {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1,
                         'num_grow_ch': 4}, 'degrade': {'type': 'DeResnet', 'num_feat': 4, 'num_block': 1}}[command]
    state = build_network(dict(net)).state_dict()
    next(iter(state.values()))[:] = float('nan')
    path = saved(tmp_path, {'params': state, 'network': net, 'scale': 4})
    write_photo(tmp_path / 'photos' / 'a.png', photo(0, 16, 16))
    main = importlib.import_module(command).main
    assert main(['-c', str(path), '-i', str(tmp_path / 'photos'), '-o', str(tmp_path / 'out')]) == 2
    assert 'file.pth holds NaN or infinity' in capsys.readouterr().err
    assert not list((tmp_path / 'out').rglob('*.png'))


def test_tensors_come_to_the_cpu_unchanged(tmp_path):
    state = {'a': torch.ones(2, dtype=torch.float16), 'b': torch.tensor(3)}
    read = read_weights(saved(tmp_path, state))
    assert {name: (value.dtype, value.device.type) for name, value in read.items()} == {
        'a': (torch.float16, 'cpu'), 'b': (torch.int64, 'cpu')}


@pytest.mark.parametrize('name', ['best', 'latest', '400'])
def test_an_experiment_and_a_word_name_a_checkpoint(tmp_path, name):
    models = tmp_path / 'g1' / 'models'
    models.mkdir(parents=True)
    with pytest.raises(UserError, match='there is no such file'):
        read_weights(tmp_path / 'g1' / name)
    saved(models, {'params': tensors(0)}).rename(models / f'net_g_{name}.pth')
    assert same(read_weights(f'{tmp_path}/g1/{name}'), tensors(0))
    saved(tmp_path / 'g1', {'params': tensors(1)}).rename(tmp_path / 'g1' / name)
    assert same(read_weights(tmp_path / 'g1' / name), tensors(1))  # a file of that very name is that file
