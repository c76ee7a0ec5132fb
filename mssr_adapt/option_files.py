"""The option files of an adaptation: the recipes, with its photos, its start and its lengths."""

from pathlib import Path

from mssr_compat.files import write_whole
from mssr_options.reader import effective_yaml, read_options
from mssr_options.shipped import SHIPPED

RECIPES = SHIPPED / 'recipes'
GENERATOR, LEARNING = 'degradation_deresnet.yml', 'adapt.yml'
FEWER = 3  # times fewer iterations for the generator than its recipe has: a ninth taught as much (docs/evidence.md)
TRIAL = 10  # iterations, of which the last half is timed


class OptionFiles:
    """Writes the option files of one adaptation.

    Args:
        folder: where they go.
        clean, real: prepared photos.
        scale: HR size over LR size.
        start: weights that SR starts from.
        checkpoint: of the generator, once it is trained.
        num_gpu: as option files have it.
        cache: keep all photos in memory.
        seed: of what is drawn by chance.
    """

    def __init__(self, folder: Path, clean: Path, real: Path, scale: int, start: Path, checkpoint: Path,
                 num_gpu: int | str = 'auto', cache: bool = True, seed: int = 0) -> None:
        self.folder, self.clean, self.real, self.scale = folder, clean, real, scale
        self.start, self.checkpoint, self.num_gpu, self.cache, self.seed = start, checkpoint, num_gpu, cache, seed

    def generator(self, iterations: int | None = None) -> Path:
        """Stage 1: the recipe of the first generator."""
        return self._write(self._read(GENERATOR, 'degradation', iterations))

    def learning(self, iterations: int | None = None, name: str = 'on_draws', on_bicubic: bool = False,
                 rate: float | None = None, batch: int | None = None) -> Path:
        """Stage 2: SR on what the generator draws; or on bicubic LR of the same crops, at the same rate.

        Args:
            iterations: how many; None: as the recipe has it.
            name: of the experiment.
            on_bicubic: take bicubic LR in the place of draws.
            rate: of the optimizer; None: that of the recipe and its halves are tried first.
            batch: HR crops of an iteration; None: as the recipe has it.
        """
        opt = self._read(LEARNING, name, iterations)
        opt['network_g']['branches'] = [{'pretrained': str(self.start)}]
        if batch is not None:
            opt['datasets']['train']['batch_size_per_gpu'] = batch
        train = opt['train']
        if rate is not None:
            train['find_rate'], train['optim_g']['lr'] = False, rate
        if on_bicubic:
            opt['degradations'] = [{'type': 'BicubicDegradation', 'scale': self.scale}]
            for key in ('lq_strength', 'lq_noise', 'lq_jpeg', 'gt_sharpen'):
                train.pop(key, None)
        else:
            opt['degradations'][0]['checkpoint'] = str(self.checkpoint)
        return self._write(opt)

    def trial(self, file: Path) -> Path:
        """The same for a few iterations, all of them logged, from which the time of a training is told."""
        opt = read_options(str(file))
        opt['name'] = f'trial_{opt["name"]}'
        self._shorten(opt, TRIAL)
        opt['logger'] |= {'print_freq': 1, 'save_checkpoint_freq': 10 * TRIAL}
        opt['train'].pop('find_rate', None)
        return self._write(opt)

    @staticmethod
    def recipe_lengths() -> tuple[int, int]:
        """Iterations of both stages where no time is given: the recipes', fewer of the first."""
        one, other = (read_options(str(RECIPES / file))['train']['total_iter'] for file in (GENERATOR, LEARNING))
        return one // FEWER, other

    @staticmethod
    def recipe_crops() -> tuple[int, int]:
        """HR crops of an iteration of stage 2 and their pixels a side, as its recipe has them."""
        train = read_options(str(RECIPES / LEARNING))['datasets']['train']
        return train['batch_size_per_gpu'], train['gt_size']

    def _read(self, recipe: str, name: str, iterations: int | None) -> dict:
        opt = read_options(str(RECIPES / recipe))
        opt |= {'name': name, 'scale': self.scale, 'num_gpu': self.num_gpu, 'manual_seed': self.seed}
        data = opt['datasets']['train']
        data |= {'dataroot_gt': str(self.clean), 'dataroot_lq': str(self.real), 'on_corrupt': 'skip',
                 'allow_larger_lq': True, 'cache_data': self.cache}
        if iterations is not None:
            self._shorten(opt, iterations)
        return opt

    @staticmethod
    def _shorten(opt: dict, iterations: int) -> None:
        """Another length, the schedule alike."""
        train = opt['train']
        share = train['scheduler']['decay_start'] / train['total_iter']
        train['total_iter'] = train['scheduler']['total_iter'] = iterations
        train['scheduler']['decay_start'] = int(share * iterations)

    def _write(self, opt: dict) -> Path:
        file = self.folder / f'{opt["name"]}.yml'
        write_whole(file, effective_yaml(opt))
        return file
