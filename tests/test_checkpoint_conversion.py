import sys
from pathlib import Path

import pytest
import torch

import ready_python
from mssr_command.convert import main

SCRIPT = Path(__file__).resolve().parent.parent / 'scripts' / 'convert_checkpoint.py'


@pytest.fixture
def stage1(tmp_path):
    path = tmp_path / 'epoch_500.tar'
    torch.save({'epoch': 500, 'model_g_state_dict': {'model.csa.conv.weight': torch.ones(1, 1, 3, 3, 3)},
                'models_d_state_dict': [{'net.net.0.weight': torch.zeros(64, 9, 5, 5)}]}, path)
    return path


def convert(*arguments):
    return main([str(argument) for argument in arguments])


def test_generator_and_discriminator(stage1, tmp_path, capsys):
    assert convert(stage1, tmp_path / 'new' / 'g.pth') == 0
    assert 'a HAN generator' in capsys.readouterr().out
    content = torch.load(tmp_path / 'new' / 'g.pth', weights_only=True)
    assert list(content) == ['params'] and list(content['params']) == ['csa.conv.weight']
    assert convert(stage1, tmp_path / 'd.pth', '--part', 'discriminator') == 0
    assert list(torch.load(tmp_path / 'd.pth', weights_only=True)['params']) == ['net.net.0.weight']
    assert not list(tmp_path.rglob('*.part'))


def test_one_branch_of_averaged_weights(tmp_path):
    both = {f'params{end}': {f'branches.{k}.conv.weight': torch.full((2,), k + shift) for k in (0, 1)}
            for end, shift in (('', 0.0), ('_ema', 0.5))}
    torch.save(both, tmp_path / 'net_g.pth')
    assert convert(tmp_path / 'net_g.pth', tmp_path / 'b.pth', '--branch', 1, '--param-key', 'params_ema') == 0
    params = torch.load(tmp_path / 'b.pth', weights_only=True)['params']
    assert params['conv.weight'].tolist() == [1.5, 1.5] and len(params) == 1


def test_refusals_are_one_line_and_status_2(stage1, tmp_path, capsys):
    assert convert(stage1, stage1) == 2
    assert 'exists' in capsys.readouterr().err
    assert convert(stage1, tmp_path / 'b.pth', '--branch', 0) == 2
    assert 'HAN generator' in capsys.readouterr().err
    assert convert(tmp_path / 'absent.tar', tmp_path / 'b.pth') == 2
    assert capsys.readouterr().err.count('\n') == 1
    assert convert(stage1, stage1 / 'below_a_file.pth') == 2
    assert 'could not be written' in capsys.readouterr().err
    assert not (tmp_path / 'b.pth').exists()


def test_in_place_with_force(stage1):
    assert convert(stage1, stage1, '--force') == 0
    assert list(torch.load(stage1, weights_only=True)) == ['params']


def test_as_a_command_from_another_folder(stage1, tmp_path):
    done = ready_python.run([sys.executable, SCRIPT, stage1.name, 'g.pth'], cwd=tmp_path, capture_output=True,
                            text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('g.pth: a HAN generator')
