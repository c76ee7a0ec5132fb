"""Finds what an experiment needs and does not have: folders, databases, weights, GPUs. Cheap: nothing is decoded."""

import os
from os import path as osp

import torch

from mssr_compat.checkpoint_names import find_checkpoint
from mssr_data.decoding import IMAGE_SUFFIXES
from mssr_options import dataset_tables
from mssr_options.report import Report
from mssr_options.source import KeyPath, Source

# Where to get what is missing: a part of the path, and the advice.
DATA = {
    'AIM2019': 'the data of the AIM 2019 challenge on real-world super-resolution (track 2) come from its organisers; '
    'prepare them with scripts/prepare_data.py',
    'NTIRE2020': 'the data of the NTIRE 2020 challenge on real-world super-resolution come from its organisers; '
    'prepare them with scripts/prepare_data.py',
    'DIV2K': 'DIV2K comes from its project page; prepare it with scripts/prepare_data.py',
    'DF2K': 'DF2K is DIV2K and Flickr2K; prepare them with scripts/prepare_data.py',
    'demo': '`make demo` makes it',
}
WEIGHTS = {
    'ESRGAN_PSNR_SRx4_DF2K': "these weights are in BasicSR's model zoo, among those of ESRGAN",
    'RRDB_PSNR_x4': 'these weights are in the model list of the ESRGAN project',
    'ESRGAN': "ESRGAN's weights are in BasicSR's model zoo and in the model list of the ESRGAN project",
    'demo': '`make demo` makes it',
}
STAGE_1 = 'stage 1 trains it: python train.py -opt options/train_degradation_*.yml'
TRAINING = 'training makes such files: python train.py -opt options/train_*.yml'
PREPARE = 'scripts/prepare_data.py makes it from archives or folders of photos'


def check_files(opt: dict, source: Source | str | None = None) -> None:
    """Check that what the options name is there.

    Data roots must exist and hold images (or be LMDBs), lists and weights must be files, the GPUs must be there, and
    results must have somewhere to go.

    Args:
        opt: checked options, before or after BasicSR added its own.
        source: where they stand, for messages; may be left out.

    Raises:
        UserError: all that is missing, one a line: the key, the absolute path, and where to get it.
    """
    source = source if isinstance(source, Source) else getattr(opt, 'source', None) or Source(str(source or ''))
    files = _Files(opt, Report(source))
    files.devices()
    files.datasets()
    files.weights()
    files.results()
    files.report.close()


