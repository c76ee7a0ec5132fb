"""The data sets of a training: a quick look before it begins, and what ``train.py --check`` reports of them."""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from basicsr.data import build_dataset
from PIL import Image

from mssr_compat.distributed import from_first, world
from mssr_compat.errors import UserError
from mssr_compat.niqe_shim import too_small_for_niqe
from mssr_data.decoding import CorruptImageError
from mssr_data.image_source import ImageSource
from mssr_options.quiet import quiet

KEYED = ('UnpairedImageDataset', 'CleanImageDataset')  # whose items depend on the sampler's index alone
_SAMPLED = 300  # headers read of each role, evenly spread
_WHAT = {'dataroot_gt': 'ground truth', 'dataroot_lq': 'LR images'}
_UNPAIRED = {'dataroot_gt': 'clean HR photos', 'dataroot_lq': 'real LR photos'}
_UNREADABLE = (CorruptImageError, OSError, SyntaxError, ValueError)


def check_data(opt: dict) -> None:
    """Refuse data sets with files that cannot be used, before BasicSR's log begins; see ``first_damaged``.

    The first process looks for all. What a file does not show at its beginning and end is found when it is read.

    Args:
        opt: complete options, as BasicSR's ``parse_options`` gives them.

    Raises:
        UserError: names the YAML key and the file.
    """
    complaint = None
    if world()[0] == 0:
        try:
            for name, options in opt['datasets'].items():
                _check_set(name, options, opt)
            for _ in group_sources(opt):
                pass
        except UserError as error:
            complaint = str(error)
    complaint = from_first(complaint)
    if complaint:
        error = UserError(complaint)
        error.everywhere = True
        raise error


def _check_set(name: str, options: dict, opt: dict) -> None:
    """One data set; of BasicSR's own only those that are simple folders or databases of images."""
    if options['type'] in KEYED:
        with quiet():
            dataset = build_dataset(options)  # which looks at sizes and options
        if dataset.skip_corrupt:
            return
        sources, remedy = dataset.sources.values(), dataset.remedy
    elif options['type'] in ('PairedImageDataset', 'SingleImageDataset') and not options.get('meta_info_file'):
        sources = [_open(name, options, key) for key in _WHAT if options.get(key)]
        for source in sources:  # BasicSR passes over sub-folders
            source.images = [image for image in source.images if '/' not in image.name]
        remedy = 'remove or replace it'
    else:
        return
    for source in sources:
        complaint = source.first_damaged()
        if complaint:
            raise UserError(f'{source.option}: {complaint}; {remedy}.')
        complaint = _too_small(name, source, opt)
        if complaint:
            raise UserError(f'{complaint}.')


def _too_small(name: str, source: ImageSource, opt: dict) -> str | None:
    """Which LR photo of a validation set NIQE could not judge, hours later; the sizes tell."""
    borders = [metric.get('crop_border', 0) for metric in ((opt.get('val') or {}).get('metrics') or {}).values()
               if metric.get('type') == 'calculate_niqe']
    restores = opt['model_type'] != 'DegradationGANModel' and name != 'train' and source.option.endswith('lq')
    for i in range(len(source)) if borders and restores else ():
        with suppress(*_UNREADABLE):
            complaint = too_small_for_niqe(*(side * opt['scale'] for side in _header(source, i)[0]), max(borders))
            if complaint:
                return f"{source.option}: '{source.path(i)}': {complaint}"
    return None


def group_sources(opt: dict) -> Iterator[ImageSource]:
    """The photos that each ``meta_info_lq`` of ``degradations:`` lists.

    Raises:
        UserError: the list cannot be used, or the training set has no such photos.
    """
    for k, options in enumerate(opt.get('degradations') or ()):
        if options.get('meta_info_lq'):
            key, train_set = f'degradations[{k}].meta_info_lq', opt['datasets'].get('train') or {}
            if not train_set.get('dataroot_lq'):
                raise UserError(f'{key} lists photos of datasets.train.dataroot_lq, which is missing.')
            yield ImageSource(train_set['dataroot_lq'], 'datasets.train.dataroot_lq',
                              train_set.get('io_backend') or {'type': 'disk'}, options['meta_info_lq'], key)


def _open(name: str, options: dict, key: str, meta: str | None = None) -> ImageSource:
    option = f'datasets.{name}.{key}'
    return ImageSource(options[key], option, options.get('io_backend') or {'type': 'disk'}, meta, option)


# --- the report ---------------------------------------------------------------------------------------------------


