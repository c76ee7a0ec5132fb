"""The world of several cameras that benchmarks measure on."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.evidence import mixed
from benchmarks.evidence.known_degradation import KnownDegradation
from benchmarks.evidence.world import HR_TRAIN, HR_VALID, LR_TRAIN, LR_VALID, read_rgb
from data_tools import write_photo
from inference_tools import picture
from mssr_compat.errors import UserError


def small_world(root, first):
    """Six clean photos, the same in each world, and LR photos and pairs of its own."""
    for k in range(6):
        write_photo(root / HR_TRAIN / f'clean{k}.png', picture(48 + k, 64, seed=k))
    for k in range(first, first + 3):
        write_photo(root / LR_TRAIN / f'sub/photo{k}.jpg', picture(20, 24, seed=k))
        write_photo(root / HR_VALID / f'pair{k}.png', picture(32, 40, seed=k))
        write_photo(root / LR_VALID / f'pair{k}.png', picture(8, 10, seed=k))
    return root


@pytest.fixture(scope='module')
def worlds(tmp_path_factory):
    root = tmp_path_factory.mktemp('worlds')
    camera, synthetic = small_world(root / 'camera', 10), small_world(root / 'synthetic', 20)
    for folder, side in zip(mixed.OTHER_CAMERAS, (32, 8), strict=True):
        write_photo(camera / folder / 'realsr_1.png', picture(side, side))
    return camera, synthetic


def make(worlds, root, **changes):
    return mixed.make_mixed_world(*worlds, root, **{'valid': 2, 'train': 3, **changes})


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()}


def names(world, role):
    return sorted(path.stem for path in (world.root / role).iterdir())


def test_each_photo_has_one_source_and_no_scene_two_roles(worlds, tmp_path):
    world = make(worlds, tmp_path / 'mixed')
    assert world.counts == {HR_TRAIN: 1, LR_TRAIN: 3 + 3 + 2 * 3, HR_VALID: 3 + 3 + 2 * 2, LR_VALID: 3 + 3 + 2 * 2}
    assert 'synthetic_sub_photo20' in names(world, LR_TRAIN)
    seen = {role: {name.partition('_')[2] for name in names(world, role) if mixed.source_of(name) in mixed.KNOWN}
            for role in (LR_TRAIN, LR_VALID)}
    clean = set(names(world, HR_TRAIN))
    assert not seen[LR_TRAIN] & seen[LR_VALID] and not clean & (seen[LR_TRAIN] | seen[LR_VALID])
    assert clean | seen[LR_TRAIN] | seen[LR_VALID] == {f'clean{k}' for k in range(6)}
    sources = json.loads((world.root / 'sources.json').read_text())
    for name, source in sources.items():
        assert sum(mixed.source_of(found) == name for found in names(world, LR_TRAIN)) == source['train']
    assert list(sources) == ['camera', 'synthetic', 'soft', 'noisy', 'realsr'] and sources['realsr']['valid'] == 1
    assert names(world, mixed.OTHER_CAMERAS[1]) == ['realsr_1']


def test_known_sources_differ_as_they_say(worlds, tmp_path):
    world = make(worlds, tmp_path / 'mixed')
    soft, noisy = ({name.partition('_')[2]: read_rgb(world.root / LR_VALID / f'{name}.png').astype(float)
                    for name in names(world, LR_VALID) if mixed.source_of(name) == source}
                   for source in ('soft', 'noisy'))
    assert soft.keys() == noisy.keys()
    for key, photo in soft.items():
        assert np.abs(np.diff(noisy[key], axis=0)).mean() > 1.5 * np.abs(np.diff(photo, axis=0)).mean()
    checkpoint = torch.load(world.root / 'known_noisy.pth', weights_only=True)
    camera = KnownDegradation(scale=checkpoint['scale'])
    camera.load_state_dict(checkpoint['params'])
    assert camera.jpeg_quality.tolist() == list(mixed.KNOWN['noisy']['jpeg_quality'])


def test_it_is_the_same_each_time_and_after_an_end(worlds, tmp_path, monkeypatch):
    first = files(make(worlds, tmp_path / 'one').root)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(KnownDegradation, 'shoot', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        make(worlds, tmp_path / 'two')
    assert files(make(worlds, tmp_path / 'two').root) == first
    made = (tmp_path / 'two' / 'sources.json').stat().st_mtime_ns
    make(worlds, tmp_path / 'two')
    assert (tmp_path / 'two' / 'sources.json').stat().st_mtime_ns == made
    with pytest.raises(UserError, match='give another folder'):
        make(worlds, tmp_path / 'two', seed=1)


def test_what_cannot_be_divided_is_a_sentence(worlds, tmp_path, capsys):
    with pytest.raises(UserError, match='6 clean photos are too few'):
        make(worlds, tmp_path / 'mixed', train=4)
    other = shutil.copytree(worlds[1], tmp_path / 'other')
    write_photo(other / HR_TRAIN / 'clean0.png', picture(48, 64, seed=99))
    with pytest.raises(UserError, match='one name, but are two photos'):
        make((worlds[0], other), tmp_path / 'mixed')
    assert mixed.main([str(tmp_path / 'none'), str(other), '--out', str(tmp_path / 'mixed')]) == 2
    assert 'there is no folder' in capsys.readouterr().err
    with pytest.raises(UserError, match='its keys are blur'):
        KnownDegradation(settings={'blurr': (1, 2)})
