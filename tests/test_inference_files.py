"""Photos of every kind in, pictures of the same kind out."""

import io
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

import inference
from data_tools import write_photo
from inference_tools import ENSEMBLE, TINY_RRDB, enliven, picture, save, sr_checkpoint
from mssr_arch import SREnsemble
from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError
from mssr_inference import upscale_files
from mssr_inference.memory import GIB, free_on_cpu
from mssr_inference.networks import load_upscaler
from mssr_inference.picture_files import decoded_bytes, read_picture, write_picture
from mssr_inference.upscale_files import largest_result, list_jobs, upscale_file
from mssr_inference.upscaler import Tiling, Upscaler

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return sr_checkpoint(tmp_path_factory.mktemp('weights'))


@pytest.fixture(scope='module')
def up(checkpoint):
    return Upscaler(load_upscaler(checkpoint), torch.device('cpu'))


def expected(up, pixels):
    """The network on the whole picture, float (H * 4, W * 4, 3) in [0, 1]."""
    pixels = pixels[..., None].repeat(3, -1) if pixels.ndim == 2 else pixels
    white = np.iinfo(pixels.dtype).max
    lq = torch.from_numpy(pixels.astype(np.float32) / white).permute(2, 0, 1)[None]
    return up(lq)[0].permute(1, 2, 0).numpy()


# --- reading ------------------------------------------------------------------------------------------------------


def test_deep_pictures_are_read_as_they_are(tmp_path):
    for suffix in ('.png', '.tif'):
        gray, colour = picture(7, 9, 1, np.uint16), picture(7, 9, 3, np.uint16)
        cv2.imwrite(str(tmp_path / f'g{suffix}'), gray)
        cv2.imwrite(str(tmp_path / f'c{suffix}'), colour[..., ::-1])
        assert np.array_equal(read_picture(tmp_path / f'g{suffix}').pixels, gray)
        assert np.array_equal(read_picture(tmp_path / f'c{suffix}').pixels, colour)
    with_alpha = picture(7, 9, 4, np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), with_alpha[..., [2, 1, 0, 3]])
    found = read_picture(tmp_path / 'a.png')
    assert np.array_equal(np.dstack([found.pixels, found.alpha]), with_alpha)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('deep', [False, True])
def test_exif_orientation_is_applied_once(tmp_path, orientation, deep):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = picture(5, 8)
    Image.fromarray(pixels).save(tmp_path / 'p.png', exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / 'p.png')))
    if deep:  # the same picture with 16 bits, put together from its chunks
        write_picture(tmp_path / 'p.png', pixels.astype(np.uint16) * 257, 'PNG', exif=exif.tobytes())
        upright = upright.astype(np.uint16) * 257
    found = read_picture(tmp_path / 'p.png')
    assert np.array_equal(found.pixels, upright)
    kept = Image.Exif()
    kept.load(found.exif)
    assert kept[0x0112] == 1


def test_palettes_bits_and_transparency(tmp_path):
    pixels = picture(6, 8)
    palette = Image.fromarray(pixels).quantize(8)
    palette.save(tmp_path / 'p.png')
    assert np.array_equal(read_picture(tmp_path / 'p.png').pixels, np.asarray(palette.convert('RGB')))
    palette.save(tmp_path / 't.png', transparency=2)
    found = read_picture(tmp_path / 't.png')
    assert np.array_equal(found.alpha == 0, np.asarray(palette) == 2)
    Image.fromarray(picture(6, 8, 1) > 99).save(tmp_path / 'b.tif')
    assert read_picture(tmp_path / 'b.tif').is_gray
    assert set(np.unique(read_picture(tmp_path / 'b.tif').pixels)) == {0, 255}


def test_cmyk_becomes_rgb_and_loses_its_profile(tmp_path):
    colour = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    Image.fromarray(colour).convert('CMYK').save(tmp_path / 'c.jpg', icc_profile=b'not a profile' * 20, quality=100)
    found = read_picture(tmp_path / 'c.jpg')
    assert found.icc is None
    assert np.abs(found.pixels.astype(int) - colour).max() < 8


