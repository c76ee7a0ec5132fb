"""Clean HR photos alone, for trainings that make their LR photos themselves."""

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils.data import Dataset

from mssr_compat.errors import UserError
from mssr_data.augmentation import flip_and_turn, random_crop
from mssr_data.decoding import CorruptImageError, to_rgb8
from mssr_data.image_source import ImageSource
from mssr_data.keyed_random import AUGMENTATION, raw_numbers
from mssr_data.sampler import SampleIndex


@DATASET_REGISTRY.register()
class CleanImageDataset(Dataset):
    """Random crops of clean HR photos, flipped and turned at random.

    Crop, flip and turn of a sample are a pure function of the ``seed`` and ``draw`` of the
    :class:`~mssr_data.sampler.SampleIndex` it is asked with; a plain integer takes them from torch's generator.

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

    def __init__(self, opt: dict):
        super().__init__()
        self.opt = opt
        for key in ('dataroot_gt', 'gt_size', 'scale'):
            if not opt.get(key):
                raise UserError(f'datasets.train.{key} is missing; CleanImageDataset needs it.')
        self.size = opt['gt_size']
        if self.size % opt['scale']:
            raise UserError(f'datasets.train.gt_size is {self.size}, which scale {opt["scale"]} does not divide.')
        self.augment = {'use_hflip': opt.get('use_hflip', True), 'use_rot': opt.get('use_rot', True)}
        self.source = ImageSource(opt['dataroot_gt'], 'datasets.train.dataroot_gt',
                                  opt.get('io_backend') or {'type': 'disk'}, opt.get('meta_info_gt'),
                                  'datasets.train.meta_info_gt')

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict:
        if isinstance(index, SampleIndex):
            numbers = raw_numbers(4, index.seed, AUGMENTATION, index.draw)
        else:
            numbers = torch.randint(2**62, (4,)).numpy().astype(np.uint64)
        row, column, flip, turns = numbers
        path = self.source.path(int(index))
        try:
            photo = random_crop(self.source.read(int(index)), self.size, row, column)
        except (CorruptImageError, ValueError) as error:
            what = str(error) if isinstance(error, CorruptImageError) else f"'{path}' cannot be used: {error}"
            raise UserError(f'{self.source.option}: {what}; remove or replace it.') from error
        photo = flip_and_turn(to_rgb8(photo), flip, turns, **self.augment)
        photo = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))
        return {'gt': photo.float().div_(255), 'gt_path': path}
