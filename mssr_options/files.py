"""Finds what an experiment needs and does not have: folders, databases, weights, GPUs. Cheap: nothing is decoded."""

import os
from os import path as osp

import torch

from mssr_compat.checkpoint_names import find_checkpoint
from mssr_compat.errors import UserError
from mssr_data.listing import list_folder, list_meta_info
from mssr_data.lmdb_store import open_lmdb
from mssr_options.reader import KeyPath, Source, dotted, source_of
from mssr_options.report import Report


def check_files(opt: dict, source: Source | str | None = None) -> None:
    """Check that what the options name is there.

    Data roots must exist and hold images (or be LMDBs), lists and weights must be files, the GPUs must be there, and
    results must have somewhere to go.

    Args:
        opt: checked options, before or after BasicSR added its own.
        source: where they stand, for messages; may be left out.

    Raises:
        UserError: all that is missing, one a line: the key and the absolute path.
    """
    files = _Files(opt, Report(source_of(opt, source)))
    files.machine()
    files.datasets()
    files.weights()
    files.report.close()


class _Files:
    def __init__(self, opt, report):
        self.opt, self.report = opt, report
        self.is_train, self.paths = opt.get('is_train', True), opt.get('path') or {}

    def machine(self):
        """As many GPUs as asked for; the folder of results, or the nearest above it that exists, takes files."""
        wanted, found = self.opt.get('num_gpu'), torch.cuda.device_count()
        if isinstance(wanted, int) and wanted > found:
            right = 'auto or 0' if not found else f'auto or at most {found}'
            self.report.add(('num_gpu',), f'{wanted} wanted, but this machine has {found} CUDA devices; set {right}')
        folder = self.paths.get('experiments_root' if self.is_train else 'results_root')
        while folder and not osp.exists(folder):
            folder = osp.dirname(folder)
        if folder and not os.access(folder, os.W_OK):
            self.report.add(('name',), f"results cannot be written: '{folder}' is read-only for this user")

    def datasets(self):
        """Data roots with images, and the lists that go with them."""
        for name, options in self.opt.get('datasets', {}).items():
            is_lmdb = (options.get('io_backend') or {}).get('type') == 'lmdb'
            for key, value in options.items():
                if isinstance(value, str) and key.startswith('dataroot_'):
                    self.data_root(('datasets', name, key), value, is_lmdb)
                elif isinstance(value, str) and key.startswith('meta_info'):
                    self.file(('datasets', name, key), value)

    def data_root(self, path: KeyPath, value: str, is_lmdb: bool):
        """A folder with an image somewhere below it, or an LMDB."""
        folder, key = osp.abspath(osp.expanduser(value)), dotted(path)
        try:
            if is_lmdb:
                open_lmdb(folder, key)
                list_meta_info(osp.join(folder, 'meta_info.txt'), key)
            else:
                list_folder(folder, key)
        except UserError as error:
            self.report.add(path, str(error).removeprefix(f'{key}: ').removesuffix('.'))

    def file(self, path: KeyPath, value: str):
        """A file that is not empty."""
        file = osp.abspath(osp.expanduser(value))
        if osp.isdir(file):
            self.report.add(path, f"'{file}' is a folder, not a file")
        elif not osp.exists(file) or not osp.getsize(file):
            wrong = 'is empty (0 bytes)' if osp.exists(file) else 'does not exist'
            self.report.add(path, f"the file '{file}' {wrong}")

    def weights(self):
        """Every checkpoint that will be read; a resumed run brings its own networks."""
        fresh, wanted = not self.resumes(), {('path', 'resume_state'): self.paths.get('resume_state')}
        if fresh:
            wanted |= {('path', key): value for key, value in self.paths.items() if key.startswith('pretrain_network')}
        if self.is_train:
            for k, options in enumerate(self.opt.get('degradations') or ()):
                if options.get('meta_info_lq'):
                    self.file(('degradations', k, 'meta_info_lq'), options['meta_info_lq'])
            wanted |= {('degradations', k, 'checkpoint'): options.get('checkpoint')
                       for k, options in enumerate(self.opt.get('degradations') or ())}
            wanted |= {('train', key, 'weights'): options.get('weights')
                       for key, options in (self.opt.get('train') or {}).items()
                       if key.endswith('_opt') and isinstance(options, dict)}
        if fresh and not self.paths.get('pretrain_network_g'):
            wanted |= {('network_g', 'branches', k, 'checkpoint'): options.get('checkpoint')
                       for k, options in enumerate((self.opt.get('network_g') or {}).get('branches') or ())}
        for path, value in wanted.items():
            if value and isinstance(value, str):
                self.file(path, str(find_checkpoint(value)))

    def resumes(self) -> bool:
        """Whether the run goes on from a state."""
        states = self.paths.get('training_states') or osp.join('experiments', str(self.opt.get('name')),
                                                               'training_states')
        found = osp.isdir(states) and any(name.endswith('.state') for name in os.listdir(states))
        return bool(self.paths.get('resume_state')) or bool(self.opt.get('auto_resume') and found)
