"""Clean HR photos and real LR photos of other scenes, drawn independently of each other."""

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
from mssr_data.augmentation import flip_and_turn, random_crop
from mssr_data.checks import check_cache, check_options, check_sizes
from mssr_data.content_match import nearest_contrast
from mssr_data.decoding import CorruptImageError, to_rgb8
from mssr_data.image_source import ImageSource
from mssr_data.keyed_random import AUGMENTATION, CONTENT_MATCH, GT_ORDER, endless_shuffle, raw_numbers
from mssr_data.sampler import SampleIndex


@DATASET_REGISTRY.register()
class UnpairedImageDataset(Dataset):
    """Training set of both stages: crops of clean HR photos (gt) and of real LR photos (lq) of other scenes.

    One epoch is one pass over the LR photos. The HR photo, the crops, flips and quarter turns of a sample are a pure
    function of the ``seed`` and ``draw`` of the :class:`~mssr_data.sampler.SampleIndex` it is asked with: HR photos
    come in a fresh order for each pass over them. A plain integer takes them from torch's generator, which
    ``DataLoader`` seeds anew for each worker and epoch. Pixels are decoded as :mod:`mssr_data.decoding` says.

    Args:
        opt (dict): BasicSR's dataset options, of which it uses

            dataroot_gt (str): clean HR photos: a folder (sub-folders included) or an LMDB in BasicSR's layout.
            dataroot_lq (str): real LR photos, likewise; at least one of each.
            io_backend (dict): ``{type: disk}`` (default) or ``{type: lmdb}``, for both.
            meta_info_gt, meta_info_lq (str): optional files that list the images to use, one a line.
            gt_size (int): side of the HR crop in pixels, divisible by ``scale``.
            scale (int): side of the HR crop over that of the LR crop; BasicSR fills it in.
            use_hflip (bool): mirror at random. Default: true.
            use_rot (bool): quarter turns at random. Default: true.
            paired_augment (bool): the same flip and turn for both crops of a sample. Default: false.
            crops_per_image (int): HR crops cut from a decoded photo before the next one is decoded; for large photos.
                Default: 1.
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

    def __init__(self, opt: dict):
        super().__init__()
        check_options(opt)
        self.opt = opt
        self.gt_size = opt['gt_size']
        self.lq_size = opt['gt_size'] // opt['scale']
        self.augment = {'use_hflip': opt.get('use_hflip', True), 'use_rot': opt.get('use_rot', True)}
        self.paired_augment = opt.get('paired_augment', False)
        self.content_match = opt.get('content_match', 1)
        self.crops_per_image = opt.get('crops_per_image', 1)
        self.skip_corrupt = opt.get('on_corrupt', 'stop') == 'skip'
        self.gt = self._source('gt')
        self.lq = self._source('lq')
        # Shared by all workers, so that each unusable image is read, named and counted once.
        self._corrupt = {role: torch.zeros(len(source), dtype=torch.uint8).share_memory_()
                         for role, source in (('gt', self.gt), ('lq', self.lq))}
        check_sizes(self)
        check_cache(self)

    def _source(self, role: str) -> ImageSource:
        return ImageSource(self.opt[f'dataroot_{role}'], f'datasets.train.dataroot_{role}',
                           self.opt.get('io_backend') or {'type': 'disk'},
                           self.opt.get(f'meta_info_{role}'), f'datasets.train.meta_info_{role}',
                           self.opt.get('cache_data', False))

    def __len__(self) -> int:
        return len(self.lq)

    @property
    def num_corrupt(self) -> int:
        """Unusable images met so far, in all workers of this process."""
        return int(sum(flags.sum() for flags in self._corrupt.values()))

    def __getitem__(self, index: int) -> dict:
        if isinstance(index, SampleIndex):
            draw, seed = index.draw, index.seed
            gt_index = endless_shuffle(draw // self.crops_per_image, len(self.gt), seed, GT_ORDER)
        else:
            draw, seed = int(torch.randint(2**62, ())), 0
            gt_index = int(torch.randint(len(self.gt), ()))
        lq_numbers, gt_numbers = raw_numbers(8, seed, AUGMENTATION, draw).reshape(2, 4)
        if self.paired_augment:
            gt_numbers[2:] = lq_numbers[2:]
        lq, lq_path = self._crop('lq', int(index), self.lq_size, lq_numbers[2:], [lq_numbers[:2]])
        places, choose = [gt_numbers[:2]], itemgetter(0)
        if self.content_match > 1:
            places += [*raw_numbers(2 * self.content_match - 2, seed, CONTENT_MATCH, draw).reshape(-1, 2)]
            choose = partial(nearest_contrast, wanted=lq, lq_size=self.lq_size)
        gt, gt_path = self._crop('gt', gt_index, self.gt_size, gt_numbers[2:], places, choose)
        return {'gt': as_tensor(gt), 'lq': as_tensor(lq), 'gt_path': gt_path, 'lq_path': lq_path}

    def _crop(self, role: str, first: int, size: int, symmetry: np.ndarray, places: list[np.ndarray],
              choose: Callable[[list], np.ndarray] = itemgetter(0)) -> tuple[np.ndarray, str]:
        """A crop at one of ``places`` of image ``first``, or of the next that can be used, and that image's path."""
        source = getattr(self, role)
        keep = role == 'gt' and self.crops_per_image > 1
        for index in chain(range(first, len(source)), range(first)):
            if self._corrupt[role][index]:
                continue
            try:
                photo = source.read(index, keep)
                crops = [to_rgb8(random_crop(photo, size, *place)) for place in places]
            except CorruptImageError as error:
                self.refuse(role, index, str(error))
            except ValueError as error:
                self.refuse(role, index, f"'{source.path(index)}' cannot be used: {error}")
            else:
                return flip_and_turn(choose(crops), *symmetry, **self.augment), source.path(index)
        raise UserError(f"{source.option}: none of the {len(source)} images of '{source.root}' can be used.")

    def refuse(self, role: str, index: int, why: str) -> None:
        """Stop at an unusable image, or mark, name and count it, as ``on_corrupt`` says."""
        option = getattr(self, role).option
        if not self.skip_corrupt:
            raise UserError(f'{option}: {why}; remove or replace it, or set datasets.train.on_corrupt to skip.')
        self._corrupt[role][index] = 1
        get_root_logger().warning(f'{option}: {why}; skipped ({self.num_corrupt} so far).')


def as_tensor(image: np.ndarray) -> torch.Tensor:
    """8-bit RGB (H, W, 3) as float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().div_(255)