@pytest.mark.parametrize('damage', ['missing', 'empty', 'cut jpg', 'cut png', 'text', 'float'])
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / ('p.jpg' if damage == 'cut jpg' else 'p.tif' if damage == 'float' else 'p.png')
    if damage == 'float':
        Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    elif damage != 'missing':
        write_photo(path, picture(64, 64))
        data = path.read_bytes()
        path.write_bytes({'empty': b'', 'text': b'hello'}.get(damage, data[:len(data) * 2 // 3]))
    with pytest.raises(CorruptImageError, match=path.name):
        read_picture(path)


# --- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('format', ['PNG', 'TIFF'])
def test_lossless_formats_keep_every_pixel(tmp_path, format, dtype, channels):
    pixels = picture(150, 37, channels, dtype)
    icc = SRGB if channels > 2 else None
    write_picture(tmp_path / 'p', pixels, format, icc)
    found = read_picture(tmp_path / 'p')
    assert found.icc == icc
    values = found.pixels if found.alpha is None else np.dstack([found.pixels, found.alpha])
    assert decoded_bytes(tmp_path / 'p') == (150 * 37, values.nbytes)
    if dtype is np.uint16 and channels == 2:
        values = values[..., 2:]  # stored as colour
    assert np.array_equal(values, pixels)


@pytest.mark.parametrize('size', [(300, 50), (128, 16), (129, 1), (1, 300)])
@pytest.mark.parametrize('channels', [1, 3])
def test_jpeg_has_the_quality_asked_for(tmp_path, size, channels):
    pixels, icc = picture(*size, channels), SRGB if channels == 3 else None
    write_picture(tmp_path / 'p.jpg', pixels, 'JPEG', icc, quality=90)
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, 'JPEG', quality=90)
    with Image.open(tmp_path / 'p.jpg') as image, Image.open(whole) as reference:
        assert image.info.get('icc_profile') == icc
        assert np.array_equal(np.asarray(image), np.asarray(reference))
    assert cv2.imread(str(tmp_path / 'p.jpg')) is not None  # a decoder that is stricter about markers


@pytest.mark.parametrize('format, dtype', [
    ('PNG', np.uint8), ('PNG', np.uint16), ('JPEG', np.uint8), ('TIFF', np.uint16), ('WEBP', np.uint8)])
def test_an_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch, format, dtype):
    def interrupted(path, *_, **__):
        if isinstance(path, os.PathLike):
            path.write_bytes(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, 'save', lambda image, *args, **options: interrupted(*args))
    monkeypatch.setattr('tifffile.imwrite', interrupted)
    monkeypatch.setattr(cv2, 'imencode', interrupted)
    (tmp_path / 'p').write_bytes(b'old')
    with pytest.raises(KeyboardInterrupt):
        write_picture(tmp_path / 'p', np.zeros((2, 4, 3), dtype), format)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b'old']


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_png_is_what_the_standard_says(tmp_path, dtype):
    """Checksums are right, metadata stand before the pixels, and the pixel data are one zlib stream."""
    exif = Image.Exif()
    exif[0x010F] = 'Maker'
    write_picture(tmp_path / 'p.png', picture(40, 11, 3, dtype), 'PNG', SRGB, exif.tobytes())
    data, place, packed, names = (tmp_path / 'p.png').read_bytes(), 8, b'', []
    while place < len(data):
        length, name = int.from_bytes(data[place:place + 4], 'big'), data[place + 4:place + 8]
        body = data[place + 8:place + 8 + length]
        assert int.from_bytes(data[place + 8 + length:place + 12 + length], 'big') == zlib.crc32(name + body)
        packed += body if name == b'IDAT' else b''
        place += 12 + length
        names.append(name)
    assert names[0] == b'IHDR' and names[-1] == b'IEND'
    assert max(names.index(b'iCCP'), names.index(b'eXIf')) < names.index(b'IDAT')
    assert len(zlib.decompress(packed)) == 40 * (1 + 33 * np.dtype(dtype).itemsize)
    with Image.open(tmp_path / 'p.png') as image:
        assert image.info['icc_profile'] == SRGB
        assert image.getexif()[0x010F] == 'Maker'


def test_a_format_that_is_too_small_is_refused(tmp_path):
    for format, side in (('WEBP', 16384), ('JPEG', 65536)):
        with pytest.raises(CorruptImageError, match=f'1 x {side} pixels.*PNG or TIFF'):
            write_picture(tmp_path / 'p', np.zeros((side, 1, 3), np.uint8), format)