class _Files:
    def __init__(self, opt, report):
        self.opt, self.report = opt, report
        self.is_train = opt.get('is_train', True)
        self.advised: set[str] = set()

    def devices(self):
        """As many GPUs as asked for."""
        wanted, found = self.opt.get('num_gpu'), torch.cuda.device_count()
        if isinstance(wanted, int) and wanted > found:
            right = 'auto or 0' if not found else f'auto or at most {found}'
            self.report.add(('num_gpu',), f'{wanted} wanted, but this machine has {found} CUDA devices; set {right}')

    # --- data ---------------------------------------------------------------------------------------------------

    def datasets(self):
        """Data roots with images, and the lists that go with them."""
        for name, options in self.opt.get('datasets', {}).items():
            rows = {key: row for groups in dataset_tables.DATASETS.values() for group in groups
                    for key, row in group.items()}
            is_lmdb = (options.get('io_backend') or {}).get('type') == 'lmdb'
            for key, value in options.items():
                kind = rows[key].kind if key in rows else ''
                if not isinstance(value, str):
                    continue
                if 'folder' in kind:
                    self.data_root(('datasets', name, key), value, is_lmdb)
                elif 'file' in kind:
                    self.file(('datasets', name, key), value, DATA, PREPARE)

    def data_root(self, path: KeyPath, value: str, is_lmdb: bool):
        """A folder with an image somewhere below it, or an LMDB."""
        folder = osp.abspath(osp.expanduser(value))
        what = 'LMDB' if is_lmdb else 'folder'
        if not osp.exists(folder):
            self.report.add(path, f"the {what} '{folder}' does not exist{self.advice(value, DATA, PREPARE)}")
        elif not osp.isdir(folder):
            self.report.add(path, f"'{folder}' is a file, not a {what}{self.advice(value, DATA, PREPARE)}")
        elif is_lmdb:
            for part in ('data.mdb', 'meta_info.txt'):
                file = osp.join(folder, part)
                if not osp.isfile(file) or not osp.getsize(file):
                    self.report.add(
                        path,
                        f"'{folder}' is no complete LMDB: {part} is missing or empty{self.advice(value, {}, PREPARE)}",
                    )
                    return
        else:
            image, other = _first_image(folder)
            if image is None:
                holds = f"holds no image, but files such as '{other}'" if other else 'is empty'
                self.report.add(path, f"the folder '{folder}' {holds}; images end in {', '.join(IMAGE_SUFFIXES)}")

    def file(self, path: KeyPath, value: str, known: dict[str, str], otherwise: str):
        """A file that is not empty."""
        file = osp.abspath(osp.expanduser(value))
        if osp.isdir(file):
            self.report.add(path, f"'{file}' is a folder, not a file")
        elif not osp.exists(file):
            self.report.add(path, f"the file '{file}' does not exist{self.advice(value, known, otherwise)}")
        elif not osp.getsize(file):
            self.report.add(path, f"the file '{file}' is empty (0 bytes){self.advice(value, known, otherwise)}")

    def advice(self, value: str, known: dict[str, str], otherwise: str) -> str:
        """``; where to get it``, as far as its name tells; each advice is given once."""
        advice = next((text for part, text in known.items() if part.lower() in value.lower()), otherwise)
        if advice in self.advised:
            return ''
        self.advised.add(advice)
        return f'; {advice}'

    # --- weights ------------------------------------------------------------------------------------------------

    def weights(self):
        """Every checkpoint that will be read; a resumed run brings its own networks."""
        paths = self.opt.get('path') or {}
        if paths.get('resume_state'):
            self.file(('path', 'resume_state'), paths['resume_state'], {}, TRAINING)
        for key, value in paths.items():
            if key.startswith('pretrain_network') and value and not self.resumes():
                self.file(('path', key), str(find_checkpoint(value)), WEIGHTS, TRAINING)
        for k, options in enumerate(self.opt.get('degradations') or ()):
            if options.get('checkpoint') and self.is_train:
                known = {'demo': WEIGHTS['demo']}
                file = str(find_checkpoint(options['checkpoint']))
                self.file(('degradations', k, 'checkpoint'), file, known, STAGE_1)
        for k, options in enumerate((self.opt.get('network_g') or {}).get('branches') or ()):
            if options.get('checkpoint') and not paths.get('pretrain_network_g') and not self.resumes():
                file = str(find_checkpoint(options['checkpoint']))
                self.file(('network_g', 'branches', k, 'checkpoint'), file, WEIGHTS, TRAINING)
        for key, options in (self.opt.get('train') or {}).items() if self.is_train else ():
            if key.endswith('_opt') and isinstance(options, dict) and isinstance(options.get('weights'), str):
                self.file(('train', key, 'weights'), options['weights'], {}, 'it is a weight file of torchvision')

    def resumes(self) -> bool:
        """Whether the run goes on from a state."""
        paths = self.opt.get('path') or {}
        states = paths.get('training_states') or osp.join('experiments', str(self.opt.get('name')), 'training_states')
        found = osp.isdir(states) and any(name.endswith('.state') for name in os.listdir(states))
        return bool(paths.get('resume_state')) or bool(self.opt.get('auto_resume') and found)

    def results(self):
        """The folder of results, or the nearest one above it that exists, takes files."""
        paths = self.opt.get('path') or {}
        folder = paths.get('experiments_root' if self.is_train else 'results_root')
        while folder and not osp.exists(folder):
            folder = osp.dirname(folder)
        if folder and not os.access(folder, os.W_OK):
            self.report.add(('name',), f"results cannot be written: '{folder}' is read-only for this user")


def _first_image(folder: str) -> tuple[str | None, str | None]:
    """Some image below a folder and, if there is none, some other file."""
    other, seen = None, set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if osp.realpath(root) in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(osp.realpath(root))
        for name in names:
            if name.lower().endswith(IMAGE_SUFFIXES):
                return name, None
            other = other if other or name.startswith('.') else name
    return None, other
