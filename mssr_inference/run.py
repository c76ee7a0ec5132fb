"""Many photos one after another, with a progress bar; one that fails does not stop the others."""

from pathlib import Path

from tqdm import tqdm

from mssr_data.decoding import CorruptImageError
from mssr_inference.inputs import Job
from mssr_inference.upscaler import Upscaler
from mssr_inference.upscaling import Tiling, upscale_file


def upscale_all(upscaler: Upscaler, jobs: list[Job], tiling: Tiling, quality: int = 95, skip_existing: bool = False,
                show_progress: bool = True) -> list[tuple[Path, str]]:
    """Upscale photos.

    Args:
        upscaler: the network.
        jobs: from :func:`mssr_inference.inputs.list_jobs`.
        tiling, quality: as for :func:`mssr_inference.upscaling.upscale_file`.
        skip_existing: leave a photo whose result exists.
        show_progress: a bar on the standard error stream, on which each photo is one step.

    Returns:
        Photos that could not be upscaled, and why.
    """
    failures = []
    with tqdm(jobs, unit='photo', disable=not show_progress or None) as bar:
        for job in bar:
            if skip_existing and job.target.exists():
                continue

            def show(done: int, total: int, name: str = job.source.name) -> None:
                bar.set_postfix_str(f'{name}, tile {done}/{total}' if total > 1 else name)

            try:
                picture = upscale_file(upscaler, job.source, job.target, job.format, tiling, quality, show)
            except CorruptImageError as error:
                failures.append((job.source, str(error).removeprefix(f'{job.source} ')))
            except MemoryError:
                failures.append((job.source, 'memory does not hold even the smallest tile of it'))
            except OSError as error:
                failures.append((job.source, f'{job.target} cannot be written ({error.strerror or error})'))
            else:
                if picture.alpha is not None and job.format == 'JPEG':
                    bar.write(f'{job.source}: JPEG holds no alpha; it was left out')
    return failures
