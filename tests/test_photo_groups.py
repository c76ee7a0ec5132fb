"""Groups of photos that are degraded alike: found, listed, told apart again."""

import json
from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.models import build_model
from step_tools import batch, step, write_generators
from test_diagnose import degraded

import mssr_model
from data_tools import options as data_options
from data_tools import write_photo
from model_options import stage2_options
from mssr_command import diagnose
from mssr_compat.errors import UserError
from mssr_data.image_source import ImageSource
from mssr_data.jpeg_traces import JpegTrace
from mssr_diagnose.blur import Blur, Sharpness
from mssr_diagnose.groups import PhotoGroups, group_photos
from mssr_diagnose.noise import Noise
from mssr_diagnose.photo import Measured
from mssr_options.check import check_options
from mssr_options.reader import read_options
from mssr_train.data_sets import check_data, describe_groups
from option_tools import stage_2 as options_of_stage_2

assert mssr_model  # registers


def photo(blur=1.0, noise=5.0, quality=None, floor=0.5):
    return Measured('', (96, 96), blur and Blur(blur, blur, blur, 0.0), Noise(noise, None, None, None, None, floor),
                    quality and JpegTrace(quality, 0, 0), None, None, 0.0, 0.0, (0.0, 0.0))


def camera(seed, count, blur, noise, quality=None):
    """Photos with settings that are drawn around a camera's."""
    random = np.random.default_rng(seed)
    return [photo(abs(random.normal(blur, 0.1)), noise * 2**random.normal(0, 0.2),
                  quality and int(np.clip(random.normal(quality, 3), 1, 100))) for _ in range(count)]


@pytest.mark.parametrize('seed', range(3))
def test_as_many_groups_as_cameras(seed):
    cameras = [camera(seed, 12, 0.6, 2), camera(seed + 10, 30, 2.0, 1), camera(seed + 20, 20, 0.9, 15, 60)]
    groups, labels = group_photos(sum(cameras, []))
    assert groups.counts == (30, 20, 12) and len(groups) == 3  # the largest first
    assert labels.tolist() == [2] * 12 + [0] * 30 + [1] * 20
    assert groups.centres[1] == pytest.approx([0.9, 4, 60], abs=2)


@pytest.mark.parametrize('photos', (
    camera(0, 60, 1.0, 6, 70), camera(1, 4, 1.0, 1) + camera(2, 4, 3.0, 20),
    [photo(blur) for blur in np.linspace(0.5, 3, 60)], [photo()], [photo(blur=None, noise=None)] * 12,
    [photo()] * 40 + camera(3, 2, 3.0, 20)))
def test_one_group_is_an_answer(photos):
    groups, labels = group_photos(photos)
    assert len(groups) == 1 and not labels.any() and len(labels) == len(photos)


def test_a_wide_group_is_no_two():
    """Groups are wide or narrow each in its own way, and those of one folder lie near each other or far apart."""
    random = np.random.default_rng(0)
    wide = [photo(random.uniform(0.3, 1.4), 13, int(random.uniform(55, 85))) for _ in range(60)]
    groups, labels = group_photos(wide + camera(1, 20, 1.0, 1) + camera(2, 20, 2.6, 1))
    assert len(groups) == 3
    assert len(set(labels[:60])) == 1


def test_groups_come_back_from_their_file(tmp_path):
    photos = camera(0, 20, 0.6, 1) + camera(1, 12, 2.0, 15, 60)
    groups, labels = group_photos(photos, Sharpness(rest=0.02))
    groups.save(tmp_path / 'groups.json')
    loaded = PhotoGroups.load(tmp_path / 'groups.json')
    assert loaded.sharp == Sharpness(rest=0.02) and loaded.counts == (20, 12)
    assert [loaded.group_of(one) for one in photos] == labels.tolist()
    assert loaded.group_of(photo(2.1, None, 61, floor=5.0)) == 1  # what can be told is enough
    assert loaded.group_of(photo(None, 1.0)) == 0
    assert loaded.group_of(photo(None, None, 60)) is None
    said = json.loads((tmp_path / 'groups.json').read_text())
    assert said['groups'][1]['blur']['centre'] == pytest.approx(2.0, abs=0.1) and said['version'] == 1


