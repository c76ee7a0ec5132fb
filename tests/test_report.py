"""The report of finished, running and broken-off experiments, with and without their data; and in a browser."""

import json
import math
import os
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from monitored_runs import monitored, runs  # noqa: F401  (a fixture)
from resume_tools import train

import report
from mssr_compat.errors import UserError
from mssr_monitor.experiment_record import read_pictures, write_pictures
from mssr_report.charts import Line, bar_chart, line_chart
from mssr_report.experiment import read_experiment, read_logs
from mssr_report.formats import data_uri, exact, number, short_path, text
from mssr_report.html_report import build_page

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
VOID = {'meta', 'link', 'img', 'input', 'br'}


class Checker(HTMLParser):
    """Notes tags that are not closed, and everything that the page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.mistakes, self.loaded = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ('src', 'href', 'srcset', 'action')]

    def handle_startendtag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if name in ('src', 'href')]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(tag)


def checked(page):
    """The page, after a check that it is well formed and loads nothing."""
    checker = Checker()
    checker.feed(page)
    assert not checker.mistakes and not checker.open
    assert checker.loaded and all(value.startswith('data:') for value in checker.loaded)
    assert 'url(' not in page and '@import' not in page
    return page


def headings(page):
    return re.findall('<h2>(.*?)</h2>', page)


def head_of(page):
    """What stands before the first section."""
    return page[page.index('<h1>'):page.index('<section>')]


def copy_of(runs, name, root):  # noqa: F811
    return shutil.copytree(runs / 'experiments' / name, root / name)


# --- whole pages ------------------------------------------------------------------------------------------------------


def test_a_finished_run_of_stage_1(runs, capsys):  # noqa: F811
    folder = runs / 'experiments' / 'one'
    assert report.main([str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / 'report.html')
    page = checked((folder / 'report.html').read_text())
    assert headings(page) == [
        'How real is the degradation?', 'One photo, several draws', 'Real beside generated', 'Spectra',
        'What each noise injection changes', 'Against aligned photos', 'Training', 'Photo by photo', 'What was run',
        'Words']
    assert 'Finished, at iteration 6 of 6.' in page
    assert page.count('draw 4') == 2  # title and alternative text
    for words in ('haar_distance', 'spectrum_distance (dB)', 'cycles per pixel', 'deviation between draws (levels)',
                  'learning rate', 'v9', 'PyTorch', 'net_g_best.pth, iteration', 'gan_opt:'):
        assert words in page, words


def test_a_finished_run_of_stage_2(runs):  # noqa: F811
    page = checked(build_page(runs / 'experiments' / 'two'))
    assert headings(page) == ['Ensemble and branches', 'Before and after', 'Branch by branch', 'Against aligned photos',
                              'Training', 'Photo by photo', 'What was run', 'Words']
    assert page.count('<div class="slider"') == 3
    for words in ('pairs, ensemble', 'branch S_2', 'disagreement (levels)', 'share of the loss (%)', 'true HR photo'):
        assert words in page, words


@pytest.mark.parametrize('name', ['one', 'two'])
def test_a_broken_off_run_whose_data_are_gone(runs, tmp_path, name):  # noqa: F811
    folder = copy_of(runs, name, tmp_path)
    log = next(folder.glob('*.log'))
    lines = log.read_text().splitlines(keepends=True)
    stop = next(k for k, line in enumerate(lines) if 'iter:       5' in line)
    log.write_text(''.join(lines[:stop]) + lines[stop][:90])  # killed in the middle of a line
    (folder / f'{name}.yml').write_text((folder / f'{name}.yml').read_text().replace(str(runs), '/no/such/disk'))
    for file in folder.glob('*.*'):
        os.utime(file, (1e9, 1e9))
    page = checked(build_page(folder))
    assert 'Broken off, after iteration 6 of 6' in page  # the record of the validation knows more than the log
    assert '(not there any more)' in page and 'Pictures of the validation at iteration 6' in page
    log = read_experiment(folder).log
    assert log.last_iter == 5 and max(map(max, log.values.values())) == 4  # the line has no losses any more


def test_a_run_without_validation_is_pictured_from_its_checkpoint(runs, monkeypatch):  # noqa: F811
    for stage, words in (('stage1', 'How real is the degradation?'), ('stage2', 'Before and after')):
        opt = monitored(runs, stage, f'unseen_{stage}')
        del opt['val'], opt['datasets']['val']
        if stage == 'stage1':
            opt['train']['gan_opt']['loss_weight'] = 1000.0
        for section in opt.get('degradations', ()):
            section['checkpoint'] = str(runs / 'experiments' / 'one' / 'models' / 'net_g_best.pth')
        assert train(monkeypatch, runs, opt) == 0
        folder = runs / 'experiments' / f'unseen_{stage}'
        page = checked(build_page(folder))
        assert words in headings(page) and 'made for this report with net_g_latest.pth' in page
        assert re.search('This run (looks healthy|does not look healthy yet)', head_of(page))
        assert ('The adversarial term is' in head_of(page)) == (stage == 'stage1')

        gone = (folder / f'unseen_{stage}.yml')
        gone.write_text(gone.read_text().replace(str(runs / 'lq'), '/no/such/disk'))
        page = checked(build_page(folder))
        assert 'There are no pictures' in page and '/no/such/disk' in page


def rewritten(runs, name, root, change):  # noqa: F811
    """The head of the report of a run after ``change(entries)`` of its record."""
    folder = copy_of(runs, name, root)
    record = folder / 'validation.jsonl'
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    change(entries)
    record.write_text('\n'.join(map(json.dumps, entries)))
    return head_of(checked(build_page(folder)))


def test_the_head_says_whether_a_generator_is_healthy(runs, tmp_path):  # noqa: F811
    def heal(entries):
        entries[-1]['warnings'] = {}

    def break_down(entries):
        entries[-1] |= {'warnings': {'diverged': 'It makes values that are no numbers: lower the rates.'},
                        'figures': dict.fromkeys(entries[-1]['figures'])}

    head = rewritten(runs, 'one', tmp_path / 'a', heal)
    assert 'low-resolution (LR)' in head and 'This run looks healthy.' in head and 'No warnings at iteration 6' in head
    assert re.search(r'from that of real LR photos is [\d.]+; it is 1 between real photos and [\d.]+', head)
    folder = copy_of(runs, 'one', tmp_path / 'early')
    [options] = folder.glob('*.yml')
    options.write_text(re.sub(r'total_iter: 6\b', 'total_iter: 61', options.read_text()))
    record = folder / 'validation.jsonl'
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    heal(entries)
    record.write_text('\n'.join(map(json.dumps, entries)))
    head = head_of(checked(build_page(folder)))
    assert 'too early to tell' in head and 'at iteration 7' in head and 'looks healthy' not in head
    head = rewritten(runs, 'one', tmp_path / 'b', break_down)
    assert 'does not look healthy yet.</strong> One warning at iteration 6' in head and 'lower the rates' in head


def test_the_head_says_whether_the_branches_are_healthy(runs, tmp_path):  # noqa: F811
    def fall(entries):
        for entry in entries:
            if entry['dataset'] == 'pairs':
                entry['metrics']['psnr'] = 25.0 if entry['iter'] < 6 else 20.0
                entry['figures']['branch_disagreement'] = 0.01

    def rise(entries):
        for entry in entries:
            entry['metrics']['psnr'] = 20.0 + entry['iter']

    head = rewritten(runs, 'two', tmp_path / 'a', fall)
    assert '2 warnings' in head and 'have become copies' in head and 'train.collab_opt' in head
    assert 'psnr has been better: 25.00 at iteration' in head and 'net_g_best.pth' in head
    head = rewritten(runs, 'two', tmp_path / 'b', rise)
    assert 'This run looks healthy.' in head and 'psnr of the ensemble is 26.00, the best so far' in head


def test_the_head_tells_of_a_lost_branch(runs, tmp_path):  # noqa: F811
    folder = copy_of(runs, 'two', tmp_path)
    assert 'S_2 restored' not in head_of(checked(build_page(folder)))
    pictures = read_pictures(folder, 'branches')
    for name, picture in pictures.items():
        if name.startswith('branches_'):
            picture[1] = np.where(picture[1] > 99, 255, 0)
    write_pictures(folder, 'branches', pictures)
    head = head_of(checked(build_page(folder)))
    assert 'S_2 restored nothing but black and white' in head and 'S_1' not in head
    pictures['branches_0'][1, 0, 0, 0] = 7
    write_pictures(folder, 'branches', pictures)
    assert 'S_2 restored' not in head_of(checked(build_page(folder)))


def torn(content):
    return content[:len(content) // 2]


def foreign(content):
    return (b'\xff\xfe\n[1]\n"x"\n{"iter": "a", "dataset": "b"}\n'
            b'{"iter": 4, "dataset": "b", "metrics": {"psnr": "x"}}\n'
            b'{"iter": 5, "dataset": "b", "metrics": {}, "figures": {"haar_distance": 1}, "warnings": {}}\n')


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes(255 - value for value in content[middle:middle + 300]) + content[middle + 300:]


@pytest.mark.parametrize('pattern, spoil', [
    ('pictures_*.npz', torn), ('pictures_*.npz', flipped), ('pictures_*.npz', foreign),
    ('validation.jsonl', torn), ('validation.jsonl', foreign), ('train_*.log', flipped), ('train_*.log', None),
    ('*.yml', None), ('*.yml', lambda _: b'model_type: DegradationGANModel\ntrain: 3\ndatasets: [1]\nlogger: y\n'),
    ('models/net_g_best.json', foreign),
])
def test_spoilt_and_missing_files_cost_no_report(runs, tmp_path, pattern, spoil):  # noqa: F811
    folder = copy_of(runs, 'one', tmp_path)
    (file,) = folder.glob(pattern)
    if spoil is None:
        file.unlink()
    else:
        file.write_bytes(spoil(file.read_bytes()))
    page = checked(build_page(folder))
    assert 'What was run' in headings(page)
    if pattern.startswith('pictures'):
        assert 'made for this report with net_g_latest.pth' in page


def test_pictures_that_lack_some_are_made_anew(runs, tmp_path):  # noqa: F811
    folder = copy_of(runs, 'two', tmp_path)
    np.savez(folder / 'pictures_branches.npz', lq_0=np.zeros((3, 8, 8), np.uint8))
    assert 'made for this report with' in checked(build_page(folder))


def test_a_run_that_has_just_begun(tmp_path):
    (tmp_path / 'train_x_1.log').write_text('2026-01-01 00:00:00,000 INFO: \n  PyTorch: 2.6\n')
    page = checked_without_pictures(build_page(tmp_path))
    assert 'Running, at iteration 0' in page and 'The log holds no losses yet.' in page
    (tmp_path / 'broken.yml').write_text('a: [1')
    os.utime(tmp_path / 'train_x_1.log', (1e9, 1e9))
    assert 'Broken off' in build_page(tmp_path)


def checked_without_pictures(page):
    checker = Checker()
    checker.feed(page)
    assert not checker.mistakes and not checker.open
    return page


def test_mistakes_are_one_sentence(tmp_path, capsys):
    assert report.main([str(tmp_path / 'none')]) == 2
    assert 'there is no experiment' in capsys.readouterr().err
    with pytest.raises(UserError, match='is no experiment'):
        read_experiment(tmp_path)


def test_a_place_that_cannot_be_written_is_named(runs, tmp_path, capsys):  # noqa: F811
    (tmp_path / 'file').write_text('')
    assert report.main([str(runs / 'experiments' / 'two'), '-o', str(tmp_path / 'file' / 'x.html')]) == 2
    assert 'cannot be written' in capsys.readouterr().err


def test_names_cannot_break_the_page(runs, tmp_path):  # noqa: F811
    folder = copy_of(runs, 'one', tmp_path)
    record = folder / 'validation.jsonl'
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    evil = '<script>alert(1)</script>'
    entries[-1]['photos'] = {evil: entries[-1]['metrics']}
    record.write_text('\n'.join(map(json.dumps, entries)))
    page = checked(build_page(folder))
    assert evil not in page and text(evil) in page


# --- reading logs -----------------------------------------------------------------------------------------------------

LINE = ('2026-01-0{day} 10:00:{second:02d},123 INFO: [a..][epoch:  0, iter:   {i:,}, lr:(1.000e-04,5.000e-04,)] '
        '[eta: 0:00:01, time (data): 0.250 (0.010)] l_d: {value} out_d_real: 5.0e-01 \n')


def test_logs_of_a_resumed_run_are_one(tmp_path):
    (tmp_path / 'train_a_1.log').write_text(
        ''.join(LINE.format(day=1, second=i % 60, i=1000 + i, value=f'{i}.0e+00') for i in range(4)))
    time.sleep(0.02)
    (tmp_path / 'train_a_2.log').write_text(
        ''.join(LINE.format(day=3, second=i, i=1000 + i, value=9.5 if i < 5 else 'nan') for i in range(2, 6))
        + '2026-01-03 10:00:20,000 WARNING: colours\n2026-01-03 10:00:30,000 INFO: End of training. Time\n')
    log = read_logs(tmp_path)
    assert list(log.values['l_d'].items())[:4] == [(1000, 0), (1001, 1), (1002, 9.5), (1003, 9.5)]
    assert math.isnan(log.values['l_d'][1005]) and log.last_iter == 1005
    assert log.rates[1005] == [1e-4, 5e-4] and log.seconds[1000] == 0.25
    assert log.ended and log.files == 2 and log.warnings == ['colours']
    assert log.working == 3 + 28  # the two days between do not count


# --- charts and markup ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('points', [
    [(0, 1.0)], [(0, 2.0), (10, 2.0)], [(0, 0.0), (5, 0.0)], [(1, 1e-9), (2, 1e9)],
    [(0, -3.0), (7, math.nan), (9, 4.0)], [(k, k % 7) for k in range(5000)], [(0, math.inf), (1, 1.0)],
    [(100000, 0.5), (900000, 0.25)],
])
@pytest.mark.parametrize('log', [False, True])
def test_charts_of_any_numbers_stay_on_the_page(points, log):
    chart = line_chart([Line('a <b>', points, 0), Line('other', points, 6)], 'iteration', 'y (dB)', log=log)
    assert 'iteration' in chart and 'y (dB)' in chart and 'a &lt;b&gt;' in chart and 'nan' not in chart
    pairs = ' '.join(re.findall('points="([^"]*)"', chart)).split()
    places = [tuple(map(float, pair.split(','))) for pair in pairs]
    assert places and all(66 <= x <= 506 and 11 <= y <= 254 for x, y in places)
    assert len(re.findall('text-anchor="end"', chart)) >= 2  # ticks
    styles = re.findall('stroke="(#[^"]*)" stroke-width="2" stroke-dasharray="([^"]*)"', chart)
    assert len({dash for _, dash in styles}) == 2  # told apart without colours


def labels(chart):
    return re.findall('<text[^>]*>([^<]*)</text>', chart)


def test_ticks_are_round_numbers():
    shown = labels(line_chart([Line('a', [(10, 24.0), (120, 120.0)])], 'iteration', 'levels', from_zero=True))
    assert {'25', '50', '100'} <= set(shown) and not any('.' in label for label in shown)
    assert {'0.25', '0.50'} <= set(labels(line_chart([Line('a', [(0, 0.0), (1, 1.24)])], 'x', 'y')))


def test_what_starts_at_zero_has_no_ticks_below():
    shown = labels(line_chart([Line('draws', [(40, 0.0), (80, 0.0)])], 'iteration', 'levels', from_zero=True))
    assert '0.0' in shown and not any(label.startswith('-') for label in shown)


def test_charts_without_values_say_so():
    assert 'No values yet' in line_chart([Line('a', [(0, math.nan)])], 'x', 'y')
    assert bar_chart([], 'x') == '' and 'rect' in bar_chart([('a', 0.0), ('b', math.nan)], 'levels')


def test_numbers_read_well():
    assert [number(value) for value in (None, math.nan, 0, 1e-9, 0.00012, 1.23456, 123456.0)] \
        == ['–', '–', '0', '0', '1.2e-04', '1.23', '123,456']
    assert [exact(value) for value in (None, 28.0, 0.85)] == ['–', '28.00', '0.8500']
    assert '…/c/d/e' in short_path('/a/b/c/d/e') and short_path('a/b') == '<span title="a/b">a/b</span>'


@pytest.mark.parametrize('size', [(1, 1), (7, 5), (300, 280)])
def test_pictures_are_part_of_the_page(size):
    picture = np.zeros((3, *size), np.uint8)
    picture[0] = 200  # red
    kind, data = data_uri(picture).split(';base64,')
    import base64

    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1)
    assert kind == f'data:image/{"jpeg" if size[0] == 300 else "png"}' and decoded.shape == (*size, 3)
    assert abs(decoded[0, 0].astype(int) - (0, 0, 200)).max() < 6


# --- in a browser -----------------------------------------------------------------------------------------------------

PROBE = """<script>addEventListener('load', () => {
  for (const input of document.querySelectorAll('.slider input')) {
    input.value = 20; input.dispatchEvent(new Event('input'));
  }
  const images = [...document.images], texts = [...document.querySelectorAll('.chart text')];
  document.body.dataset.probe = JSON.stringify({
    broken: images.filter(image => !image.naturalWidth).length, images: images.length,
    overflow: document.documentElement.scrollWidth - innerWidth,
    cut: texts.filter(t => { const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1; }).map(t => t.textContent),
    crossed: texts.flatMap(t => [...t.closest('svg').querySelectorAll('text')].filter(other => {
      const a = t.getBoundingClientRect(), b = other.getBoundingClientRect();
      return t !== other && a.left < b.right - 1 && b.left < a.right - 1
        && a.top < b.bottom - 3 && b.top < a.bottom - 3;
    }).map(other => t.textContent + ' | ' + other.textContent)),
    sliders: [...document.querySelectorAll('.slider')].map(s => s.style.getPropertyValue('--at')),
    clip: [...document.querySelectorAll('.before')].map(b => getComputedStyle(b).clipPath)});
});</script></body>"""


def browse(tmp_path, page, width, *flags):
    file = tmp_path / 'page.html'
    file.write_text(page)
    return subprocess.run(
        [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--no-first-run', '--hide-scrollbars',
         '--host-resolver-rules=MAP * ~NOTFOUND', f'--user-data-dir={tmp_path / "profile"}',
         f'--window-size={width},2600', *flags, file.as_uri()], capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium')
@pytest.mark.parametrize('name', ['one', 'two'])
def test_a_browser_shows_the_page_offline(runs, tmp_path, name):  # noqa: F811
    page = build_page(runs / 'experiments' / name)
    for width in (1200, 500):
        shown = browse(tmp_path, page.replace('</body>', PROBE), width, '--dump-dom').stdout
        probe = json.loads(re.search('data-probe="([^"]*)"', shown)[1].replace('&quot;', '"'))
        assert probe['images'] > 8 and probe['broken'] == 0
        assert probe['overflow'] <= 0 and probe['cut'] == [] and probe['crossed'] == []
        assert probe['sliders'] == ['20%'] * (3 if name == 'two' else 0)
        assert all('80%' in clip for clip in probe['clip'])

    browse(tmp_path, page, 1200, f'--screenshot={tmp_path / "page.png"}')
    picture = cv2.imread(str(tmp_path / 'page.png'))
    assert picture.shape[:2] == (2600, 1200)
    assert (picture < 250).any(axis=2).mean() > 0.03  # not a blank page
    blue = (abs(picture.astype(int) - (0xB2, 0x72, 0x00)).max(axis=2) < 12).sum()
    assert blue > 500  # the lines of the charts


@pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium')
def test_a_browser_cuts_no_tick(tmp_path):
    charts = ''.join(line_chart([Line('a', [(0, low), (last, high)])], 'iteration', 'y (levels)')
                     for last, low, high in ((1000, 0, 1), (90000, 1e-7, 9e-7), (1000000, -90000, 90000)))
    style = (ROOT / 'mssr_report' / 'style.css').read_text()
    page = f'<meta charset="utf-8"><style>{style}</style><body>{charts}{PROBE}'
    probe = json.loads(re.search('data-probe="([^"]*)"', browse(tmp_path, page, 1200, '--dump-dom').stdout)[1]
                       .replace('&quot;', '"'))
    assert probe['cut'] == [] and probe['crossed'] == []