# --- upscaling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(1, 1), (1, 60), (60, 1), (23, 31)])
@pytest.mark.parametrize('tile', [0, 20])
def test_any_size_is_upscaled_in_tiles_or_not(tmp_path, up, size, tile):
    pixels = picture(*size)
    write_photo(tmp_path / 'p.png', pixels)
    upscale_file(up, tmp_path / 'p.png', tmp_path / 'out.png', 'PNG', Tiling(tile))
    found = read_picture(tmp_path / 'out.png').pixels
    assert np.abs(found - 255 * expected(up, pixels)).max() < 0.51


@pytest.mark.parametrize('format', ['PNG', 'TIFF'])
def test_gray_with_16_bits_stays_so(tmp_path, up, format):
    pixels = picture(21, 17, 1, np.uint16)
    cv2.imwrite(str(tmp_path / 'p.png'), pixels)
    upscale_file(up, tmp_path / 'p.png', tmp_path / 'out', format, Tiling(16))
    found = read_picture(tmp_path / 'out').pixels
    assert found.dtype == np.uint16
    assert len(np.unique(found)) > 300  # really 16 bits, not 8 bits spread out
    assert np.abs(found - 65535 * expected(up, pixels).mean(-1)).max() < 2


def test_alpha_is_enlarged_and_kept_where_there_is_room(tmp_path, up):
    pixels = picture(18, 30, 4)
    pixels[..., 3] = np.linspace(0, 255, 30).round()
    Image.fromarray(pixels).save(tmp_path / 'p.png')
    for format, tile in (('PNG', 0), ('WEBP', 16), ('TIFF', 16)):
        upscale_file(up, tmp_path / 'p.png', tmp_path / 'out', format, Tiling(tile))
        alpha = read_picture(tmp_path / 'out').alpha.astype(int)
        assert alpha.shape == (72, 120)
        assert np.abs(alpha - np.linspace(-3, 258, 120).clip(0, 255)).max() < 8
    upscale_file(up, tmp_path / 'p.png', tmp_path / 'out', 'JPEG')
    assert read_picture(tmp_path / 'out').alpha is None


def test_results_that_memory_cannot_hold_are_refused_before_they_are_computed(tmp_path, up, monkeypatch):
    for name, dtype in (('a.png', np.uint8), ('b.png', np.uint16)):
        write_picture(tmp_path / name, picture(20, 30, 4, dtype), 'PNG')
    jobs = list_jobs(str(tmp_path), str(tmp_path / 'out'))
    num_bytes = 3 * 80 * 120 * 4 * 2
    assert 'largest result has 9,600 pixels and takes up to 0 MiB' in largest_result(jobs, 4)
    monkeypatch.setattr(upscale_files, 'free_on_cpu', lambda: num_bytes - 1)
    failures = upscale_files.upscale_all(up, jobs, Tiling(), show_progress=False)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['a.png']
    assert failures == [(tmp_path / 'b.png', 'its result of 120 x 80 pixels takes 0 MiB of memory, but 0 MiB are '
                                             'free: cut the photo into parts')]
    monkeypatch.setattr(upscale_files, 'free_on_cpu', lambda: num_bytes)
    assert not upscale_files.upscale_all(up, jobs, Tiling(), show_progress=False)


def test_profile_and_exif_are_kept(tmp_path, up):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, 'Maker'
    Image.fromarray(picture(10, 20)).save(tmp_path / 'p.jpg', exif=exif, icc_profile=SRGB)
    for format in ('PNG', 'JPEG', 'WEBP'):
        upscale_file(up, tmp_path / 'p.jpg', tmp_path / 'out', format)
        with Image.open(tmp_path / 'out') as image:
            assert image.size == (40, 80)
            assert image.info['icc_profile'] == SRGB
            assert dict(image.getexif()) == {0x0112: 1, 0x010F: 'Maker'}
    upscale_file(up, tmp_path / 'p.jpg', tmp_path / 'out', 'TIFF')
    with Image.open(tmp_path / 'out') as image:
        assert image.info['icc_profile'] == SRGB


# --- checkpoints --------------------------------------------------------------------------------------------------


def test_one_branch_is_that_branch(checkpoint):
    both, second = load_upscaler(checkpoint), load_upscaler(checkpoint, branch=2)
    lq = torch.rand(1, 3, 6, 7)
    assert torch.equal(second.net(lq), both.net.upscale(1, lq)[0])
    with pytest.raises(UserError, match='2 branches'):
        load_upscaler(checkpoint, branch=3)


