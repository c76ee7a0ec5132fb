"""What the demo page does; the page itself is opened where Gradio is installed, and used where a browser is, too."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from data_tools import write_photo
from inference_tools import TINY_RRDB, enliven, generator_checkpoint, picture, sr_checkpoint
from mssr_arch import SREnsemble, WaveletDiscriminator
from mssr_command import page as command
from mssr_command.work.page import find_weights
from mssr_compat.errors import UserError
from mssr_data.decoding import decode_image, to_rgb8
from mssr_inference.picture_files import read_picture
from mssr_inference.restorer import Restorer
from mssr_inference.web_page import MOST_DRAWS, Page, build_page, launch


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    sr_checkpoint(folder)
    generator_checkpoint(folder)
    return Page({'sr': folder / 'net_g.pth'}, {'generator': folder / 'generator.pth'}, torch.device('cpu'), 5000)


def test_a_photo_is_upscaled_beside_its_enlargement(page, tmp_path):
    write_photo(tmp_path / 'p.png', picture(20, 30))
    before, after, file = page.upscale(str(tmp_path / 'p.png'), 'sr', False, True, str(tmp_path))
    assert before.size == after.size == (120, 80)
    assert np.array_equal(read_picture(file).pixels, np.asarray(after))
    small = cv2.resize(np.asarray(before), (30, 20), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - picture(20, 30)).mean() < 16  # it is this photo


def test_odd_photos_are_shown(page, tmp_path):
    cv2.imwrite(str(tmp_path / 'g.png'), picture(9, 8, 1, np.uint16))
    Image.fromarray(picture(9, 8, 4)).save(tmp_path / 'a.png')
    for name in ('g', 'a'):
        before, after, file = page.upscale(str(tmp_path / f'{name}.png'), 'sr', False, False, str(tmp_path))
        assert before.mode == after.mode == 'RGB'
    assert read_picture(file).alpha is not None


def test_16_bits_are_rounded_as_in_training(page, tmp_path):
    deep = picture(9, 8, 3, np.uint16)
    cv2.imwrite(str(tmp_path / 'd.png'), deep)
    found = read_picture(tmp_path / 'd.png').rgb8()
    assert np.array_equal(found, to_rgb8(decode_image((tmp_path / 'd.png').read_bytes(), 'd.png')))
    assert np.array_equal(found, np.rint(deep[..., ::-1] / 257))
    before, after, file = page.upscale(str(tmp_path / 'd.png'), 'sr', False, False, str(tmp_path))
    assert np.array_equal(np.asarray(after), np.rint(read_picture(file).pixels / 257))


def test_draws_differ_and_have_a_limit(page, tmp_path):
    write_photo(tmp_path / 'p.png', picture(21, 30))
    draws = page.draw(str(tmp_path / 'p.png'), 'generator', 100, 0)
    assert len(draws) == MOST_DRAWS
    assert draws[0][0].size == (7, 5)
    assert len({image.tobytes() for image, _ in draws}) == MOST_DRAWS


def test_mistakes_are_sentences(page, tmp_path):
    write_photo(tmp_path / 'large.png', picture(100, 80))
    write_photo(tmp_path / 'tiny.png', picture(2, 2))
    (tmp_path / 'text.png').write_text('no photo')
    write_photo(tmp_path / 'cut.png', picture(60, 60))
    (tmp_path / 'cut.png').write_bytes((tmp_path / 'cut.png').read_bytes()[:2000])
    for name, words in (('large', '80 x 100 pixels'), ('text', 'no photo'), ('cut', 'the photo cannot be decoded')):
        with pytest.raises(UserError, match=words):
            page.upscale(str(tmp_path / f'{name}.png'), 'sr', False, False, str(tmp_path))
    with pytest.raises(UserError, match='drop a photo'):
        page.upscale(None, 'sr', False, False, str(tmp_path))
    with pytest.raises(UserError, match='smaller than 4 x 4'):
        page.draw(str(tmp_path / 'tiny.png'), 'generator', 1, 0)


def test_weights_say_what_they_are(tmp_path, capsys):
    folder = tmp_path / 'run' / 'models'
    folder.mkdir(parents=True)
    sr_checkpoint(folder)
    generator_checkpoint(folder)
    discriminator = {'params': WaveletDiscriminator().state_dict(), 'network': {'type': 'WaveletDiscriminator'}}
    torch.save(discriminator, folder / 'net_d.pth')
    upscalers, generators = find_weights([tmp_path])
    assert list(upscalers) == ['run/net_g']
    assert list(generators) == ['run/generator']
    assert command.main([str(folder / 'net_d.pth')]) == 2
    (tmp_path / 'empty').mkdir()
    assert command.main([str(tmp_path / 'empty')]) == 2
    assert 'holds no checkpoint' in capsys.readouterr().err


def test_unknown_weights_are_refused_without_options_that_the_page_lacks(tmp_path, capsys):
    net = SREnsemble([{'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': 2}])
    torch.save(net.branches[0].state_dict(), tmp_path / 'net.pth')
    assert command.main([str(tmp_path / 'net.pth')]) == 2
    message = capsys.readouterr().err
    assert 'net.pth holds an MSRResNet' in message and 'mssr export' in message
    assert '--opt' not in message


def chromium():
    return next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


@pytest.mark.slow
def test_in_a_browser_from_drop_to_picture(page, tmp_path):
    pytest.importorskip('gradio')
    sync_api = pytest.importorskip('playwright.sync_api')
    if not chromium():
        pytest.skip('there is no Chromium')
    write_photo(tmp_path / 'photo.png', picture(40, 60))
    write_photo(tmp_path / 'large.png', picture(100, 80))
    blocks = build_page(page)
    _, url, _ = launch(blocks, '127.0.0.1', None, block=False)
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=['--no-sandbox'])
            tab = browser.new_page(viewport={'width': 1200, 'height': 900})
            elsewhere = []
            tab.on('request', lambda r: elsewhere.append(r.url) if not r.url.startswith((url, 'data:', 'blob:')) else 0)
            tab.goto(url)
            assert not tab.get_by_label("Keep the photo's colours").is_checked()  # it holds no restorer
            tab.locator('input[type=file]').first.set_input_files(tmp_path / 'photo.png')
            tab.get_by_role('button', name='Upscale', exact=True).last.click()
            tab.wait_for_selector('text=photo_x4', timeout=60_000)
            tab.wait_for_timeout(1000)
            tab.screenshot(path=tmp_path / 'upscale.png')
            sizes = tab.evaluate('[...document.querySelectorAll("img")].map(i => [i.naturalWidth, i.naturalHeight])')
            assert sizes.count([240, 160]) == 2  # before and after

            tab.get_by_role('tab', name='Degrade').click()
            tab.locator('input[type=file]').last.set_input_files(tmp_path / 'photo.png')
            tab.get_by_role('button', name='Draw', exact=True).click()
            tab.wait_for_function('[...document.querySelectorAll("img")].filter(i => i.naturalWidth == 15).length >= 4',
                                  timeout=60_000)
            tab.screenshot(path=tmp_path / 'degrade.png')

            tab.reload()
            tab.locator('input[type=file]').first.set_input_files(tmp_path / 'large.png')
            tab.get_by_role('button', name='Upscale', exact=True).last.click()
            tab.wait_for_selector('text=The photo has 80 x 100 pixels', timeout=60_000)
            browser.close()
        assert elsewhere == []
    finally:
        blocks.close()


def test_the_knob_turns_restorers_alone(page, tmp_path):
    Restorer(TINY_RRDB, 4, *(enliven(SREnsemble([TINY_RRDB]), seed).branches[0].state_dict() for seed in (0, 1)),
             0.25).save(tmp_path / 'restorer.safetensors')
    upscalers, generators = find_weights([tmp_path])
    both = Page({**upscalers, **page.upscalers}, generators, torch.device('cpu'), 5000)
    (name,) = upscalers
    assert both.setting(name) == 0.25 and both.setting('sr') is None
    write_photo(tmp_path / 'p.png', picture(12, 12))
    pictures = {(which, perception): both.upscale(str(tmp_path / 'p.png'), which, False, False, str(tmp_path),
                                                  perception)[1].tobytes()
                for which in (name, 'sr') for perception in (None, 0.25, 1.0)}
    assert pictures[name, None] == pictures[name, 0.25] != pictures[name, 1.0]
    assert pictures['sr', None] == pictures['sr', 1.0]