@pytest.mark.parametrize('change, sentence', (
    (lambda said: said.update(version=2), 'is of version 2'), (lambda said: said.pop('sharp'), 'is no groups.json'),
    (lambda said: said['groups'][0]['blur'].update(spread=0), 'is damaged'),
    (lambda said: said['groups'].clear(), 'is'), (lambda said: said['groups'][0].update(share=None), 'is no groups'),
    (lambda said: said['groups'][0]['jpeg'].update(centre=float('nan')), 'is damaged')))
def test_a_wrong_file_is_a_sentence(tmp_path, change, sentence):
    path = tmp_path / 'groups.json'
    group_photos(camera(0, 5, 1, 1))[0].save(path)
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))
    with pytest.raises(UserError, match=f'groups.json {sentence}'):
        PhotoGroups.load(path)
    with pytest.raises(UserError, match='cannot be read'):
        PhotoGroups.load(tmp_path / 'none.json')


@pytest.fixture
def folder(tmp_path):
    """Photos of two cameras, in sub-folders."""
    for seed in range(12):
        name, sigma, noise = ('b b', 2.5, 1) if seed < 5 else ('a', 0.8, 15)
        (tmp_path / f'photos/{name}').mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f'photos/{name}/{seed} (1).png'), degraded(seed, sigma, noise=noise))
    return tmp_path / 'photos'


def test_a_folder_of_two_cameras_becomes_two_trainings(folder, tmp_path):
    out = tmp_path / 'out'
    assert diagnose.main([str(folder), '--out', str(out)]) == 0
    assert not (out / 'mssr.yml').exists() and 'groups/group_1.txt' in (out / 'diagnosis.html').read_text()
    begins, found = [], []
    for number in (1, 2):
        opt = read_options(str(out / f'mssr_{number}.yml'))
        data = opt['datasets']['train']
        data['dataroot_gt'] = str(tmp_path)
        check_options(opt)
        source = ImageSource(data['dataroot_lq'], 'lq', {'type': 'disk'}, data['meta_info_lq'])
        found.append([image.name for image in source.images])
        assert source.images[0].size == (192, 192)
        begins.append(opt['network_g'])
        assert opt['name'].endswith(f'_{number}')
    assert [{name.split('/')[0] for name in names} for names in found] == [{'a'}, {'b b'}]
    assert sum(map(len, found)) == 12
    assert begins[0]['noise_levels'][0] > begins[1]['noise_levels'][1]
    assert begins[0]['kernel_sigma'][1] < begins[1]['kernel_sigma'][0]
    groups = PhotoGroups.load(out / 'groups.json')
    assert groups.counts == (7, 5)
    assert yaml.safe_load((out / 'realesrgan.yml').read_text())['noise_range2'][1] > 10  # all photos


def test_one_group_leaves_nothing_of_two(folder, tmp_path):
    out = tmp_path / 'out'
    assert diagnose.main([str(folder), '--out', str(out)]) == 0
    assert diagnose.main([str(folder / 'a'), '--out', str(out)]) == 0
    assert (out / 'mssr.yml').is_file()
    assert not [*out.glob('groups*/*'), *out.glob('groups.json'), *out.glob('mssr_*.yml')]


# --- stage 2: a generator gets the JPEG and the noise of its own photos ---------------------------------------------


def through_jpeg(image, quality):
    return cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.fixture
def stage_2(tmp_path):
    """Options with two generators that noise has been learned by, and photos of two cameras: JPEG, and noise."""
    for k in range(6):
        cv2.imwrite(str(tmp_path / f'{k}.png'), through_jpeg(degraded(k, noise=1), 50 + k) if k < 3
                    else degraded(k, noise=30))
        write_photo(tmp_path / f'gt/{k}.png', degraded(10 + k))
    for number, names in ((1, '012'), (2, '345')):
        (tmp_path / f'{number}.txt').write_text(''.join(f'{name}.png (192,192,3)\n' for name in names))
    (tmp_path / 'lq').mkdir()
    for k in range(6):
        (tmp_path / f'{k}.png').rename(tmp_path / f'lq/{k}.png')
    opt = stage2_options(degradations=write_generators(tmp_path), lq_jpeg='auto')
    opt['datasets'] = {'train': data_options(tmp_path)}
    return opt


