"""The demo: photographs that ship with scikit-image, degraded by a simulated camera, and adapt.py on them.

    make demo        (or: python scripts/run_demo.py [--minutes N])

It makes the data (clean photos, and small, noisy ones of other scenes), adapts the start that ships to them, restores
them, measures on pairs that none of it has seen, and ends in a table and a picture. A second run starts anew.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from PIL import Image, ImageDraw, ImageFont

from mssr_adapt.pairs import read_pairs
from mssr_adapt.ways import interpolated, restoring
from mssr_inference.restorer import Restorer
from mssr_metric.photo_sets import as_pixels

DATA, OUT = ROOT / 'datasets' / 'demo', ROOT / 'demo'
PANEL, SIDE = 300, 40  # pixels of a panel, and LR pixels that it shows
PHOTOS = (0, 1, 3)  # of the validation pairs, that the picture shows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', default='4', metavar='N', help='for the adaptation (default: 4)')
    args = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    clean, real, gt, lq = (str(DATA / name) for name in (
        'train-clean-images', 'train-noisy-images', 'valid-gt-clean', 'valid-input-noisy'))
    for command in (['scripts/make_demo_data.py', '--output', str(DATA)],
                    ['adapt.py', '--clean', clean, '--real', real, '--out', str(OUT), '--pairs', gt, lq, '--minutes',
                     args.minutes]):
        print('\n$ python', *(part.replace(f'{ROOT}/', '') for part in command), flush=True)
        status = subprocess.run([sys.executable, *command], cwd=ROOT).returncode
        if status:
            return status
    picture = OUT / 'demo.png'
    draw_picture(Path(gt), Path(lq), picture)
    print(f'\nLook at {picture} and {OUT / "report.html"}')
    return 0


@torch.no_grad()
def draw_picture(gt: Path, lq: Path, path: Path) -> None:
    """Middles of photos: as they came, interpolated, restored at both ends of the knob and between, and the truth."""
    restorer = Restorer.load(OUT / 'restorer.safetensors')
    pairs, s = read_pairs(gt, lq, restorer.scale), restorer.scale
    ways = [('LR photo', lambda x: torch.nn.functional.interpolate(x, scale_factor=s)),
            ('interpolation', interpolated(s)), ('fidelity', restoring(restorer, 0.0)),
            (f'chosen: {restorer.setting:g}', restoring(restorer))]
    titles = [*(title for title, _ in ways), 'truth']
    canvas = Image.new('RGB', (len(titles) * (PANEL + 6) - 6, 26 + len(PHOTOS) * (PANEL + 6) - 6), 'white')
    write = ImageDraw.Draw(canvas)
    for column, title in enumerate(titles):
        write.text((column * (PANEL + 6) + 4, 4), title, fill='black', font=ImageFont.load_default(16))
    for row, k in enumerate(PHOTOS):
        truth, photo = (torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255 for image in pairs[k])
        for column, image in enumerate([*(way(photo) for _, way in ways), truth]):
            top, left = ((side - SIDE * s) // 2 for side in image.shape[-2:])
            part = as_pixels(image[0, :, top:top + SIDE * s, left:left + SIDE * s])
            way = Image.Resampling.LANCZOS if column else Image.Resampling.NEAREST
            panel = Image.fromarray(part).resize((PANEL, PANEL), way)
            canvas.paste(panel, (column * (PANEL + 6), 26 + row * (PANEL + 6)))
    canvas.save(path)


if __name__ == '__main__':
    sys.exit(main())
