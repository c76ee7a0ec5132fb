"""What is in the data sets: the part of ``train.py --check`` that looks at images."""

import io
import time
from collections import Counter
from collections.abc import Callable

from basicsr.data import build_dataset
from PIL import Image

from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError
from mssr_data.image_source import ImageSource
from mssr_options.quiet import quiet

_SAMPLED = 300  # headers read of each role, evenly spread
_DECODE_SECONDS = 4.0  # spent decoding images of each role
_ROLES = {
    'UnpairedImageDataset': {'dataroot_gt': 'clean HR photos', 'dataroot_lq': 'real LR photos'},
    '': {'dataroot_gt': 'ground truth', 'dataroot_lq': 'LR images'},
}


def describe_data(name: str, options: dict, say: Callable[[str], None], problem: Callable[[str], None]) -> None:
    """Describe one data set: roles, counts, sizes, modes, first names, unreadable images, and pairs.

    Args:
        name: its key under ``datasets``.
        options: its options, ``scale`` and ``phase`` included.
        say: takes a line of the report.
        problem: takes a sentence about what would go wrong.
    """
    say(f'datasets.{name}: {options["name"]} ({options["type"]})')
    roles = _ROLES.get(options['type'], _ROLES[''])
    sources = {}
    for key, what in roles.items():
        if not options.get(key):
            continue
        option = f'datasets.{name}.{key}'
        meta = options.get(key.replace('dataroot', 'meta_info')) or options.get('meta_info_file')
        try:
            sources[key] = ImageSource(
                options[key], option, options.get('io_backend') or {'type': 'disk'}, meta, option
            )
        except UserError as error:
            problem(str(error))
            continue
        _describe_role(what, sources[key], say, problem)
    if len(sources) == 2 and options['phase'] != 'train' and options['type'] == 'PairedImageDataset':
        _describe_pairs(name, options, sources, say, problem)


def _describe_role(what, source, say, problem):
    """Counts, sizes and modes from headers; some images decoded."""
    count = len(source)
    chosen = [i * count // min(count, _SAMPLED) for i in range(min(count, _SAMPLED))]
    sizes, modes, bad = [], Counter(), []
    for i in chosen:
        try:
            size, mode = _header(source, i)
        except (CorruptImageError, OSError, SyntaxError, ValueError):
            bad.append(i)
            continue
        sizes.append(size)
        modes[mode] += 1
    decoded, end = 0, time.monotonic() + _DECODE_SECONDS
    for i in chosen:
        if i not in bad:
            try:
                source.read(i)
            except CorruptImageError:
                bad.append(i)
            decoded += 1
        if time.monotonic() > end:
            break
    say(f'  {what}: {count} images in {source.root} ({source.backend})')
    looked = '' if len(chosen) == count else f' (of {len(chosen)} looked at)'
    if sizes:
        ordered = sorted(sizes, key=lambda size: size[0] * size[1])
        low, median, high = (_size(ordered[i]) for i in (0, len(ordered) // 2, -1))
        say(f'    width x height, smallest {low}, median {median}, largest {high}{looked}')
        say(f'    modes: {", ".join(f"{mode} {n}" for mode, n in modes.most_common())}{looked}; {decoded} decoded')
    first = ', '.join(source.path(i).removeprefix(source.root).lstrip('/') for i in range(min(3, count)))
    say(f'    {"keys" if source.backend == "lmdb" else "files"}: {first}{", ..." if count > 3 else ""}')
    if bad:
        problem(f"{source.option}: {len(bad)} of {len(chosen)} images looked at cannot be read, such as "
                f"'{source.path(bad[0])}'; replace or remove them")


def _describe_pairs(name, options, sources, say, problem):
    """How BasicSR pairs the images, and whether sizes fit the scale."""
    try:
        with quiet():
            pairs = build_dataset(options).paths
    except (AssertionError, ValueError, OSError, KeyError) as error:
        problem(f'datasets.{name}: the images cannot be paired: {error}')
        return
    position = {key: {source.path(i): i for i in range(len(source))} for key, source in sources.items()}
    wrong, seen = [], 0
    for pair in pairs[:: max(1, len(pairs) // _SAMPLED)]:
        sizes = []
        for key in ('dataroot_gt', 'dataroot_lq'):
            path = pair[f'{key[-2:]}_path']
            i = position[key].get(path, position[key].get(f'{sources[key].root.rstrip("/")}/{path}'))
            try:
                sizes.append(_header(sources[key], i)[0] if i is not None else None)
            except (CorruptImageError, OSError, SyntaxError, ValueError):
                sizes.append(None)  # named already
        if None not in sizes:
            seen += 1
            (gt_w, gt_h), (lq_w, lq_h) = sizes
            scale = options['scale']
            # BasicSR cuts the ground truth to the LR size times scale; more than that is no pair.
            if not (0 <= gt_w - lq_w * scale < scale and 0 <= gt_h - lq_h * scale < scale):
                wrong.append(f"'{pair['gt_path']}' ({gt_w}x{gt_h}) and '{pair['lq_path']}' ({lq_w}x{lq_h})")
    say(f'  pairs: {len(pairs)}; HR = {options["scale"]} x LR in {seen - len(wrong)} of {seen} looked at')
    if wrong:
        problem(f'datasets.{name}: {len(wrong)} pairs are not of scale {options["scale"]}: {wrong[0]}')


def _header(source: ImageSource, index: int) -> tuple[tuple[int, int], str]:
    """(width, height) and mode of an image."""
    data = source.path(index) if source.backend == 'disk' else io.BytesIO(source.read_bytes(index) or b'')
    with Image.open(data) as image:
        return image.size, image.mode


def _size(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'