def test_averaged_weights_are_preferred(tmp_path):
    plain, averaged = (enliven(SREnsemble(ENSEMBLE['branches']), seed) for seed in (1, 2))
    content = {'params': plain.state_dict(), 'params_ema': averaged.state_dict(), 'network': ENSEMBLE}
    torch.save(content, tmp_path / 'both.pth')
    lq = torch.rand(1, 3, 6, 7)
    assert torch.equal(load_upscaler(tmp_path / 'both.pth').net(lq), averaged(lq))


@pytest.mark.parametrize('scale', [1, 2, 4])
def test_foreign_rrdbnets_need_no_options(tmp_path, scale):
    options = {**TINY_RRDB, 'scale': scale, 'num_block': 2}
    ensemble = enliven(SREnsemble([options]))
    torch.save({'params_ema': ensemble.branches[0].state_dict()}, tmp_path / 'foreign.pth')
    loaded = load_upscaler(tmp_path / 'foreign.pth')
    lq = torch.rand(1, 3, 9, 7)
    assert loaded.scale == scale
    assert torch.equal(loaded.net(lq), ensemble(lq))
    torch.save(SREnsemble([options, options]).state_dict(), tmp_path / 'bare.pth')
    assert len(load_upscaler(tmp_path / 'bare.pth').net.branches) == 2


