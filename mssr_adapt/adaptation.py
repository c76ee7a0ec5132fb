"""Two folders in, restored photos out: all parts in order, each once, whatever interrupts them."""

import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mssr_adapt.choice import SETTINGS, SHARES, Judge, choose
from mssr_adapt.clock import SEARCH, Bar, fitting, seconds_per_iteration
from mssr_adapt.folders import Folder, check_roles, look, write_bundled
from mssr_adapt.option_files import TRIAL, OptionFiles
from mssr_adapt.pairs import Scores, measure_pairs
from mssr_adapt.starts import BUNDLED, Start, read_start
from mssr_adapt.ways import Way, interpolated, read_peers, restoring, with_weights
from mssr_arch.imresize import bicubic_downsample
from mssr_arch.sr_ensemble_arch import SREnsemble
from mssr_compat.checkpoint import read_weights
from mssr_compat.errors import UserError
from mssr_compat.files import file_hash, plain, replacing, write_whole
from mssr_compat.provenance import STARTED_FROM
from mssr_data.decoding import CorruptImageError
from mssr_degradation import LearnedDegradation
from mssr_degradation.real_photos import matched_shares, read_hr, read_real
from mssr_inference.command_line import choose_device
from mssr_inference.memory import free_on_cpu
from mssr_inference.networks import load_upscaler
from mssr_inference.picture_files import decoded_bytes
from mssr_inference.restorer import Restorer
from mssr_inference.upscale_files import list_jobs, upscale_file
from mssr_inference.upscaler import Upscaler
from mssr_metric.photo_sets import as_bytes
from mssr_options.reader import read_options
from mssr_report.adaptation_page import Adapted, adaptation_page, score_rows
from mssr_train.job import Job

PHOTOS, FEWEST, SIDE = 12, 4, 64  # real LR photos that the choice is made on, and pixels a side of their middle
CHOOSING = 300.0  # seconds that the choice may take where that leaves enough photos
REPORTING = 5.0  # seconds of the report
TRIALS = len(SHARES) * len(SETTINGS)
PARTS = {'degradation': 'learn the degradation', 'learning': 'learn to restore', 'choose': 'choose',
         'restore': 'restore', 'report': 'report'}  # those that take long, and what the bar calls them
CURVE = (0.0, 0.25, 0.5, 0.75, 1.0)  # settings that the report shows
CACHED = 24  # bytes of memory that a pixel of a photo may take, where prepared photos overlap and two trainings run
_RATE = re.compile(r'train\.find_rate: the rate of optim_g is (\S+)')


@dataclass
class Request:
    """What ``adapt.py`` is asked for."""

    real: Path
    out: Path
    clean: Path | None = None  #: None: photographs that scikit-image brings along
    start: list[Path] = field(default_factory=list)  #: empty: the one that ships
    minutes: float | None = None  #: None: the recipes' lengths
    perception: float | None = None  #: None: chosen without pairs
    scale: int = 4
    device: str = 'auto'
    pairs: tuple[Path, Path] | None = None  #: folders of ground truth and of LR photos to measure on
    peers: list[Path] = field(default_factory=list)  #: other upscalers, to compare with
    seed: int = 0  #: of both trainings
    threads: int = field(default_factory=torch.get_num_threads)  #: of this process and of what it starts

    def digest(self) -> dict[str, Any]:
        """What must be the same where an adaptation goes on.

        Raises:
            UserError: a file of the start is not there.
        """
        missing = next((path for path in self.start if not path.is_file()), None)
        if missing:
            raise UserError(f'--start {missing}: there is no such file.')
        return {'clean': str(self.clean.resolve()) if self.clean else None, 'real': str(self.real.resolve()),
                'start': [file_hash(path) for path in self.start], 'scale': self.scale,
                **({'seed': self.seed} if self.seed else {})}