def describe_data(name: str, opt: dict, say: Callable[[str], None], problem: Callable[[str], None]) -> None:
    """Describe one data set: roles, counts, sizes, modes, first names, the first damaged image, and pairs.

    Args:
        name: its key under ``datasets``.
        opt: complete options.
        say: takes a line of the report.
        problem: takes a sentence about what would go wrong.
    """
    options, sources = opt['datasets'][name], {}
    say(f'datasets.{name}: {options["name"]} ({options["type"]})')
    for key, what in (_UNPAIRED if options['type'] == 'UnpairedImageDataset' else _WHAT).items():
        if options.get(key):
            meta = options.get(key.replace('dataroot', 'meta_info')) or options.get('meta_info_file')
            try:
                sources[key] = _open(name, options, key, meta)
            except UserError as error:
                problem(str(error))
            else:
                _describe_role(what, sources[key], say, problem)
                complaint = _too_small(name, sources[key], opt)
                if complaint:
                    problem(complaint)
    if len(sources) == 2 and options['phase'] != 'train' and options['type'] == 'PairedImageDataset':
        _describe_pairs(name, options, sources, say, problem)


def describe_groups(opt: dict, say: Callable[[str], None], problem: Callable[[str], None]) -> None:
    """How many photos generators have of their own; arguments as for :func:`describe_data`."""
    try:
        for source in group_sources(opt):
            say(f'{source.meta_option}: {len(source)} of the real LR photos')
    except UserError as error:
        problem(str(error))


def _describe_role(what, source, say, problem):
    """Counts, sizes and modes from headers, and the first file that cannot be used."""
    count = len(source)
    chosen = [i * count // min(count, _SAMPLED) for i in range(min(count, _SAMPLED))]
    headers = []
    for i in chosen:
        with suppress(*_UNREADABLE):
            headers.append(_header(source, i))
    say(f'  {what}: {count} images in {source.root} ({source.backend})')
    if headers:
        looked = '' if len(chosen) == count else f' (of {len(chosen)} looked at)'
        sizes = sorted((size for size, _ in headers), key=lambda size: size[0] * size[1])
        low, median, high = (f'{width}x{height}' for width, height in (sizes[0], sizes[len(sizes) // 2], sizes[-1]))
        modes = ', '.join(f'{mode} {number}' for mode, number in Counter(mode for _, mode in headers).most_common())
        say(f'    width x height, smallest {low}, median {median}, largest {high}{looked}')
        say(f'    modes: {modes}{looked}')
    first = ', '.join(source.path(i).removeprefix(source.root).lstrip('/') for i in range(min(3, count)))
    say(f'    {"keys" if source.backend == "lmdb" else "files"}: {first}{", ..." if count > 3 else ""}')
    complaint = source.first_damaged()
    if complaint:
        problem(f'{source.option}: {complaint}; replace or remove it')


def _describe_pairs(name, options, sources, say, problem):
    """How BasicSR pairs the images, and whether sizes fit the scale."""
    try:
        with quiet():
            pairs = build_dataset(options).paths
    except (AssertionError, ValueError, OSError, KeyError) as error:
        problem(f'datasets.{name}: the images cannot be paired: {error}')
        return
    position = {source.path(i): (source, i) for source in sources.values() for i in range(len(source))}
    wrong, seen, scale = [], 0, options['scale']
    for pair in pairs[:: max(1, len(pairs) // _SAMPLED)]:
        sizes = []
        for key, source in sources.items():
            path = pair[f'{key[-2:]}_path']  # of an LMDB the key alone
            found = position.get(path) or position.get(f'{source.root.rstrip("/")}/{path}')
            try:
                sizes.append(_header(*found)[0])
            except (*_UNREADABLE, TypeError):
                break  # named already
        if len(sizes) == 2:
            seen += 1
            # BasicSR cuts the ground truth to the LR size times scale; more than that is no pair.
            if not all(0 <= large - small * scale < scale for large, small in zip(*sizes, strict=True)):
                hr, lr = (f"'{pair[f'{role}_path']}' ({width}x{height})"
                          for role, (width, height) in zip(('gt', 'lq'), sizes, strict=True))
                wrong.append(f'{hr} and {lr}')
    say(f'  pairs: {len(pairs)}; HR = {scale} x LR in {seen - len(wrong)} of {seen} looked at')
    if wrong:
        problem(f'datasets.{name}: {len(wrong)} pairs are not of scale {scale}: {wrong[0]}')


def _header(source: ImageSource, index: int) -> tuple[tuple[int, int], str]:
    """(width, height) and mode of an image."""
    data = source.path(index) if source.backend == 'disk' else io.BytesIO(source.read_bytes(index) or b'')
    with Image.open(data) as image:
        return image.size, image.mode