def test_other_networks_take_their_options_from_yaml(tmp_path):
    options = {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': 2}
    net = SREnsemble([options])
    torch.save(net.branches[0].state_dict(), tmp_path / 'net.pth')
    with pytest.raises(UserError, match='--opt'):
        load_upscaler(tmp_path / 'net.pth')
    lines = ['name: x', 'scale: 2', 'network_g:', *(f'  {key}: {value}' for key, value in options.items())]
    (tmp_path / 'x.yml').write_text('\n'.join(lines))
    assert load_upscaler(tmp_path / 'net.pth', tmp_path / 'x.yml').scale == 2
    (tmp_path / 'x.yml').write_text('name: x')
    with pytest.raises(UserError, match='no network_g'):
        load_upscaler(tmp_path / 'net.pth', tmp_path / 'x.yml')


def test_an_experiment_stands_for_its_newest_weights(tmp_path):
    (tmp_path / 'models').mkdir()
    sr_checkpoint(tmp_path / 'models').rename(tmp_path / 'models' / 'net_g_latest.pth')
    assert load_upscaler(tmp_path / 'latest').sha256 == load_upscaler(tmp_path / 'models' / 'net_g_latest.pth').sha256


def test_a_generator_is_no_upscaler(tmp_path):
    from inference_tools import generator_checkpoint

    with pytest.raises(UserError, match='holds no SR network.*degradation network'):
        load_upscaler(generator_checkpoint(tmp_path))


# --- the command line ---------------------------------------------------------------------------------------------


def run(checkpoint, *arguments):
    return inference.main(['-c', str(checkpoint), '--device', 'cpu', *map(str, arguments)])


def test_a_folder_with_damaged_files(tmp_path, checkpoint, capsys):
    photos, out = tmp_path / 'photos', tmp_path / 'out'
    write_photo(photos / 'a.png', picture(5, 6))
    write_photo(photos / 'sub' / 'b.jpg', picture(8, 6))
    write_photo(photos / 'c.bmp', picture(5, 6))
    (photos / 'bad.png').write_bytes(b'no picture')
    (photos / 'empty.jpg').touch()
    assert run(checkpoint, '-i', photos, '-o', out) == 1
    assert sorted(str(p.relative_to(out)) for p in out.rglob('*.*')) == ['a.png', 'c.png', 'sub/b.jpg']
    message = capsys.readouterr().err
    assert '2 of 5 photos' in message
    assert 'bad.png' in message and 'empty.jpg: is empty' in message
    before = os.stat(out / 'a.png').st_mtime_ns
    (photos / 'bad.png').unlink()
    (photos / 'empty.jpg').unlink()
    (out / 'c.png').unlink()
    assert run(checkpoint, '-i', photos, '-o', out, '--skip-existing') == 0
    assert os.stat(out / 'a.png').st_mtime_ns == before
    assert (out / 'c.png').exists()


def test_patterns_formats_and_single_files(tmp_path, checkpoint):
    photos = tmp_path / 'photos'
    for name in ('x/a.png', 'x/b.png', 'y/a.jpg', 'y/a.png'):
        write_photo(photos / name, picture(4, 5))
    assert run(checkpoint, '-i', photos / '*' / 'a.*', '-o', tmp_path / 'out', '--format', 'webp') == 0
    names = sorted(str(p.relative_to(tmp_path / 'out')) for p in (tmp_path / 'out').rglob('*.*'))
    assert names == ['x/a.webp', 'y/a_jpg.webp', 'y/a_png.webp']
    assert run(checkpoint, '-i', photos / 'x' / 'a.png', '-o', tmp_path / 'one.tif') == 0
    assert read_picture(tmp_path / 'one.tif').format == 'TIFF'


def test_mistakes_end_with_2_and_one_sentence(tmp_path, checkpoint, capsys):
    write_photo(tmp_path / 'p' / 'a.png', picture(4, 5))
    (tmp_path / 'weights.pth').write_bytes(b'<html>')
    cases = [
        (checkpoint, ['-i', tmp_path / 'none.png'], 'no such file'),
        (checkpoint, ['-i', tmp_path / '*.png'], 'no file matches'),
        (checkpoint, ['-i', tmp_path / 'p', '-o', tmp_path / 'p'], 'would replace the photo'),
        (checkpoint, ['-i', tmp_path / 'p', '--device', 'cuda:99'], '--device cuda:99'),
        (tmp_path / 'weights.pth', ['-i', tmp_path / 'p'], 'web page'),
        (tmp_path / 'none.pth', ['-i', tmp_path / 'p'], 'no such file'),
    ]
    for weights, arguments, words in cases:
        assert run(weights, *arguments) == 2
        message = capsys.readouterr().err
        assert words in message
        assert len(message.strip().splitlines()) == 1
    with pytest.raises(SystemExit, match='2'):
        run(checkpoint, '-i', tmp_path / 'p', '--tile', '-4')


def test_pages_of_files_count_as_free_memory(monkeypatch):
    files = {'/proc/meminfo': 'MemTotal: 9 kB\nMemAvailable: 8388608 kB\n', '/sys/fs/cgroup/memory.max': f'{4 * GIB}\n',
             '/sys/fs/cgroup/memory.current': f'{3 * GIB}\n',
             '/sys/fs/cgroup/memory.stat': f'anon 7\ninactive_file {GIB}\nactive_file {GIB // 2}\n'}

    def read_text(path):
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(Path, 'read_text', read_text)
    assert free_on_cpu() == 2.5 * GIB
    files['/sys/fs/cgroup/memory.max'] = 'max\n'
    assert free_on_cpu() == 8 * GIB


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_no_numbers_are_refused(tmp_path, capsys, value):
    net = enliven(SREnsemble(ENSEMBLE['branches']))
    net.branches[1].conv_body.weight.data[0, 0, 0, 0] = value
    write_photo(tmp_path / 'p' / 'a.png', picture(4, 5))
    assert run(save(tmp_path / 'net.pth', net, ENSEMBLE), '-i', tmp_path / 'p', '-o', tmp_path / 'out') == 2
    message = capsys.readouterr().err
    assert 'net.pth' in message and 'branches.1.conv_body.weight' in message
    assert not (tmp_path / 'out').exists()


def test_names_do_not_collide_and_photos_are_safe(tmp_path):
    for name in ('a.png', 'a.bmp', 'b.jpeg'):
        write_photo(tmp_path / name, picture(4, 5))
    targets = [job.target.name for job in list_jobs(str(tmp_path), 'out')]
    assert targets == ['a_bmp.png', 'a_png.png', 'b.jpeg']
    assert [job.target.name for job in list_jobs(str(tmp_path), str(tmp_path), suffix='_x4')][-1] == 'b_x4.jpeg'


def test_saved_networks_load_from_another_folder(tmp_path, monkeypatch, checkpoint):
    monkeypatch.chdir(tmp_path)
    net = enliven(SREnsemble([TINY_RRDB]))
    options = {'type': 'SREnsemble', 'branches': [{**TINY_RRDB, 'num_feat': 8}]}
    assert load_upscaler(save(tmp_path / 'x.pth', net, options, 4)).options == options
