"""Which upscaler restores real photos best? Any checkpoints beside interpolation and each other, on pairs.

    python -m benchmarks.evidence.peers WORLD --checkpoint SPAN=FILE Real-ESRGAN=FILE
    python -m benchmarks.evidence.peers WORLD --checkpoint ... --curve ours=RESTORER     at five settings of its knob
    python -m benchmarks.evidence.peers WORLD --restorer ours=SEED0@0.5 ours=SEED1@0.5   one row of two seeds
    python -m benchmarks.evidence.peers --pairs realsr=LR_FOLDER,HR_FOLDER --strip PHOTO --show bicubic SPAN+lock

Each file gives two rows: as it is, and with --color-lock (NAME+lock). Figures: PSNR and SSIM by protocol mssr, LPIPS
(AlexNet), and the power of the result in four octaves against the truth's; differences are paired by photo, against
bicubic interpolation and against the best peer, which is the best row of --checkpoint in that figure. A photo's figures
are kept in OUT by the file's hash: a command that was stopped goes on where it was, and only what is new is measured.
Results: OUT/peers.md, peers.json and scatter_SET.svg, in which --half adds its name, and strip_PHOTO.png.
"""

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.evidence.__main__ import guarded, say
from benchmarks.evidence.measure import image_figures, octave_figures
from benchmarks.evidence.peer_report import BICUBIC, LOCK, summarize, to_markdown, write_scatter
from benchmarks.evidence.pictures import busiest, write_strip
from benchmarks.evidence.world import HR_VALID, LR_VALID, SCALE, read_pairs, read_rgb, read_tensor
from mssr_compat.errors import UserError
from mssr_compat.files import file_hash, plain, write_whole
from mssr_inference.networks import load_upscaler
from mssr_inference.upscaler import LOCK_SIGMA, Upscaler, lock_color
from mssr_loss.backbone import BACKBONES, find_weights
from mssr_metric.octaves import OCTAVES
from mssr_metric.photo_sets import as_pixels

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0)  # perception
HALVES = ('both', 'first', 'second')
SIDE = 64  # LR pixels of the square that a strip shows

Pairs = dict[str, tuple[Path, Path]]  # photo: (HR, LR)


@dataclass(frozen=True)
class Source:
    """What makes the pictures of one row, or of two: without and with the colour lock."""

    name: str
    path: Path | None = None  #: None: bicubic interpolation (torch's, sharper than MATLAB's)
    perception: float | None = None  #: the knob of a restorer; None: of a file that has none
    is_peer: bool = False

    @property
    def rows(self) -> list[str]:
        return [self.name, f'{self.name}{LOCK}'] if self.path else [self.name]

    @cached_property
    def key(self) -> str:
        """Stands for everything that the pictures depend on."""
        knob = '' if self.perception is None else f'@{self.perception:g}'
        return f'{file_hash(self.path)[:16]}{knob}' if self.path else 'interpolation'

    @cache  # noqa: B019  (as many as the command line names)
    def load(self) -> Callable[[Tensor], Tensor]:
        """What takes LR (1, 3, H, W) to HR.

        Raises:
            UserError: the file holds no SR network of this scale.
        """
        if not self.path:
            return partial(F.interpolate, scale_factor=SCALE, mode='bicubic')
        knob = {} if self.perception is None else {'perception': self.perception}
        loaded = load_upscaler(self.path, remedy='give a file that does', **knob)
        if loaded.scale != SCALE:
            raise UserError(f'{self.name}: {self.path} enlarges {loaded.scale} times, but the pairs are of factor '
                            f'{SCALE}.')
        return Upscaler(loaded, torch.device('cpu'), color_lock=False)  # pictures() does it

    def pictures(self, lr: Path) -> list[np.ndarray]:
        """The picture of each row, (H, W, 3) RGB uint8."""
        lq = read_tensor(lr)[None]
        output = self.load()(lq)
        return [as_pixels(one[0]) for one in (output, lock_color(output, lq, SCALE))[:len(self.rows)]]