class Adaptation:
    """One adaptation, in the folder that it writes to.

    ``OUT/restored``, ``OUT/restorer.safetensors``, ``OUT/degradation.safetensors``, ``OUT/report.html`` and
    ``OUT/options`` are for the user; ``OUT/work`` holds data, experiments and logs. What is done is in
    ``OUT/work/adaptation.json``: a second call goes on from there.

    Args:
        request: what is wanted.
        say: takes what there is to tell.

    Raises:
        UserError: the folder holds another adaptation, or something that does not fit; in all methods, too.
    """

    def __init__(self, request: Request, say: Callable[[str], None]) -> None:
        self.say = say
        self.request, self.out, self.work = request, request.out, request.out / 'work'
        self.record_file = self.work / 'adaptation.json'
        self.record = {'request': plain(request.digest()), 'seconds': 0.0, 'done': [], 'failures': []}
        if self.record_file.is_file():
            record = json.loads(self.record_file.read_text())
            if record['request'] != self.record['request']:
                raise UserError(f"--out '{self.out}' holds an adaptation of other photos, or from another start: give "
                                'another folder, or remove it.')
            self.record = record
        self.began = time.monotonic()
        self.before = self.record['seconds']  # of earlier calls
        self.bar: Bar | None = None
        self.jobs: list[Job] = []
        self.checkpoint = self.work / 'experiments' / 'degradation' / 'models' / 'net_g_latest.pth'
        self.data = self.work / 'data'
        self.peers: dict[str, Way] = read_peers(request.peers, request.scale)

    @property
    def seconds(self) -> float:
        """Spent so far, earlier calls included."""
        return self.before + time.monotonic() - self.began

    def run(self) -> None:
        """All of it, or what is left of it."""
        if self.record.get('compared', self._compared) != self._compared:
            self.record['done'].remove('report')  # other pairs or upscalers to compare with
        clean, real = self._look()
        start = read_start(self.request.start or [BUNDLED], self.request.scale, clean.photos)
        self.say(f'start   {", ".join(path.name for path in start.files)}: {_kind(start)}')
        try:
            files = self._option_files(start, clean, real)
            self._part('prepare', self._prepare, clean, real)
            self._part('plan', self._plan, files, start)
            self._show_progress()
            self._part('degradation', self._learn_degradation, files)
            self._part('learning', self._learn_restoring, files, start)
            self._part('choose', self._choose, start, clean, real)
            self._part('restore', self._restore)
            self._part('report', self._report, start, clean, real)
        except BaseException:
            for job in self.jobs:
                job.stop()
            raise
        finally:
            if self.bar:
                self.bar.close()
            self._note()
        self.say(f'restored photos   {self.out / "restored"}\nrestorer          {self.restorer_file}\n'
                 f'report            {self.out / "report.html"}\n'
                 f'All of it took {timedelta(seconds=round(self.seconds))}.')

    def _part(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        """Do a part, unless an earlier call has."""
        if name in self.record['done']:
            return
        if name in PARTS:
            self.bar.enter(PARTS[name])
        work(*arguments)
        if name in PARTS:
            self.bar.leave()
        self.record['done'].append(name)
        self._note()

    # --- parts, in order ------------------------------------------------------------------------------------------

    def _look(self) -> tuple[Folder, Folder]:
        request = self.request
        clean = look(request.clean or write_bundled(self.work / 'clean'), '--clean')
        real = look(request.real, '--real')
        check_roles(clean, real)
        self.say(f'clean   {clean.described()}')
        if request.clean is None:
            self.say(f'        (--clean is missing: {clean.count} photographs of scikit-image stand in; a hundred or '
                     'so that are like the real ones in content give better results)')
        self.say(f'real    {real.described()}')
        return clean, real

    def _option_files(self, start: Start, clean: Folder, real: Folder) -> OptionFiles:
        file = self.work / 'start.pth'
        if not file.is_file():
            self.work.mkdir(parents=True, exist_ok=True)
            with replacing(file) as aside:
                torch.save({'params': start.trained, 'network': start.options, 'scale': start.scale,
                            STARTED_FROM: start.origins}, aside)
        on_cpu = choose_device(self.request.device).type == 'cpu'
        photos = sum(folder.count * folder.sides[0] * folder.sides[1] for folder in (clean, real))
        return OptionFiles(self.out / 'options', self.data / 'train-clean-images', self.data / 'train-noisy-images',
                           start.scale, file, self.checkpoint, 0 if on_cpu else 'auto',
                           CACHED * photos < free_on_cpu(), self.request.seed)

    def _prepare(self, clean: Folder, real: Folder) -> None:
        """Cut the photos into parts that are read fast, all of 8 bits."""
        self.say('Preparing the photos ...')
        self._run('prepare', ['-m', 'mssr_prepare', '--gt', str(clean.path), '--lq', str(real.path), '--out',
                              str(self.data), '--scale', str(self.request.scale)])

    def _plan(self, files: OptionFiles, start: Start) -> None:
        """Try how fast this machine is, and settle lengths once for all."""
        self.say('Trying how fast this machine is ...')
        self.record |= {'speeds': [], 'starts': []}
        for trials in ([files.trial(files.generator())],
                       [files.trial(files.learning(name=name, on_bicubic=True))
                        for name in ('one', 'other')[:self._trainings(start)]]):
            begun = time.monotonic()
            longest = max(self._train(trials), key=lambda log: log.stat().st_size)
            seconds, speed = time.monotonic() - begun, seconds_per_iteration(longest)
            self.record['speeds'].append(speed)
            self.record['starts'].append(max(seconds - TRIAL * speed, 0))
        self.record['forward'] = self._seconds_per_pixel(start)
        whole, _ = files.recipe_crops()
        others = self.seconds + sum(self._starts) + self._after_trainings()
        *lengths, batch = fitting(OptionFiles.recipe_lengths(), tuple(self.record['speeds']), others,
                                  self.request.minutes, whole)
        if batch < whole:
            self.say(f'The start is slow on this machine: it learns from batches of {batch} instead of {whole}.')
        self.record['speeds'][1] *= batch / whole
        self.record |= {'lengths': lengths, 'batch': batch}
        shutil.rmtree(self.work / 'experiments', ignore_errors=True)
        for file in (path for name in ('trial_*', 'one', 'other') for path in files.folder.glob(f'{name}.yml')):
            file.unlink()

    def _show_progress(self) -> None:
        """Say how long what is left takes, and show a bar from here on."""
        (i1, i2), (s1, s2) = self.record['lengths'], self.record['speeds']
        one, other = self._starts
        expected = {'degradation': one + i1 * s1, 'learning': other + (i2 + SEARCH) * s2, 'choose': self._choosing(),
                    'restore': self._restoring(), 'report': REPORTING}
        self.bar = Bar({PARTS[name]: seconds for name, seconds in expected.items()
                        if name not in self.record['done']})
        left = timedelta(seconds=round(sum(self.bar.parts.values())))
        self.say(f'This takes about {left}: {i1} iterations for the degradation, {i2} for restoring, then '
                 f'{len(self._photos())} photos. It may be stopped (Ctrl-C); the same command goes on.')

    def _learn_degradation(self, files: OptionFiles) -> None:
        """Stage 1."""
        self._train([files.generator(self.record['lengths'][0])])
        degradation = LearnedDegradation.load(self.checkpoint)
        sets = {'dataroot_gt': str(files.clean), 'dataroot_lq': str(files.real)}
        degradation.strength = [0, 0.7]
        degradation.noise = matched_shares(degradation, read_hr(sets, degradation.scale), read_real(sets))
        degradation.save(self.degradation_file)
        if self.request.minutes is not None:  # what stage 1 took more or less, stage 2 takes less or more
            left = 60 * self.request.minutes - self.seconds - self._starts[1] - self._after_trainings()
            planned = self.record['lengths'][1]
            crops, size = files.recipe_crops()
            drawing = self._seconds_of(lambda: degradation(torch.rand(self.record.get('batch', crops), 3, size, size)))
            fits = round(left / (self.record['speeds'][1] + drawing)) - SEARCH  # the trial drew nothing
            self.record['lengths'][1] = min(max(fits, planned // 3, 10), 3 * planned)

    def _learn_restoring(self, files: OptionFiles, start: Start) -> None:
        """Stage 2: on draws and, where the start is one of perception alone, on bicubic LR at the same rate."""
        size = {'iterations': self.record['lengths'][1], 'batch': self.record.get('batch')}
        options = [files.learning(**size)]
        if self._trainings(start) == 2:
            options.append(lambda: files.learning(name='on_bicubic', on_bicubic=True, rate=self._found_rate(), **size))
        self._train(options)

    def _choose(self, start: Start, clean: Folder, real: Folder) -> None:
        F = self._learned('on_draws')
        B = self._learned('on_bicubic') if self._trainings(start) == 2 else None
        judge = Judge(self._crops(real), LearnedDegradation.load(self.degradation_file), clean.photos)
        restorer, chosen, tried = choose(start, F, B, judge, lambda done, total: self.bar.at(done / total))
        if self.request.perception is not None:
            restorer.setting = self.request.perception
        restorer.save(self.restorer_file)
        shutil.rmtree(self.out / 'restored', ignore_errors=True)
        before = {name: judge.measure(restore) for name, restore in (
            ('interpolation', interpolated(start.scale)),
            ('start', with_weights(start.options, start.scale, start.trained)))}
        curve = {setting: judge.measure(restoring(restorer, setting)) for setting in CURVE}
        rows = [(one.share, one.setting, *one.figures, one.cost) for one in tried]
        self.record |= {'share': chosen.share, 'tried': rows,
                        'before': {name: list(figures) for name, figures in before.items()},
                        'curve': {str(setting): list(figures) for setting, figures in curve.items()}}

    def _restore(self) -> None:
        """All real photos; those that were restored in an earlier call stay."""
        upscaler = Upscaler(load_upscaler(self.restorer_file), choose_device(self.request.device))
        jobs, failures = self._photos(), []
        for k, job in enumerate(jobs):
            if not job.target.exists():
                try:
                    upscale_file(upscaler, job.source, job.target, job.format)
                except (CorruptImageError, MemoryError) as error:
                    failures.append(f'{job.source}: {error}')
            self.bar.at((k + 1) / len(jobs))
        self.record['failures'] = failures
        for failure in failures:
            self.bar.say(f'not restored: {failure}')

    def _report(self, start: Start, clean: Folder, real: Folder) -> None:
        restorer, degradation = Restorer.load(self.restorer_file), LearnedDegradation.load(self.degradation_file)
        crops, enlarge = self._crops(real), interpolated(start.scale)
        restore, shown = restoring(restorer), crops[len(crops) // 2]
        with torch.no_grad():
            photos = [{'before': pixels(enlarge(x[None])), 'after': pixels(restore(x[None]))} for x in crops[:6]]
            knob = [('interpolation', pixels(enlarge(shown[None])))]
            knob += [(f'{setting:g}', pixels(restoring(restorer, setting)(shown[None]))) for setting in CURVE]
            y = clean.photos[0][None]
            y = y[..., :y.shape[-2] // start.scale * start.scale, :y.shape[-1] // start.scale * start.scale]
            draws = [('a real photo', pixels(shown[None])),
                     ('clean, bicubic LR', pixels(bicubic_downsample(y, start.scale)))]
            random = torch.Generator().manual_seed(0)
            draws += [(f'clean, draw {k}', pixels(degradation(y, generator=random))) for k in (1, 2)]
        found = [('clean', clean.described()), ('real', real.described()),
                 ('start', ', '.join(path.name for path in start.files))]
        tried = [(share, setting, tuple(figures)) for share, setting, *figures in self.record['tried']]
        before = self.record['before']
        if self.peers:
            judge = Judge(crops, degradation, clean.photos)
            before = {**before, **{name: list(judge.measure(way)) for name, way in self.peers.items()}}
        write_whole(self.out / 'report.html', adaptation_page(Adapted(
            self.out.resolve().name, found, photos, knob, draws, before,
            {float(setting): figures for setting, figures in self.record['curve'].items()}, tried,
            self.record['share'], restorer.setting, *self._against_truth(start, restorer), self.seconds / 60)))
        self.record['compared'] = self._compared

    def _against_truth(self, start: Start, restorer: Restorer
                       ) -> tuple[list[str], dict[str, Scores], dict[float, Scores]]:
        """Metrics, and figures of other ways to enlarge and of settings of the knob, where there are pairs; printed."""
        if self.request.pairs is None:
            return [], {}, {}
        ways: dict[str | float, Way] = {
            'interpolation': interpolated(start.scale),
            'start': with_weights(start.options, start.scale, start.trained), **self.peers,
            **{setting: restoring(restorer, setting) for setting in sorted({*CURVE, restorer.setting})}}
        metrics, scores = measure_pairs(ways, *self.request.pairs, start.scale)
        others = {name: score for name, score in scores.items() if isinstance(name, str)}
        curve = {setting: score for setting, score in scores.items() if not isinstance(setting, str)}
        shown = score_rows(others, {setting: curve[setting] for setting in (0.0, restorer.setting, 1.0)})
        widest = max(len(row[0]) for row in shown)
        for first, *cells in [('', *metrics), *shown]:
            self.bar.say('  '.join([f'{first:>{widest}}', *(f'{cell:>9}' for cell in cells)]))
        return metrics, others, curve

    # --- what they are made of ------------------------------------------------------------------------------------

    @property
    def _compared(self) -> list:
        """What the report is beside."""
        return [[str(path.resolve()) for path in paths] for paths in (self.request.pairs or (), self.request.peers)]

    @property
    def restorer_file(self) -> Path:
        return self.out / 'restorer.safetensors'

    @property
    def degradation_file(self) -> Path:
        return self.out / 'degradation.safetensors'

    def _photos(self) -> list:
        return list_jobs(str(self.request.real), str(self.out / 'restored'))

    @staticmethod
    def _trainings(start: Start) -> int:
        return 1 if start.fidelity is not None else 2

    @property
    def _looked_at(self) -> int:
        """How many real photos the choice is made on: fewer where the network is slow."""
        return min(max(int(CHOOSING / self._per_photo()), FEWEST), PHOTOS)

    def _crops(self, real: Folder) -> list[torch.Tensor]:
        """The middles of some real photos."""
        count = min(self._looked_at, len(real.photos))
        some = [real.photos[int(k * len(real.photos) / count)] for k in range(count)]
        return [photo[:, (photo.shape[1] - h) // 2:, (photo.shape[2] - w) // 2:][:, :h, :w] for photo in some
                for h, w in [(min(photo.shape[1], SIDE), min(photo.shape[2], SIDE))]]

    def _seconds_per_pixel(self, start: Start) -> float:
        """Of an LR photo that the start enlarges."""
        net, x = SREnsemble([start.options]).eval().requires_grad_(False), torch.rand(1, 3, SIDE, SIDE)
        return self._seconds_of(lambda: net(x)) / SIDE**2

    @staticmethod
    @torch.no_grad()
    def _seconds_of(work: Callable[[], object]) -> float:
        """The least of three."""
        times = []
        for _ in range(3):
            begun = time.monotonic()
            work()
            times.append(time.monotonic() - begun)
        return min(times)

    @property
    def _starts(self) -> list[float]:
        """Seconds before the first iteration of each training, about."""
        return self.record.get('starts', [0.0, 0.0])

    def _choosing(self) -> float:
        """Seconds that the choice takes, about."""
        return self._looked_at * self._per_photo()

    def _per_photo(self) -> float:
        return self.record['forward'] * SIDE**2 * (TRIALS + len(CURVE) + 2) * 1.5

    def _restoring(self) -> float:
        pixels = sum(decoded_bytes(job.source)[0] for job in self._photos())
        return self.record['forward'] * pixels * 1.3 + 0.1 * len(self._photos())

    def _after_trainings(self) -> float:
        """Seconds of all that follows them, about."""
        return self._choosing() + self._restoring() + REPORTING

    def _found_rate(self) -> float | None:
        """The rate that the training on draws has found; None: not yet."""
        log = self.work / 'logs' / 'on_draws.log'
        found = _RATE.search(log.read_text(encoding='utf-8', errors='replace')) if log.is_file() else None
        return float(found[1]) if found else None

    def _learned(self, name: str) -> dict[str, torch.Tensor]:
        file = self.work / 'experiments' / name / 'models' / 'net_g_latest.pth'
        state = read_weights(file, param_key='params_ema')
        return {key.removeprefix('branches.0.'): tensor for key, tensor in state.items()}

    def _train(self, options: list) -> list[Path]:
        """Train option files side by side; one that is a function is called when its rate is known. Their logs."""
        waiting, running, lengths, logs = list(options), [], [], []
        threads = max(self.request.threads // len(options), 1)
        while waiting or any(job.status is None for job in running):
            if waiting and (not callable(waiting[0]) or self._found_rate() is not None):
                file = waiting.pop(0)
                file = file() if callable(file) else file
                logs.append(self.work / 'logs' / f'{file.stem}.log')
                command = [sys.executable, '-m', 'mssr_train', str(self.work), '-opt', str(file), '--auto_resume']
                running.append(self._job(command, logs[-1], threads))
                lengths.append(read_options(str(file))['train']['total_iter'])
            for job in running:
                if job.status:
                    raise UserError(f'{job.log.stem} failed; {job.log} ends in: {"".join(job.last_lines(1))}')
            if self.bar:
                done = [job.iteration()[0] / length for job, length in zip(running, lengths, strict=True)]
                self.bar.at(min(sum(done) / len(options), 1))
            time.sleep(0.3)
        self.jobs.clear()
        return logs

    def _run(self, name: str, command: list[str]) -> None:
        job = self._job([sys.executable, *command], self.work / 'logs' / f'{name}.log', self.request.threads)
        while job.status is None:
            time.sleep(0.1)
        self.jobs.clear()
        if job.status:
            raise UserError(''.join(job.last_lines(1)).removeprefix('error: ') or f'{name} failed: see {job.log}')

    def _job(self, command: list[str], log: Path, threads: int) -> Job:
        job = Job(command, log, threads, append=True, apart=True)
        self.jobs.append(job)
        return job

    def _note(self) -> None:
        self.record['seconds'] = self.seconds
        write_whole(self.record_file, json.dumps(plain(self.record), indent=1))


def pixels(image: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) RGB in [0, 1] as (3, H, W) uint8."""
    return as_bytes(image[0]).numpy()


def _kind(start: Start) -> str:
    if start.fidelity is not None and start.perception is not None:
        return 'both ends, fidelity and perception'
    return 'trained for fidelity' if start.fidelity is not None else 'trained to look sharp'
