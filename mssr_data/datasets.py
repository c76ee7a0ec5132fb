"""The training sets: clean HR photos, alone or with real LR photos of other scenes, drawn independently."""

from collections.abc import Callable
from functools import partial
from itertools import chain
from operator import itemgetter

import numpy as np
import torch
from basicsr.utils import get_root_logger
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils.data import Dataset

from mssr_compat.errors import UserError
from mssr_data.crops import flip_and_turn, nearest_contrast, random_crop
from mssr_data.dataset_checks import check_cache, check_sizes
from mssr_data.decoding import CorruptImageError, to_rgb8
from mssr_data.image_source import ImageSource
from mssr_data.sampler import AUGMENTATION, CONTENT_MATCH, GT_ORDER, SampleIndex, endless_shuffle, raw_numbers


@DATASET_REGISTRY.register()
class CleanImageDataset(Dataset):
    """Crops of clean HR photos, flipped and turned at random, for trainings that make their LR photos themselves.

    Crop, flip and turn of a sample are a pure function of the ``seed`` and ``draw`` of the
    :class:`~mssr_data.sampler.SampleIndex` it is asked with; a plain integer takes them from torch's generator, which
    ``DataLoader`` seeds anew for each worker and epoch. Pixels are decoded as :mod:`mssr_data.decoding` says.

    Args:
        opt (dict): BasicSR's dataset options, of which it uses

            dataroot_gt (str): clean HR photos: a folder (sub-folders included) or an LMDB in BasicSR's layout.
            io_backend (dict): ``{type: disk}`` (default) or ``{type: lmdb}``.
            meta_info_gt (str): optional file that lists the photos to use, one a line.
            gt_size (int): side of the crop in pixels, divisible by ``scale``.
            scale (int): HR size over LR size; BasicSR fills it in.
            use_hflip (bool): mirror at random. Default: true.
            use_rot (bool): quarter turns at random. Default: true.

    Items are dicts: ``gt`` float32 (3, gt_size, gt_size), RGB in [0, 1]; ``gt_path``, a file path or
    ``database.lmdb/key``.

    Raises:
        UserError: an option or a photo cannot be used; one sentence names the file and the YAML key.
    """

    roles = {'gt': 'clean HR photos'}
    remedy = 'remove or replace it, or set datasets.train.on_corrupt to skip'  # of a photo that cannot be used

    def __init__(self, opt: dict):
        super().__init__()
        self.opt = opt
        self.sides = {'gt': opt['gt_size'], 'lq': opt['gt_size'] // opt['scale']}  # of the crops
        self.augment = {'use_hflip': opt.get('use_hflip', True), 'use_rot': opt.get('use_rot', True)}
        self.skip_corrupt = opt.get('on_corrupt', 'stop') == 'skip'
        self.sources = {role: ImageSource(
            opt[f'dataroot_{role}'], f'datasets.train.dataroot_{role}', opt.get('io_backend') or {'type': 'disk'},
            opt.get(f'meta_info_{role}'), f'datasets.train.meta_info_{role}', opt.get('cache_data', False))
            for role in self.roles}
        # Shared by all workers, so that each unusable image is read, named and counted once.
        self._corrupt = {role: torch.zeros(len(source), dtype=torch.uint8).share_memory_()
                         for role, source in self.sources.items()}
        check_sizes(self)
        check_cache(self)

    def __len__(self) -> int:
        return len(self.sources['gt'])

    def __getitem__(self, index: int) -> dict:
        seed, draw = _key(index)
        row, column, *symmetry = raw_numbers(4, seed, AUGMENTATION, draw)
        gt, path = self.crop('gt', int(index), symmetry, [(row, column)])
        return {'gt': as_tensor(gt), 'gt_path': path}

    @property
    def num_corrupt(self) -> int:
        """Unusable images met so far, in all workers of this process."""
        return int(sum(flags.sum() for flags in self._corrupt.values()))

    def crop(self, role: str, first: int, symmetry: np.ndarray, places: list[np.ndarray],
             choose: Callable[[list], np.ndarray] = itemgetter(0)) -> tuple[np.ndarray, str]:
        """A crop at one of ``places`` of image ``first``, or of the next that can be used, and that image's path."""
        source = self.sources[role]
        for index in chain(range(first, len(source)), range(first)):
            if self._corrupt[role][index]:
                continue
            try:
                photo = source.read(index)
                crops = [to_rgb8(random_crop(photo, self.sides[role], *place)) for place in places]
            except CorruptImageError as error:
                self.refuse(role, index, str(error))
            except ValueError as error:
                self.refuse(role, index, f"'{source.path(index)}' cannot be used: {error}")
            else:
                return flip_and_turn(choose(crops), *symmetry, **self.augment), source.path(index)
        raise UserError(f"{source.option}: none of the {len(source)} images of '{source.root}' can be used.")

    def refuse(self, role: str, index: int, why: str) -> None:
        """Stop at an unusable image, or mark, name and count it, as ``on_corrupt`` says."""
        option = self.sources[role].option
        if not self.skip_corrupt:
            raise UserError(f'{option}: {why}; {self.remedy}.')
        self._corrupt[role][index] = 1
        get_root_logger().warning(f'{option}: {why}; skipped ({self.num_corrupt} so far).')


@DATASET_REGISTRY.register()
class UnpairedImageDataset(CleanImageDataset):
    """Training set of both stages: crops of clean HR photos (gt) and of real LR photos (lq) of other scenes.

    One epoch is one pass over the LR photos; HR photos come in a fresh order for each pass over them. As in
    :class:`CleanImageDataset`, ``seed`` and ``draw`` decide all of a sample.

    Args:
        opt (dict): BasicSR's dataset options, of which it uses those of :class:`CleanImageDataset` and

            dataroot_lq (str): real LR photos, as ``dataroot_gt``; at least one of each.
            meta_info_lq (str): optional file that lists the LR photos to use, one a line.
            content_match (int): HR crops taken from a photo for each sample, of which that one is used whose contrast,
                coarser than a camera's blur and noise, is nearest to the LR crop's: where scenes differ, a
                discriminator takes the difference for the camera's. 1 takes whatever comes. Default: 1.
            cache_data (bool): keep all decoded photos in memory, in each worker; for small sets, where decoding would
                take longer than the networks; refused where they would fill half of the machine's. Default: false.
            on_corrupt (str): ``stop`` at an image that cannot be used, or ``skip`` it for the next one, with a warning
                that names it. Default: stop.
            allow_larger_lq (bool): do not take LR photos clearly larger than the HR photos for swapped folders.
                Default: false.

    Items are dicts: ``gt`` float32 (3, gt_size, gt_size) and ``lq`` float32 (3, gt_size / scale, gt_size / scale), RGB
    in [0, 1]; ``gt_path`` and ``lq_path``, file paths or ``database.lmdb/key``.

    Raises:
        UserError: options or images cannot be used; one sentence names the file and the YAML key.
    """

    roles = {'gt': 'clean HR photos', 'lq': 'real LR photos'}

    def __len__(self) -> int:
        return len(self.sources['lq'])

    def __getitem__(self, index: int) -> dict:
        seed, draw = _key(index)
        if isinstance(index, SampleIndex):
            gt_index = endless_shuffle(draw, len(self.sources['gt']), seed, GT_ORDER)
        else:
            gt_index = int(torch.randint(len(self.sources['gt']), ()))
        lq_numbers, gt_numbers = raw_numbers(8, seed, AUGMENTATION, draw).reshape(2, 4)
        lq, lq_path = self.crop('lq', int(index), lq_numbers[2:], [lq_numbers[:2]])
        places, choose, tries = [gt_numbers[:2]], itemgetter(0), self.opt.get('content_match', 1)
        if tries > 1:
            places += [*raw_numbers(2 * tries - 2, seed, CONTENT_MATCH, draw).reshape(-1, 2)]
            choose = partial(nearest_contrast, wanted=lq, lq_size=self.sides['lq'])
        gt, gt_path = self.crop('gt', gt_index, gt_numbers[2:], places, choose)
        return {'gt': as_tensor(gt), 'lq': as_tensor(lq), 'gt_path': gt_path, 'lq_path': lq_path}


def _key(index: int) -> tuple[int, int]:
    """Seed and draw, which decide a sample."""
    return (index.seed, index.draw) if isinstance(index, SampleIndex) else (0, int(torch.randint(2**62, ())))


def as_tensor(image: np.ndarray) -> torch.Tensor:
    """8-bit RGB (H, W, 3) as float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().div_(255)