def parse(argv: list[str] | None) -> argparse.Namespace:
    about, _, usage = __doc__.partition('\n')
    parser = argparse.ArgumentParser('python -m benchmarks.evidence.peers', description=about, epilog=usage,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    many = {'nargs': '+', 'action': 'extend', 'default': []}
    parser.add_argument('worlds', nargs='*', type=Path, metavar='WORLD', help="folders in AIM2019's layout")
    parser.add_argument('--pairs', **many, metavar='NAME=LR_FOLDER,HR_FOLDER', help='further sets of pairs')
    parser.add_argument('--checkpoint', **many, metavar='NAME=FILE', help='peers: what inference.py -c takes')
    parser.add_argument('--restorer', **many, metavar='NAME=FILE[@P]', help='ours, at perception P from 0 to 1')
    parser.add_argument('--curve', **many, metavar='NAME=FILE', help=f'ours, at P of {", ".join(map(str, CURVE))}')
    parser.add_argument('--half', choices=HALVES, default='both',
                        help='every other pair by name, from the first (to choose by) or the second on (to report)')
    parser.add_argument('--dists', action='store_true', help="DISTS, too: it needs VGG16's weights, and takes long")
    parser.add_argument('--against', **many, metavar='ROW', help='further rows to compare all others with')
    parser.add_argument('--strip', metavar='PHOTO', help='name of the photo that a strip of pictures shows')
    parser.add_argument('--show', **many, metavar='ROW', help='rows in the strip (default: all)')
    parser.add_argument('--out', type=Path, default=Path('results/evidence_peers'), metavar='FOLDER')
    args = parser.parse_args(argv)
    if not args.worlds and not args.pairs:
        raise UserError('Give a WORLD, or --pairs NAME=LR_FOLDER,HR_FOLDER.')
    return args


def read_sets(args: argparse.Namespace) -> dict[str, Pairs]:
    """All pairs of each set, by its name."""
    folders = [(path.expanduser().resolve().name, path / LR_VALID, path / HR_VALID) for path in args.worlds]
    for text in args.pairs:
        name, value = _named('--pairs', text)
        lr, comma, hr = value.partition(',')
        if not comma:
            raise UserError(f'--pairs {text}: it must be NAME=LR_FOLDER,HR_FOLDER.')
        folders.append((name, Path(lr), Path(hr)))
    if len({name for name, *_ in folders}) < len(folders):
        raise UserError('Two sets of pairs have one name: name them apart by --pairs NAME=LR_FOLDER,HR_FOLDER.')
    return {name: read_pairs(hr, lr, name) for name, lr, hr in folders}


def read_sources(args: argparse.Namespace) -> dict[str, list[Source]]:
    """The sources of each name, one for each seed."""
    found = [Source(BICUBIC)]
    for name, path in (_named('--checkpoint', text) for text in args.checkpoint):
        found.append(Source(name, Path(path), is_peer=True))
    for text in args.restorer:
        name, value = _named('--restorer', text)
        path, at, perception = value.rpartition('@')
        if at and perception.replace('.', '', 1).isdecimal():
            if float(perception) > 1:
                raise UserError(f'--restorer {text}: perception goes from 0 to 1.')
            found.append(Source(name, Path(path), float(perception)))
        else:
            found.append(Source(name, Path(value)))
    for name, path in (_named('--curve', text) for text in args.curve):
        found += [Source(f'{name}@{perception:g}', Path(path), perception) for perception in CURVE]
    by_name: dict[str, list[Source]] = {}
    for source in found:
        if source.path and not source.path.is_file():
            raise UserError(f"{source.name}: there is no file '{source.path}'.")
        same = by_name.setdefault(source.name, [])
        if same and (source.is_peer or not same[0].path or same[0].is_peer):
            raise UserError(f"Two rows are called '{source.name}': only --restorer and --curve take a name several "
                            'times, for its seeds.')
        if source.path in (other.path for other in same):
            raise UserError(f"'{source.name}' is given {source.path} twice, but the files of one name are seeds of one "
                            'row: give each setting a name of its own.')
        same.append(source)
    return by_name


def _named(option: str, text: str) -> tuple[str, str]:
    name, _, value = text.partition('=')
    if not name or not value or '@' in name or name.endswith(LOCK):
        raise UserError(f"{option} {text}: it must begin with NAME=, a name without '@' that does not end in '{LOCK}'.")
    return name, value


def half(pairs: Pairs, which: str) -> Pairs:
    """``first``: every other pair by name, from the first on; ``second``: the others; ``both``."""
    if len(pairs) < 2 and which == 'second':
        raise UserError(f"--half second: a single pair, '{next(iter(pairs))}', has no second half.")
    chosen = {'both': slice(None), 'first': slice(0, None, 2), 'second': slice(1, None, 2)}[which]
    return {photo: pairs[photo] for photo in sorted(pairs)[chosen]}


class Kept:
    """Figures of each source and photo, in ``OUT/figures`` by what they were made of."""

    def __init__(self, out: Path, dists: bool) -> None:
        self.dists = dists
        weights = [find_weights(BACKBONES['alex'], None, 'LPIPS')]
        weights += [find_weights(BACKBONES['vgg'], None, '--dists')] if dists else []
        hashes = [file_hash(path) for path in weights]
        settings = json.dumps([hashes[0], OCTAVES, LOCK_SIGMA, *hashes[1:]])
        self.folder = out / 'figures' / hashlib.sha256(settings.encode()).hexdigest()[:8]

    def read(self, source: Source) -> dict[str, list[dict]]:
        """By pair, the figures of each row of a source."""
        path = self.folder / f'{source.key}.json'
        return json.loads(path.read_text()) if path.is_file() else {}

    def missing(self, source: Source, pairs: Pairs) -> list[tuple[Path, Path]]:
        kept = self.read(source)
        return [paths for paths in pairs.values() if _pair_key(paths) not in kept]

    def measure(self, source: Source, pairs: list[tuple[Path, Path]]) -> None:
        kept = self.read(source)
        for hr, lr in pairs:
            truth = read_rgb(hr)
            kept[_pair_key((hr, lr))] = [image_figures(picture, truth, True, self.dists)
                                         | octave_figures(picture, truth) for picture in source.pictures(lr)]
            write_whole(self.folder / f'{source.key}.json', json.dumps(kept))

    def figures(self, sources: dict[str, list[Source]], pairs: Pairs) -> dict:
        """Row to seed to metric to the figure of each photo; a name with one file has the seed ''."""
        found: dict[str, dict] = {}
        for same in sources.values():
            for seed, source in enumerate(same):
                kept = self.read(source)
                for row, photos in zip(source.rows, zip(*(kept[_pair_key(paths)] for paths in pairs.values()),
                                                        strict=True), strict=True):
                    found.setdefault(row, {})[str(seed) if len(same) > 1 else ''] = {
                        metric: [figures[metric] for figures in photos] for metric in photos[0]}
        return found


@cache
def _pair_key(paths: tuple[Path, Path]) -> str:
    return hashlib.sha256(b''.join(path.read_bytes() for path in paths)).hexdigest()[:16]


def run(args: argparse.Namespace, argv: list[str]) -> None:
    """Measure what is missing, on one thread, and report."""
    torch.set_num_threads(1)
    sources, everything = read_sources(args), read_sets(args)
    rows = [row for same in sources.values() for row in same[0].rows]
    for option, names in (('--against', args.against), ('--show', args.show)):
        unknown = next((name for name in names if name not in rows), None)
        if unknown:
            raise UserError(f"{option}: there is no row '{unknown}'; there are {', '.join(rows)}.")
    shown = next((name for name, pairs in everything.items() if args.strip in pairs), None)
    if args.strip and not shown:
        raise UserError(f"--strip: no set has a photo '{args.strip}', but one has "
                        f"'{next(iter(next(iter(everything.values()))))}'.")
    sets = {name: half(pairs, args.half) for name, pairs in everything.items()}
    kept, each = Kept(args.out, args.dists), [source for same in sources.values() for source in same]
    left = [(name, source, missing) for name, pairs in sets.items() for source in each
            if (missing := kept.missing(source, pairs))]
    for _, source, _ in left:
        source.load()  # what is no network is told before anything is measured
    for k, (name, source, missing) in enumerate(left, 1):
        say(f'{k} of {len(left)}: {source.name} on {name}, {len(missing)} of {len(sets[name])} photos')
        kept.measure(source, missing)
    report(args, argv, sources, sets, kept)
    if args.strip:
        strip(args.out, sources, args.show or rows, args.strip, everything[shown][args.strip])


def report(args: argparse.Namespace, argv: list[str], sources: dict[str, list[Source]], sets: dict[str, Pairs],
           kept: Kept) -> None:
    """Write and print the tables; write the scatter of each set."""
    peers = [row for same in sources.values() if same[0].is_peer for row in same[0].rows]
    suffix = '' if args.half == 'both' else f'_{args.half}'
    results = {'command': shlex.join(['python', '-m', 'benchmarks.evidence.peers', *argv]), 'half': args.half,
               'peers': peers, 'torch': torch.__version__, 'sets': {},
               'files': {name: [{'file': source.path.name, 'sha256': file_hash(source.path)} for source in same]
                         for name, same in sources.items() if same[0].path}}
    for name, pairs in sets.items():
        figures = kept.figures(sources, pairs)
        plot = write_scatter(figures, peers, name, args.out / f'scatter_{name}{suffix}.svg')
        results['sets'][name] = {'photos': list(pairs), 'figures': figures, 'summary': summarize(figures, peers),
                                 'plot': plot.name}
    text = to_markdown(results, args.against)
    write_whole(args.out / f'peers{suffix}.json', json.dumps(plain(results, finite=True), indent=1))
    write_whole(args.out / f'peers{suffix}.md', text)
    say(f'{text}\nLook at {args.out / f"peers{suffix}.md"}')


def strip(out: Path, sources: dict[str, list[Source]], rows: list[str], photo: str, paths: tuple[Path, Path]) -> None:
    """Write the square with the most detail of a photo: LR, each row's picture (of the first seed), the truth."""
    truth, lr = (read_rgb(path) for path in paths)
    made = {row: picture for source, *_ in sources.values() if set(source.rows) & set(rows)
            for row, picture in zip(source.rows, source.pictures(paths[1]), strict=True)}
    panels = [('LR\n', lr.repeat(SCALE, 0).repeat(SCALE, 1))]
    for row in rows:
        figures = image_figures(made[row], truth, lpips=True)
        panels.append((f'{row}\n{figures["psnr_mssr"]:.2f} dB, LPIPS {figures["lpips"]:.3f}', made[row]))
    top, left = (side // SCALE * SCALE for side in busiest(truth, SIDE * SCALE))
    square = np.s_[top:top + SIDE * SCALE, left:left + SIDE * SCALE]
    write_strip([(title, picture[square]) for title, picture in (*panels, ('truth\n', truth))], photo,
                out / f'strip_{Path(photo).name}.png')


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit status."""
    return guarded(lambda: run(parse(argv), sys.argv[1:] if argv is None else argv))


if __name__ == '__main__':
    sys.exit(main())
