"""What data are prepared from: archives, published data sets, validation pairs, and what is said about bad input."""

import errno
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import ready_python
from data_tools import photo, write_folder, write_photo
from mssr_prepare.finding import pattern
from mssr_prepare.presets import PRESETS, ROLES
from prepare_tools import SCRIPTS, files, main, pack, run, small_photos


@pytest.fixture
def photos(tmp_path):
    return small_photos(tmp_path)


@pytest.mark.parametrize('suffix', ['.zip', '.tar', '.tar.gz'])
def test_archives_count_as_folders(photos, suffix, monkeypatch):
    assert run(photos) == 0
    whole = files(photos / 'out' / 'train-clean-images')
    (photos / 'out').rename(photos / 'reference')
    pack(photos / 'clean', photos / f'clean{suffix}')
    assert run(photos, '--gt', photos / f'clean{suffix}', '--lq', photos / 'real', roles=False) == 0
    assert files(photos / 'out' / 'train-clean-images') == whole


AIM = {'train-clean-images': (3, 64, 80), 'train-noisy-images': (2, 16, 20), 'valid-gt-clean': (2, 64, 64),
       'valid-input-noisy': (2, 16, 16)}


def aim2019(root, archives=False):
    for first, (name, (count, height, width)) in enumerate(AIM.items()):
        for number in range(count):
            write_photo(root / name / f'{number:04d}.png', photo(first * 10 + number, height, width))
        if archives:
            pack(root / name, root / f'{name}.zip')
    return root


@pytest.mark.parametrize('archives', [False, True])
def test_the_layout_of_aim2019_is_found(tmp_path, capsys, archives):
    """Also where the archives still lie beside the unpacked folders: each photo counts once."""
    aim2019(tmp_path / 'downloads', archives)
    assert run(tmp_path, '--preset', 'aim2019', '--root', tmp_path / 'downloads', roles=False) == 0
    for name, (count, _, _) in AIM.items():
        assert len(list((tmp_path / 'out' / name).iterdir())) == count * (2 if name == 'train-clean-images' else 1)
    said = capsys.readouterr().out
    assert '  val:' in said


def test_a_preset_may_be_completed_by_folders_of_ones_own(tmp_path):
    for name in ('DIV2K_train_HR/0001.png', 'Flickr2K/Flickr2K_HR/000001.png'):
        write_photo(tmp_path / 'df2k' / name, photo(1, 64, 64))
    write_folder(tmp_path / 'real', 2, 16, 16)
    assert run(tmp_path, '--preset', 'df2k', '--root', tmp_path / 'df2k', '--lq', tmp_path / 'real', roles=False) == 0
    assert all(len(files(tmp_path / 'out' / folder)) == 2 for folder in ('train-clean-images', 'train-noisy-images'))


