"""Preparing data again: after an interruption, a full disk, a loss or a change; nothing is done twice or lost."""

import errno
import os
from pathlib import Path

import lmdb
import pytest

from data_tools import photo, write_photo
from mssr_data import lmdb_store
from mssr_prepare import images
from prepare_tools import contents, files, run, small_photos


@pytest.fixture
def photos(tmp_path):
    return small_photos(tmp_path)


def test_a_second_run_writes_nothing(photos, capsys):
    for form in ('folder', 'lmdb'):
        assert run(photos, '--format', form) == 0
    before = {path: path.stat().st_mtime_ns for path in (photos / 'out').rglob('*') if path.suffix in ('.png', '.mdb')}
    capsys.readouterr()
    for form in ('folder', 'lmdb'):
        assert run(photos, '--format', form) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    said = capsys.readouterr().out
    assert said.count('photos prepared now: 0, before: 3') == said.count('photos prepared now: 0, before: 2') == 2


@pytest.mark.parametrize('form', ['folder', 'lmdb'])
def test_a_full_disk_loses_nothing(photos, capsys, monkeypatch, form):
    assert run(photos, '--format', form) == 0
    whole = {name: data for name, data in files(photos / 'out').items() if name.endswith('.png')}
    (photos / 'out').rename(photos / 'reference')
    write, room = Path.write_bytes, [2 + 9]  # two journals, and one photo

    def full(path, data):
        room[0] -= 1
        if room[0] < 0:
            write(path, data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, data)

    monkeypatch.setattr(Path, 'write_bytes', full)
    assert run(photos, '--format', form, '--workers', 1) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: '") and 'No space left on device' in said and said.count('\n') == 1
    assert '1 of 3 photos of train-clean-images are prepared and kept' in said
    monkeypatch.undo()
    capsys.readouterr()
    assert run(photos, '--format', form) == 0
    assert 'photos prepared now: 2, before: 1' in capsys.readouterr().out
    if form == 'folder':
        assert {name: data for name, data in files(photos / 'out').items() if name.endswith('.png')} == whole
    else:
        assert contents(photos / 'out') == contents(photos / 'reference')


def test_a_full_disk_while_the_lmdb_is_written_keeps_the_sub_images(photos, capsys, monkeypatch):
    def full(*_):
        raise lmdb.DiskError('No space left on device')

    monkeypatch.setattr(lmdb_store.LmdbMaker, 'put', full)
    assert run(photos, '--format', 'lmdb', '--workers', 1) == 2
    assert 'No space left on device' in capsys.readouterr().err
    monkeypatch.undo()
    assert run(photos, '--format', 'lmdb') == 0
    assert 'photos prepared now: 0, before: 3' in capsys.readouterr().out


@pytest.mark.parametrize('form', ['folder', 'lmdb'])
def test_added_changed_and_removed_photos_are_followed(photos, form):
    assert run(photos, '--format', form) == 0
    (photos / 'clean' / 'p000.png').unlink()
    write_photo(photos / 'clean' / 'p001.png', photo(77, 70, 64))
    write_photo(photos / 'clean' / 'p009.png', photo(78, 64, 64))
    assert run(photos, '--format', form) == 0
    (photos / 'out').rename(photos / 'followed')
    assert run(photos, '--format', form) == 0
    if form == 'lmdb':
        assert contents(photos / 'followed') == contents(photos / 'out')
    else:
        assert (files(photos / 'followed' / 'train-clean-images') == files(photos / 'out' / 'train-clean-images'))
        assert files(photos / 'followed' / 'meta_info') == files(photos / 'out' / 'meta_info')


@pytest.mark.parametrize('damage', ['missing', 'cut'])
def test_lost_and_cut_outputs_are_made_again(photos, damage):
    assert run(photos) == 0
    whole = files(photos / 'out' / 'train-clean-images')
    victim = photos / 'out' / 'train-clean-images' / 'p001_s002.png'
    victim.unlink() if damage == 'missing' else os.truncate(victim, 50)
    with open(photos / 'out' / '.prepare' / 'train-clean-images.jsonl', 'a') as journal:
        journal.write('{"photo": "p0')  # a line that an interruption cut short
    assert run(photos) == 0
    assert files(photos / 'out' / 'train-clean-images') == whole


def test_a_damaged_lmdb_is_made_again(photos):
    assert run(photos, '--format', 'lmdb') == 0
    whole = contents(photos / 'out')
    os.truncate(photos / 'out' / 'train-clean-images.lmdb' / 'data.mdb', 20000)
    assert run(photos, '--format', 'lmdb') == 0
    assert contents(photos / 'out') == whole


def test_other_settings_are_not_mixed_in(photos, capsys):
    assert run(photos) == 0
    assert run(photos, gt_crop='32,32,0') == 2
    said = capsys.readouterr().err
    assert '64,32,8' in said and '32,32,0' in said and 'another --out' in said


def test_an_interrupted_run_goes_on(photos, capsys, monkeypatch):
    original = images.decode_image
    monkeypatch.setattr('mssr_prepare.role.wait', lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with monkeypatch.context() as patch:
        patch.setattr(images, 'decode_image', original)
        assert run(photos) == 130
    monkeypatch.undo()
    assert 'run the same command again' in capsys.readouterr().err
    assert run(photos) == 0