def test_each_generator_has_its_own_jpeg(stage_2, tmp_path):
    common = build_model(deepcopy(stage_2))
    assert [G.jpeg.qualities for G in common.degradations] == [[50, 51, 52]] * 2
    assert common.degradations[0].jpeg is common.degradations[1].jpeg  # read once
    for k in range(2):
        stage_2['degradations'][k]['meta_info_lq'] = str(tmp_path / f'{k + 1}.txt')
    model = build_model(deepcopy(stage_2))
    assert [G.jpeg and G.jpeg.qualities for G in model.degradations] == [[50, 51, 52], None]
    step(model, 1, batch(1))
    assert np.isfinite(model.get_current_log()['l_sup_2'])
    stage_2['degradations'][0].pop('meta_info_lq')
    stage_2['train']['lq_jpeg'] = 'median'
    model = build_model(stage_2)
    assert [G.jpeg and G.jpeg.qualities for G in model.degradations] == [[51], None]  # without: all


def test_each_generator_has_the_noise_of_its_own_photos(stage_2, tmp_path):
    stage_2['train'] |= {'lq_jpeg': None, 'lq_noise': 'auto'}
    stage_2['degradations'][1]['checkpoint'] = stage_2['degradations'][0]['checkpoint']  # they differ by photos alone
    for k in range(2):
        stage_2['degradations'][k]['meta_info_lq'] = str(tmp_path / f'{k + 1}.txt')
    weights = torch.load(stage_2['degradations'][0]['checkpoint'])
    weights['params'] = {name: 40 * value if name.startswith('noises') else value
                         for name, value in weights['params'].items()}
    torch.save(weights, stage_2['degradations'][0]['checkpoint'])
    quiet, noisy = (G.noise for G in build_model(stage_2).degradations)
    assert np.mean(quiet) < np.mean(noisy) - 0.1


@pytest.mark.parametrize('root, listed, sentence', (
    ('lq', '9.png', r"degradations\[1\].meta_info_lq: .* is out of date: '9.png'"), ('lq', '', 'is empty'),
    (None, '0.png', 'of datasets.train.dataroot_lq, which is missing')))
def test_a_list_of_other_photos_is_a_sentence(stage_2, tmp_path, root, listed, sentence):
    (tmp_path / '2.txt').write_text(listed)
    stage_2['degradations'][1]['meta_info_lq'] = str(tmp_path / '2.txt')
    if root is None:
        stage_2['datasets']['train'].pop('dataroot_lq')
        stage_2['datasets']['train']['type'] = 'CleanImageDataset'
    with pytest.raises(UserError, match=sentence):
        check_data(stage_2)
    problems = []
    describe_groups(stage_2, print, problems.append)
    assert len(problems) == 1 and 'degradations[1].meta_info_lq' in problems[0]


def test_a_report_says_how_many_photos_are_whose(stage_2, tmp_path):
    stage_2['degradations'][1]['meta_info_lq'] = str(tmp_path / '2.txt')
    check_data(stage_2)
    lines = []
    describe_groups(stage_2, lines.append, pytest.fail)
    assert lines == ['degradations[1].meta_info_lq: 3 of the real LR photos']


def test_groups_belong_to_the_model_that_reads_them():
    opt = options_of_stage_2()
    opt['degradations'][1]['meta_info_lq'] = 'group_2.txt'
    check_options(opt)
    opt['degradations'][1]['meta_info_lq'] = 3
    with pytest.raises(UserError, match='meta_info_lq: must be'):
        check_options(opt)
    opt['degradations'][1]['meta_info_lq'] = 'group_2.txt'
    opt['network_g']['branches'][0]['meta_info_lq'] = 'group_2.txt'
    with pytest.raises(UserError, match=r'branches\[0\].meta_info_lq: no such option'):
        check_options(opt)
    opt = {**options_of_stage_2(), 'model_type': 'LearnedDegradationSRModel'}
    opt['degradations'][1]['meta_info_lq'] = 'group_2.txt'
    with pytest.raises(UserError, match=r'degradations\[1\].meta_info_lq: no such option'):
        check_options(opt)
