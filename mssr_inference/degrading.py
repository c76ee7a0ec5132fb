"""Many photos to a set of pairs: read ahead, degrade, write behind; what is there already is not made again."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mssr_data.decoding import CorruptImageError, to_rgb8
from mssr_data.image_source import ImageSource
from mssr_inference.degrader import Degrader
from mssr_inference.draws import Draw
from mssr_inference.memory import is_out_of_memory
from mssr_inference.pair_set import PairSet

AHEAD = 2  # photos that are decoded while one is degraded


class Degradation:
    """What turns photos into the files of a set.

    Args:
        source: the HR photos.
        degraders: one for each generator, of one scale.
        pairs: the set, begun.
        keep_hr: whether the HR photos belong to it.
    """

    def __init__(self, source: ImageSource, degraders: list[Degrader], pairs: PairSet, keep_hr: bool = True):
        self.source, self.degraders, self.pairs, self.keep_hr = source, degraders, pairs, keep_hr

    def run(self, draws: list[Draw], show_progress: bool = True) -> list[tuple[str, str]]:
        """Make what is missing of ``draws``.

        Returns:
            Photos that could not be degraded, and why.

        Raises:
            OSError: a file cannot be written (a full disk), after which there is no point in going on.
        """
        missing = [draw for draw in draws if not self._is_there(draw)]
        failures = []
        with tqdm(total=len(draws), initial=len(draws) - len(missing), unit='picture',
                  disable=not show_progress or None) as bar, ThreadPoolExecutor(AHEAD + 1) as pool:
            writing: list[Future] = []
            for draws_of_photo, reading in self._read_ahead(missing, pool):
                path = self.source.path(draws_of_photo[0].photo)
                try:
                    photo = reading.result()
                    for draw in draws_of_photo:
                        lr = self.degraders[draw.generator](photo, draw.key)
                        writing.append(pool.submit(self._write, draw, photo, lr))
                        bar.update()
                except CorruptImageError as error:
                    failures.append((path, str(error).removeprefix(f"'{path}' ")))
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                    failures.append((path, 'memory does not hold it'))
                while len(writing) > 2 * AHEAD:
                    writing.pop(0).result()
            for future in writing:
                future.result()
        return failures

    def _read_ahead(self, draws: list[Draw], pool: ThreadPoolExecutor) -> Iterator[tuple[list[Draw], Future]]:
        photos = [list(group) for _, group in groupby(draws, key=lambda draw: draw.photo)]
        waiting: list[Future] = []
        for k, group in enumerate(photos):
            while len(waiting) < AHEAD and k + len(waiting) < len(photos):
                waiting.append(pool.submit(self._read, photos[k + len(waiting)][0].photo))
            yield group, waiting.pop(0)

    def _read(self, photo: int) -> np.ndarray:
        """An HR photo, (H, W, 3) RGB uint8, cut at the right and bottom to multiples of the scale."""
        image = to_rgb8(self.source.read(photo))
        s = self.degraders[0].scale
        height, width = image.shape[0] // s * s, image.shape[1] // s * s
        if not height or not width:
            raise CorruptImageError(f'{image.shape[1]} x {image.shape[0]} pixels are too few for scale {s}')
        return np.ascontiguousarray(image[:height, :width])

    def _is_there(self, draw: Draw) -> bool:
        return all(self.pairs.path(folder, draw.name).exists() for folder in ('lq', *(['gt'] if self.keep_hr else [])))

    def _write(self, draw: Draw, photo: np.ndarray, lr: np.ndarray) -> None:
        if self.keep_hr:
            file = None if self.source.backend == 'lmdb' else Path(self.source.path(draw.photo))
            self.pairs.add_hr(draw.name, photo, file)
        self.pairs.write('lq', draw.name, lr)
