"""What diagnose reads from photos that were degraded with known values, as the table of docs/diagnose.md.

    python -m benchmarks.diagnose_truth                    # clean photographs of scikit-image
    python -m benchmarks.diagnose_truth --clean FOLDER --scale 4 --write docs/diagnose.md

Clean photos are blurred before they are reduced, as by a lens, then get noise (independent in the colours) and JPEG.
Medians over the photos; the other values are drawn anew for each photo over their whole range, or absent. Noise of 0
says what the photos themselves read.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import skimage

from mssr_data.decoding import to_rgb8
from mssr_diagnose.folder import open_folder
from mssr_diagnose.photo import SMALLEST, measure_photo

PHOTOS = ('astronaut.png', 'coffee.png', 'chelsea.png', 'rocket.jpg', 'motorcycle_left.png', 'ihc.png',
          'hubble_deep_field.jpg', 'retina.jpg', 'gravel.png', 'brick.png')
BLURS, LEVELS, QUALITIES = (0.5, 1.0, 1.5, 2.0, 3.0), (1, 2, 5, 10, 25), (30, 50, 70, 80, 90, 95)
TELLING = 0.25  # of the photos; where fewer tell, diagnose says that it cannot be told
BEGIN, END = '<!-- table: begin -->', '<!-- table: end -->'


def degraded(photo, scale, blur, noise, quality, seed):
    """(H, W, 3) RGB uint8 to its LR photo; blur in LR pixels, noise in levels, quality None for no JPEG."""
    height, width = (length // scale for length in photo.shape[:2])
    photo = photo[:height * scale, :width * scale].astype(np.float32)
    if blur:
        photo = cv2.GaussianBlur(photo, (0, 0), blur * scale)
    low = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    low = low + np.random.default_rng(seed).normal(0, 1, low.shape) * noise
    low = low.clip(0, 255).round().astype(np.uint8)
    if quality:
        code = cv2.imencode('.jpg', np.ascontiguousarray(low[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        low = cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(low)


def rows(photos, scale):
    """Rows of the table: what, truth, conditions, median, quartiles, how many photos told."""
    def blur(seed):
        return np.random.default_rng((seed, 1)).uniform(0.5, 3)

    def noise(seed):
        return np.exp(np.random.default_rng((seed, 2)).uniform(0, np.log(25)))

    def quality(seed):
        return int(np.random.default_rng((seed, 3)).integers(30, 96))

    def none(seed):
        return 0

    plans = [('blur', value, words, lambda s, v=value: v, other, jpeg) for value in BLURS
             for words, other, jpeg in (('alone', none, none), ('noise', noise, none), ('JPEG', none, quality),
                                        ('noise, JPEG', noise, quality))]
    plans += [('noise', value, words, other, lambda s, v=value: v, jpeg) for value in (0, *LEVELS)
              for words, other, jpeg in (('alone', none, none), ('blur', blur, none), ('blur, JPEG', blur, quality))]
    plans += [('quality', value, words, one, other, lambda s, v=value: v) for value in QUALITIES
              for words, one, other in (('alone', none, none), ('blur, noise', blur, noise))]
    for what, truth, words, sigma, level, jpeg in plans:
        found = []
        for seed, photo in enumerate(photos):
            measured = measure_photo(degraded(photo, scale, sigma(seed), level(seed), jpeg(seed), seed))
            found.append({'blur': measured.blur and measured.blur.width, 'noise': measured.noise.level,
                          'quality': measured.jpeg and measured.jpeg.quality}[what])
        told = [value for value in found if value is not None]
        yield what, f'{truth:g}', words, *read(told), f'{len(told)} of {len(photos)}', verdict(told, truth, len(photos))


def read(told):
    """Median and quartiles, as the table has them."""
    if not told:
        return '–', '–'
    low, median, high = np.quantile(told, (0.25, 0.5, 0.75))
    return f'{median:.3g}', f'{low:.3g} to {high:.3g}'


def verdict(told, truth, count):
    """Whether the median of what was told is within a tenth of the truth."""
    if len(told) < TELLING * count:
        return 'not told'
    if not truth:
        return '–'
    return 'yes' if abs(np.median(told) / truth - 1) <= 0.1 else '**no**'


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clean', help='folder of clean photos (default: those of scikit-image)')
    parser.add_argument('--photos', type=int, default=24, help='at most (24)')
    parser.add_argument('--scale', type=int, default=2, help='by which they are reduced (2)')
    parser.add_argument('--write', type=Path, metavar='FILE', help='replace the table in this file')
    args = parser.parse_args(arguments)
    if args.clean:
        source = open_folder(args.clean, '--clean')
        chosen = np.linspace(0, len(source) - 1, min(len(source), args.photos)).astype(int)
        photos = [to_rgb8(source.read(int(index))) for index in chosen]
    else:
        photos = [cv2.imread(str(Path(skimage.__file__).parent / 'data' / name))[..., ::-1] for name in PHOTOS]
    most = 256 * args.scale
    photos = [photo[:most, :most] for photo in photos if min(photo.shape[:2]) >= SMALLEST * args.scale]
    lines = ['| what | truth | with | read (median) | quartiles | photos that tell | within 10 % |',
             '|---|---:|---|---:|---:|---:|---|']
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows(photos, args.scale)]
    table = '\n'.join(lines)
    print(table)
    if args.write:
        text = args.write.read_text(encoding='utf-8')
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        args.write.write_text(f'{before}{BEGIN}\n{table}\n{END}{after}', encoding='utf-8')


if __name__ == '__main__':
    main()