def test_realsr_and_drealsr_pairs_get_one_name(tmp_path):
    for part in ('Train', 'Test'):
        for camera in ('Canon', 'Nikon'):
            base = tmp_path / 'r' / 'RealSR(V3)' / camera / part
            for scale in (2, 4):
                write_photo(base / str(scale) / f'{camera}_001_HR.png', photo(1, 64, 64))
                write_photo(base / str(scale) / f'{camera}_001_LR{scale}.png', photo(1, 64 // scale, 64 // scale))
        base = tmp_path / 'd' / 'x4' / f'{part}_x4'
        write_photo(base / f'{part.lower()}_HR' / 'DSC_1_x1.png', photo(1, 64, 64))
        write_photo(base / f'{part.lower()}_LR' / 'DSC_1_x4.png', photo(1, 16, 16))
    for preset, root, names in (('realsr', 'r', ['Canon_001.png', 'Nikon_001.png']), ('drealsr', 'd', ['DSC_1.png'])):
        assert main(['--preset', preset, '--root', str(tmp_path / root), '--out', str(tmp_path / preset)]) == 0
        for folder in ROLES.values():
            assert sorted(files(tmp_path / preset / folder)) == names


LAYOUTS = {
    'aim2019': {'gt': 'train-clean-images/0001.png', 'lq': 'zip/train-noisy-images/0001.png',
                'valid_gt': 'valid-gt-clean/0801.png', 'valid_lq': 'valid-input-noisy/0801.png'},
    'ntire2020-track1': {'gt': 'Corrupted-tr-y/0001.png', 'lq': 'Corrupted-tr-x/Flickr2K_000058.png',
                         'valid_gt': 'track1-valid-gt/0801.png', 'valid_lq': 'Corrupted-va-x/0801.png'},
    'ntire2020-track2': {'gt': 'DPEDiphone-tr-y/0001.png', 'lq': 'DPEDiphone-tr-x/1.png',
                         'valid_lq': 'DPEDiphone-va/1.png'},
    'realsr': {'gt': 'RealSR(V3)/Canon/Train/4/Canon_001_HR.png', 'lq': 'RealSR(V3)/Nikon/Train/4/Nikon_001_LR4.png',
               'valid_gt': 'Canon/Test/4/Canon_001_HR.png', 'valid_lq': 'canon/test/4/Canon_001_LR4.png'},
    'drealsr': {'gt': 'x4/Train_x4/train_HR/P1_x1.png', 'lq': 'x4/Train_x4/train_LR/P1_x4.png',
                'valid_gt': 'Test_x4/test_HR/DSC_1412_x1.png', 'valid_lq': 'Test_x4/test_LR/DSC_1412_x4.png'},
    'dped': {'gt': 'dped/original_images/train/canon/0.jpg', 'lq': 'dped/original_images/train/iphone/0.jpg'},
    'div2k': {'gt': 'DIV2K_train_HR/DIV2K_train_HR/0001.png', 'valid_gt': 'DIV2K_valid_HR/0801.png',
              'valid_lq': 'DIV2K_valid_LR_bicubic_X4/DIV2K_valid_LR_bicubic/X4/0801x4.png'},
    'df2k': {'gt': 'Flickr2K/Flickr2K_HR/000001.png', 'valid_gt': 'DIV2K_valid_HR/0801.png',
             'valid_lq': 'DIV2K_valid_LR_bicubic/X4/0801x4.png'},
}


@pytest.mark.parametrize('preset', PRESETS)
def test_presets_find_each_role_and_no_other(preset):
    assert LAYOUTS[preset].keys() == PRESETS[preset].keys()
    for role, place in PRESETS[preset].items():
        assert {other for other, path in LAYOUTS[preset].items() if pattern(place, 4).match(path)} == {role}


def test_a_preset_whose_photos_are_not_there_says_what_it_looked_for(tmp_path, capsys):
    write_folder(tmp_path / 'downloads' / 'something', 1, 20, 20)
    assert run(tmp_path, '--preset', 'aim2019', '--root', tmp_path / 'downloads', roles=False) == 2
    said = capsys.readouterr().err
    assert "'train-clean-images'" in said and 'something' in said


def test_pairs_that_do_not_fit_are_left_out_by_name(tmp_path, capsys):
    root = aim2019(tmp_path / 'data')
    write_photo(root / 'valid-gt-clean' / 'alone.png', photo(5, 64, 64))
    write_photo(root / 'valid-gt-clean' / 'wrong.png', photo(5, 64, 64))
    write_photo(root / 'valid-input-noisy' / 'wrong.png', photo(5, 17, 16))
    write_photo(root / 'valid-gt-clean' / 'odd.png', photo(5, 67, 65))  # as BasicSR, which crops it
    write_photo(root / 'valid-input-noisy' / 'odd.png', photo(5, 16, 16))
    for _ in range(2):
        assert run(tmp_path, '--preset', 'aim2019', '--root', root, roles=False) == 0
        for folder in ('valid-gt-clean', 'valid-input-noisy'):
            assert sorted(files(tmp_path / 'out' / folder)) == ['0000.png', '0001.png', 'odd.png']
        said = capsys.readouterr().out
        assert "alone.png' has no LR partner" in said
        assert "wrong.png' (64x64 px) is not 4 times the size" in said
    assert run(tmp_path, '--preset', 'aim2019', '--root', root, '--strict', roles=False) == 2


def test_unreadable_photos_are_named_and_counted(photos, capsys):
    (photos / 'real' / 'zero.png').write_bytes(b'')
    (photos / 'real' / 'text.jpg').write_text('hello')
    data = (photos / 'clean' / 'p000.png').read_bytes()
    (photos / 'real' / 'cut.png').write_bytes(data[:len(data) // 2])
    assert run(photos) == 0
    said = capsys.readouterr().out
    assert '3 of the 5 photos of train-noisy-images are left out' in said
    assert all(name in said for name in ("zero.png' is empty", "text.jpg' cannot be decoded", "cut.png' cannot be"))
    assert sorted(files(photos / 'out' / 'train-noisy-images')) == ['p000.png', 'p001.png']
    assert run(photos, '--strict') == 2
    assert '--strict' in capsys.readouterr().err


def test_files_of_another_origin_in_the_output_are_pointed_out(photos, capsys):
    assert run(photos) == 0
    (photos / 'out' / 'train-noisy-images' / 'mine.png').write_bytes(b'x')
    assert run(photos) == 0
    assert "such as 'mine.png'" in capsys.readouterr().out
    assert (photos / 'out' / 'train-noisy-images' / 'mine.png').exists()


def bad_cases(root):
    """Arguments that must fail, and what the message must hold."""
    clean, real, out = root / 'clean', root / 'real', root / 'out'
    write_folder(root / 'nest' / 'inner', 1, 20, 20)
    (root / 'empty').mkdir()
    (root / 'texts').mkdir()
    (root / 'texts' / 'a.txt').write_text('x')
    (root / 'rotten').mkdir()
    (root / 'rotten' / 'a.png').write_bytes(b'x')
    pack(clean, root / 'a.zip')
    (root / 'cut.zip').write_bytes((root / 'a.zip').read_bytes()[:300])
    pack(clean, root / 'b.tar')
    (root / 'cut.tar').write_bytes((root / 'b.tar').read_bytes()[:2000])
    pack(clean, root / 'c.tar.gz')
    (root / 'cut.tar.gz').write_bytes((root / 'c.tar.gz').read_bytes()[:700])
    with zipfile.ZipFile(root / 'none.zip', 'w') as file:
        file.writestr('readme.txt', 'x')
    both = ['--gt', clean, '--lq', real]
    return {
        'nothing': (['--out', out], 'nothing to prepare'),
        'missing': (['--gt', root / 'nowhere', '--lq', real, '--out', out], 'nowhere'),
        'missing lq': (['--gt', clean, '--lq', root / 'nowhere', '--out', out], '--lq'),
        'empty': (['--gt', root / 'empty', '--lq', real, '--out', out], "empty' is empty"),
        'texts': (['--gt', clean, '--lq', root / 'texts', '--out', out], 'a.txt'),
        'a file': (['--gt', clean / 'p000.png', '--lq', real, '--out', out], 'neither a folder nor an archive'),
        'rotten': (['--gt', clean, '--lq', root / 'rotten', '--out', out], 'rotten/a.png'),
        'cut zip': (['--gt', root / 'cut.zip', '--lq', real, '--out', out], 'cut.zip'),
        'cut tar': (['--gt', root / 'cut.tar', '--lq', real, '--out', out], 'cut.tar'),
        'cut tar.gz': (['--gt', root / 'cut.tar.gz', '--lq', real, '--out', out], 'cut.tar.gz'),
        'no image': (['--gt', root / 'none.zip', '--lq', real, '--out', out], 'none.zip'),
        'no root': (['--preset', 'aim2019', '--out', out], '--root'),
        'no preset': ([*both, '--root', root, '--out', out], '--preset'),
        'same': (['--gt', clean, '--lq', clean, '--out', out], 'each photo has one role'),
        'one in the other': (['--gt', root / 'nest', '--lq', root / 'nest' / 'inner', '--out', out], 'one role'),
        'in place': ([*both, '--out', clean], 'lies among the photos'),
        'out is a file': ([*both, '--out', clean / 'p000.png'], 'p000.png'),
        'swapped': (['--gt', real, '--lq', clean, '--out', out, '--strict'], 'swapped'),
    }


@pytest.mark.parametrize('case', ['nothing', 'missing', 'missing lq', 'empty', 'texts', 'a file', 'rotten', 'cut zip',
                                  'cut tar', 'cut tar.gz', 'no image', 'no root', 'no preset', 'same',
                                  'one in the other', 'in place', 'out is a file', 'swapped'])
def test_bad_input_is_named_in_one_sentence(photos, capsys, case):
    arguments, culprit = bad_cases(photos)[case]
    assert main(list(map(str, arguments))) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: ') and said.count('\n') == 1 and said.endswith('.\n')
    assert culprit in said


@pytest.mark.parametrize('crop', ['480', '0,1,0', '480,500,0', '480,240,-1', 'a,b,c'])
def test_impossible_crops_are_refused(photos, capsys, crop):
    with pytest.raises(SystemExit) as stop:
        run(photos, gt_crop=crop)
    assert stop.value.code == 2 and crop in capsys.readouterr().err


def test_a_damaged_photo_in_an_archive_is_named(photos, capsys):
    pack(photos / 'clean', photos / 'a.zip')
    data = bytearray((photos / 'a.zip').read_bytes())
    data[200] ^= 255
    (photos / 'a.zip').write_bytes(data)
    assert run(photos, '--gt', photos / 'a.zip', '--lq', photos / 'real', roles=False) == 0
    assert '1 of the 3 photos of train-clean-images are left out' in capsys.readouterr().out


def test_a_read_only_output_is_named(photos, capsys, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, 'mkdir', refuse)
    assert run(photos) == 2
    said = capsys.readouterr().err
    assert 'Read-only file system' in said and str(photos / 'out') in said


def test_runs_as_a_command_from_any_folder(photos):
    command = [sys.executable, SCRIPTS / 'prepare_data.py', '--gt', 'clean', '--lq', 'real', '--out', 'o']
    done = ready_python.run(command, cwd=photos, capture_output=True, text=True)
    assert done.returncode == 0 and 'dataroot_gt: o/train-clean-images' in done.stdout
    assert json.loads((photos / 'o' / '.prepare' / 'train-clean-images.jsonl').read_text().splitlines()[0]) == {
        'crop': [480, 240, 0]}


def test_archives_may_hold_hostile_paths(tmp_path):
    """Nothing is unpacked, so a member's path can only become a name."""
    buffer = io.BytesIO()
    Image.fromarray(photo(0, 64, 64)).save(buffer, 'PNG')
    with zipfile.ZipFile(tmp_path / 'evil.zip', 'w') as file:
        file.writestr('../../evil.png', buffer.getvalue())
        file.writestr('/tmp/evil2.png', buffer.getvalue())
    write_folder(tmp_path / 'real', 1, 16, 16)
    assert run(tmp_path, '--gt', tmp_path / 'evil.zip', '--lq', tmp_path / 'real', roles=False) in (0, 2)
    assert not (tmp_path.parent / 'evil.png').exists() and not Path('/tmp/evil2.png').exists()
