"""Each photo by the branch of its group: the branches themselves are what to compare with."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_diagnose import degraded
from test_photo_groups import camera

import ready_python
from data_tools import write_photo
from inference_tools import picture, sr_checkpoint
from mssr_command import upscale
from mssr_compat.errors import UserError
from mssr_diagnose.groups import group_photos
from mssr_inference.grouped_upscaler import GroupedUpscaler
from mssr_inference.networks import load_upscaler
from mssr_inference.picture_files import read_picture
from mssr_inference.upscaler import Tiling, Upscaler

ROOT = Path(__file__).resolve().parent.parent
GROUP = {'noisy.png': 1, 'gray.png': 1, 'sub/alpha.png': 1, 'clean.png': 2, 'deep.png': 2, 'small.png': None,
         'ramp.png': None}  # ramp: neither blur nor noise can be told


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """An ensemble of two, the groups of a noisy and of a clean camera, and photos of both: GROUP."""
    root = tmp_path_factory.mktemp('world')
    sr_checkpoint(root)
    group_photos(camera(0, 20, 1.0, 20) + camera(1, 10, 1.5, 1))[0].save(root / 'groups.json')
    group_photos(camera(1, 10, 1.5, 1))[0].save(root / 'one.json')
    noisy, clean = degraded(1, 1.0, noise=20)[:80, :96], degraded(2, 1.5, noise=1)[:96, :96]
    alpha = np.linspace(0, 255, 96).round().astype(np.uint8)
    photos = {'noisy.png': noisy, 'gray.png': noisy[..., 0], 'clean.png': clean, 'small.png': picture(63, 80),
              'deep.png': clean.astype(np.uint16)[..., 0] * 257, 'sub/alpha.png': np.dstack([noisy, [alpha] * 80]),
              'ramp.png': np.arange(64, dtype=np.uint8)[:, None, None].repeat(64, 1).repeat(3, 2) * 2}
    for name, pixels in photos.items():
        (root / 'photos' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / 'photos' / name), pixels)
    return root


def run(world, out, *arguments):
    return upscale.main(['-c', str(world / 'net_g.pth'), '-i', str(world / 'photos'), '-o', str(out), '--device', 'cpu',
                         *map(str, arguments)])


def results(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*.png')}


@pytest.fixture(scope='module')
def branches(world):
    """Results of each branch alone, and of both (None), in tiles."""
    found = {}
    for branch in (1, 2, None):
        out = world / f'branch_{branch}'
        assert run(world, out, '--tile', 40, *(('--branch', branch) if branch else ())) == 0
        found[branch] = results(out)
    return found


def test_each_photo_is_restored_by_its_branch_alone(world, branches, tmp_path, capsys):
    assert run(world, tmp_path, '--groups', world / 'groups.json', '--tile', 40) == 0
    found = results(tmp_path)
    assert found.keys() == GROUP.keys()
    for name, group in GROUP.items():
        assert found[name] == branches[group][name], name
        assert sum(found[name] == branch[name] for branch in branches.values()) == 1, name
    said = capsys.readouterr().out
    assert said.count('could not be measured') == 1 and '2 of 7 photos' in said
    assert read_picture(tmp_path / 'deep.png').pixels.dtype == np.uint16


def test_processes_share_the_photos_and_count_together(world, branches, tmp_path):
    line = [*ready_python.TORCHRUN, '--standalone', '--nproc_per_node=2', '-m', 'mssr_command', 'upscale', '-c',
            world / 'net_g.pth', '--groups', world / 'groups.json', '-i', world / 'photos', '-o', tmp_path, '--tile',
            '40', '--device', 'cpu']
    done = ready_python.run([*map(str, line)], env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
                            capture_output=True, text=True, timeout=120)
    assert results(tmp_path) == {name: branches[group][name] for name, group in GROUP.items()}
    assert done.stdout.count('2 of 7 photos could not be measured') == 1


def test_mistakes_are_one_sentence(world, tmp_path, capsys):
    (tmp_path / 'broken.json').write_text('{}')
    for arguments, words in (
            (['--groups', world / 'one.json'], 'has 2 branches, but there are 1 group of photos'),
            (['--groups', world / 'groups.json', '--branch', 1], 'give one of them'),
            (['--groups', tmp_path / 'none.json'], 'cannot be read'),
            (['--groups', tmp_path / 'broken.json'], 'is no groups.json')):
        assert run(world, tmp_path / 'out', *arguments) == 2
        message = capsys.readouterr().err
        assert words in message and len(message.strip().splitlines()) == 1
    assert not (tmp_path / 'out').exists()


def test_any_function_may_choose(world, tmp_path):
    mean = Upscaler(load_upscaler(world / 'net_g.pth'), torch.device('cpu'), self_ensemble=True)
    seen = []

    def darker(pixels):
        seen.append((pixels.shape, pixels.dtype))
        return int(pixels.mean() > 128)

    grouped = GroupedUpscaler(mean, 2, darker)
    photos = [np.full((9, 7), 40, np.uint16), np.full((8, 8, 3), 200, np.uint8)]
    for k, pixels in enumerate(photos):
        write_photo(tmp_path / 'p.png', pixels)
        one = Upscaler(load_upscaler(world / 'net_g.pth', branch=k + 1), torch.device('cpu'), self_ensemble=True)
        photo = read_picture(tmp_path / 'p.png')
        assert np.array_equal(grouped.upscaled(photo, Tiling(0)), one.upscaled(photo, Tiling(0)))
        assert grouped.branches[k].loaded.options == one.loaded.options
    assert seen == [((9, 7, 3), np.uint8), ((8, 8, 3), np.uint8)] and grouped.num_unknown == 0
    weights = {weight.data_ptr() for weight in mean.loaded.net.parameters()}
    assert {weight.data_ptr() for weight in grouped.branches[1].loaded.net.parameters()} < weights  # shared
    with pytest.raises(UserError, match='3 groups'):
        GroupedUpscaler(mean, 3, darker)
