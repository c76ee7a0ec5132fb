"""The page of ``python demo.py``: upscale a photo, or see draws of a learned degradation."""

import os
import tempfile
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image

from mssr_compat.errors import UserError
from mssr_data.decoding import CorruptImageError
from mssr_inference.degrader import Degrader
from mssr_inference.memory import is_out_of_memory
from mssr_inference.networks import load_generator, load_upscaler
from mssr_inference.picture_files import Picture, read_picture
from mssr_inference.restorer import Restorer
from mssr_inference.upscale_files import upscale_file
from mssr_inference.upscaler import Upscaler

MOST_DRAWS = 8
MOST_BYTES = '32mb'  # of an uploaded file


class Page:
    """What the page does, apart from how it looks.

    Args:
        upscalers: checkpoints of SR networks by the names that the page shows.
        generators: checkpoints of stage-1 generators, likewise.
        device: where it computes.
        max_pixels: photos with more pixels are refused.
    """

    def __init__(self, upscalers: dict[str, Path], generators: dict[str, Path], device: torch.device,
                 max_pixels: int = 4_000_000):
        self.upscalers, self.generators = upscalers, generators
        self.device, self.max_pixels = device, max_pixels
        self.load_upscaler = lru_cache(2)(lambda name, perception: load_upscaler(upscalers[name],
                                                                                 perception=perception))
        self.setting = lru_cache(16)(self.setting)  # the whole file is read for it
        self.load_generator = lru_cache(4)(lambda name: load_generator(generators[name]))

    def setting(self, name: str) -> float | None:
        """Where the knob of a restorer stands; None: it is no restorer."""
        restorer = Restorer.load(self.upscalers[name])
        return restorer and restorer.setting

    def upscale(self, file: str | None, name: str, self_ensemble: bool, color_lock: bool, folder: str,
                perception: float | None = None) -> tuple[Image.Image, Image.Image, str]:
        """Upscale an uploaded photo; ``perception`` turns the knob of a restorer, and is nothing to other networks.

        Returns:
            The photo enlarged bicubically and the result, for the slider, and the result's file in ``folder``.

        Raises:
            UserError: there is no photo, it cannot be used, or it is too large.
        """
        picture = self._read(file)
        perception = None if self.setting(name) is None else perception
        upscaler = Upscaler(self.load_upscaler(name, perception), self.device, 'fp32', self_ensemble,
                            color_lock)
        target = Path(folder) / f'{Path(file).stem}_x{upscaler.scale}.png'
        try:
            upscale_file(upscaler, file, target, 'PNG')
        except Exception as error:
            raise self._explained(error) from error
        after = Image.fromarray(read_picture(target).rgb8())
        return Image.fromarray(picture.rgb8()).resize(after.size, Image.Resampling.BICUBIC), after, str(target)

    def draw(self, file: str | None, name: str, draws: int, seed: int) -> list[tuple[Image.Image, str]]:
        """Draws of a learned degradation of an HR photo, with captions; errors as for :meth:`upscale`."""
        picture = self._read(file)
        degrader = Degrader(self.load_generator(name), self.device)
        photo = picture.rgb8()
        s = degrader.scale
        photo = photo[:photo.shape[0] // s * s, :photo.shape[1] // s * s]
        if not photo.size:
            raise UserError(f'the photo is smaller than {s} x {s} pixels')
        stem = Path(file).stem
        try:
            return [(Image.fromarray(degrader(photo, f'{int(seed)}/{stem}/{k}')), f'draw {k}')
                    for k in range(min(int(draws), MOST_DRAWS))]
        except Exception as error:
            raise self._explained(error) from error

    def _read(self, file: str | None) -> Picture:
        if not file:
            raise UserError('drop a photo first')
        try:
            with Image.open(file) as image:  # the size, before anything is decoded
                width, height = image.size
        except Exception as error:
            raise UserError('this file is no photo that can be read') from error
        if width * height > self.max_pixels:
            raise UserError(f'the photo has {width} x {height} pixels; here at most {self.max_pixels:,} are taken, '
                            'while mssr upscale takes larger ones')
        try:
            return read_picture(file)
        except CorruptImageError as error:
            raise UserError(str(error).replace(f'{file} ', 'the photo ', 1)) from error

    @staticmethod
    def _explained(error: Exception) -> Exception:
        return UserError('memory does not hold this photo; take a smaller one') if is_out_of_memory(error) else error


def build_page(page: Page):
    """The page as Gradio ``Blocks``; nothing is fetched from elsewhere and nothing is reported to anyone.

    Raises:
        UserError: Gradio is not installed.
    """
    os.environ.setdefault('GRADIO_ANALYTICS_ENABLED', 'False')
    try:
        import gradio as gr
    except ImportError as error:
        raise UserError('the page needs Gradio: pip install "gradio>=6"') from error
    results = tempfile.TemporaryDirectory(prefix='mssr_page_')  # goes with the process

    def upscale(file, name, self_ensemble, color_lock, perception):
        try:
            before, after, target = page.upscale(file, name, self_ensemble, color_lock, results.name, perception)
        except UserError as error:
            raise gr.Error(_sentence(error)) from error
        return (before, after), target

    def turn(name):
        setting = page.setting(name)
        return (gr.Slider(value=setting or 0, visible=setting is not None),
                gr.Checkbox(value=setting is not None))  # restorers are meant to be used with it

    def draw(file, name, draws, seed):
        try:
            return page.draw(file, name, draws, seed)
        except UserError as error:
            raise gr.Error(_sentence(error)) from error

    with gr.Blocks(title='MSSR', analytics_enabled=False) as blocks:
        gr.Markdown('# MSSR\nReal-world super-resolution with learned degradations. Photos stay on this machine.')
        with gr.Tab('Upscale', visible=bool(page.upscalers)):
            with gr.Row():
                with gr.Column(scale=1):
                    photo = gr.Image(label='Photo', type='filepath', sources=['upload', 'clipboard'])
                    first = next(iter(page.upscalers), None)
                    setting = page.setting(first) if first else None
                    name = gr.Dropdown(list(page.upscalers), value=first, label='Weights')
                    ensemble = gr.Checkbox(label='Self-ensemble (8 times the work)')
                    lock = gr.Checkbox(setting is not None, label="Keep the photo's colours")
                    knob = gr.Slider(0, 1, value=setting or 0, step=0.05, visible=setting is not None,
                                     label='Perception: from fewest errors (0) to sharpest (1)')
                    start = gr.Button('Upscale', variant='primary')
                with gr.Column(scale=2):
                    slider = gr.ImageSlider(label='Before and after', format='png', interactive=False)
                    result = gr.File(label='Result', interactive=False)
            start.click(upscale, [photo, name, ensemble, lock, knob], [slider, result], concurrency_limit=1)
            name.change(turn, name, [knob, lock])
        with gr.Tab('Degrade', visible=bool(page.generators)):
            with gr.Row():
                with gr.Column(scale=1):
                    clean = gr.Image(label='HR photo', type='filepath', sources=['upload', 'clipboard'])
                    kind = gr.Dropdown(list(page.generators), value=next(iter(page.generators), None),
                                       label='Learned degradation')
                    draws = gr.Slider(1, MOST_DRAWS, value=4, step=1, label='Draws')
                    seed = gr.Number(value=0, precision=0, minimum=0, label='Seed')
                    go = gr.Button('Draw', variant='primary')
                with gr.Column(scale=2):
                    gallery = gr.Gallery(label='LR photos', columns=2, format='png')
            go.click(draw, [clean, kind, draws, seed], gallery, concurrency_limit=1)
    return blocks


def _sentence(error: UserError) -> str:
    text = str(error).rstrip('.')
    return f'{text[:1].upper()}{text[1:]}.'


def launch(blocks, host: str, port: int | None, block: bool = True):
    """Serve the page; its fonts are the system's, so that it works without a network."""
    import gradio as gr

    theme = gr.themes.Base(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])
    return blocks.queue(max_size=16).launch(server_name=host, server_port=port, share=False, theme=theme,
                                            max_file_size=MOST_BYTES, prevent_thread_lock=not block, quiet=not block)
