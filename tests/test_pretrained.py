"""Any pretrained upscaler as a start and as a network to use: ``pretrained: FILE`` and ``-c FILE``."""

import cv2
import numpy as np
import pytest
import torch
from resume_tools import make_world, options, train
from test_spandrel_arch import copied, network, photo, spandrel

import inference
from mssr_compat.errors import UserError
from mssr_inference.export import check_with_spandrel, plain_state, write_weights
from mssr_inference.networks import load_upscaler
from mssr_options.check import check_options
from mssr_options.pretrained import resolve_pretrained
from option_tools import stage_2


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    root = make_world(tmp_path_factory.mktemp('pretrained'))
    torch.save({'params': network('SPAN', 'SPAN').state_dict()}, root / 'span.pth')
    torch.save(network('Compact', 'SRVGGNetCompact').state_dict(), root / 'compact.pth')
    torch.save(network('SwinIR', 'SwinIR').state_dict(), root / 'swinir.pth')
    return root


def weights(experiment):
    return torch.load(experiment / 'models' / 'net_g_latest.pth', weights_only=True)


def test_stage_2_starts_from_two_architectures(monkeypatch, world, tmp_path):
    branches = [{'pretrained': str(world / f'{name}.pth')} for name in ('span', 'compact')]
    opt = options(world, 'stage2', total=3, network_g={'type': 'SREnsemble', 'branches': branches},
                  train__optim_g={'type': 'Adam', 'lr': 0.0}, train__ema_decay=0)
    assert train(monkeypatch, tmp_path, opt) == 0
    saved = weights(tmp_path / 'experiments' / 'run')
    assert [branch['type'] for branch in saved['network']['branches']] == ['SpandrelNet', 'SpandrelNet']
    assert str(world) not in repr(saved['network'])
    assert [start['file'] for start in saved['started_from']][:2] == ['span.pth', 'compact.pth']

    loaded = load_upscaler(tmp_path / 'experiments' / 'run' / 'models' / 'net_g_latest.pth')
    assert loaded.net.branch_names == ['S1_SPAN', 'S2_SRVGGNetCompact']
    for k, (architecture, name) in enumerate((('SPAN', 'SPAN'), ('Compact', 'SRVGGNetCompact'))):
        reference = network(architecture, name)
        with torch.no_grad():  # a rate of 0: nothing has moved
            expected = reference(photo())
            bound = 1e-5 * max(1, expected.abs().max())  # random weights make numbers far beyond 1, clamped then
            assert (loaded.net.upscale(k, photo())[0] - expected.clamp(0, 1)).abs().max() < bound
        branch = loaded.net.branches[k]
        for file in write_weights(tmp_path, f'branch_{k}', plain_state(branch), loaded.options['branches'][k], 4):
            assert f'loads it as {spandrel.MAIN_REGISTRY.load(copied(reference.state_dict())).architecture.name}' in \
                check_with_spandrel(file, branch, 4)


def test_it_learns_and_goes_on(monkeypatch, world, tmp_path):
    """One network of stage 1's draws: it moves, and a resumed run loads what was saved, not the start again."""
    opt = options(world, 'stage2', total=4, network_g={'pretrained': str(world / 'span.pth')},
                  model_type='LearnedDegradationSRModel', logger__save_checkpoint_freq=2)
    opt['train'] = {key: opt['train'][key] for key in ('optim_g', 'total_iter', 'pixel_opt', 'scheduler')}
    assert train(monkeypatch, tmp_path, opt) == 0
    whole = weights(tmp_path / 'experiments' / 'run')['params']
    assert any(not torch.equal(value, start) for value, start in
               zip(whole.values(), load_upscaler(world / 'span.pth').net.branches[0].state_dict().values(),
                   strict=True))
    (tmp_path / 'experiments' / 'run' / 'training_states' / '4.state').unlink()
    assert train(monkeypatch, tmp_path, opt, '--auto_resume') == 0
    again = weights(tmp_path / 'experiments' / 'run')['params']
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize('size', [(24, 20), (5, 3)])
def test_inference_takes_the_file(world, tmp_path, size):
    image = np.random.default_rng(0).integers(60, 190, (2, 2, 3), dtype=np.uint8)
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(str(tmp_path / 'in.png'), image)
    for name in ('compact', 'swinir'):  # SwinIR takes photos from 16 pixels: smaller ones are mirrored up to that
        arguments = ['-c', str(world / f'{name}.pth'), '-i', str(tmp_path / 'in.png'), '-o', str(tmp_path / 'out.png')]
        assert inference.main(arguments) == 0
        assert cv2.imread(str(tmp_path / 'out.png')).shape == (4 * size[1], 4 * size[0], 3)
    model = spandrel.ModelLoader().load_from_file(world / 'compact.pth').eval()
    x = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    assert inference.main(['-c', str(world / 'compact.pth'), *arguments[2:]]) == 0
    expected = (model(x)[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()[..., ::-1]
    found = cv2.imread(str(tmp_path / 'out.png'))
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(('change', 'words'), [
    ({'pretrained': 'nowhere.pth'}, 'there is no such file'),
    ({'pretrained': 'span.pth', 'num_feat': 3}, 'stands alone.*remove num_feat'),
    ({'pretrained': None}, 'must be a file'),
    ({'pretrained': 'g0.pth', 'scale': 2}, 'remove scale'),
])
def test_what_cannot_be_a_start_is_said(monkeypatch, world, change, words):
    monkeypatch.chdir(world)
    opt = stage_2()
    opt['network_g']['branches'][1] = change
    with pytest.raises(UserError, match=rf'^network_g\.branches\[1\]\.pretrained.*{words}'):
        resolve_pretrained(opt)


def test_another_scale_and_too_small_crops_are_said(monkeypatch, world):
    monkeypatch.chdir(world)
    opt = stage_2()
    opt['network_g']['branches'] = [{'pretrained': 'span.pth'}]
    opt['scale'] = 2
    with pytest.raises(UserError, match='enlarges by 4, but scale is 2: set scale to 4'):
        resolve_pretrained(opt)
    opt = stage_2()
    opt['network_g']['branches'] = [{'pretrained': 'swinir.pth'}]
    opt['datasets']['train']['gt_size'] = 32
    with pytest.raises(UserError, match='needs photos of 16 pixels.*set datasets.train.gt_size to 64'):
        resolve_pretrained(opt)


def test_the_options_name_the_network(monkeypatch, world):
    monkeypatch.chdir(world)
    opt = stage_2()
    opt['network_g']['branches'] = [{'pretrained': 'span.pth'}, {'pretrained': 'compact.pth'}]
    resolve_pretrained(opt)
    first, second = opt['network_g']['branches']
    assert (first['architecture'], first['checkpoint'], second['network']) == ('SPAN', 'span.pth', 'SRVGGNetCompact')
    check_options(opt)
