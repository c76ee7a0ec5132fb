"""One photo to sub-images: decode, cut, encode, write."""

import io
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from mssr_compat.files import write_whole
from mssr_data.decoding import CorruptImageError, decode_image, to_rgb8
from mssr_data.lmdb_store import COMPRESSION
from mssr_prepare.crop import Crop
from mssr_prepare.sources import Photo

# Measured on photographs: a third faster to decode and half the time to encode of level 3 with OpenCV's defaults, for
# 3 % more bytes. Repetitions, which other strategies look for, are rare in photographs.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
if hasattr(cv2, 'IMWRITE_PNG_FILTER'):  # older releases lack it
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]


class Written(NamedTuple):
    """One output image."""

    name: str  # file name
    height: int
    width: int
    size: int  # bytes


class Prepared(NamedTuple):
    """What became of a photo."""

    mode: str
    height: int
    width: int
    files: list[Written]


def prepare_photo(photo: Photo, data: bytes | CorruptImageError | None, key: str, folder: Path, crop: Crop | None
                  ) -> Prepared:
    """Write ``photo`` (its bytes, or None to read the file) as 8-bit RGB PNGs named after ``key`` into ``folder``.

    Pixels are converted as :mod:`mssr_data.decoding` says; a photo no larger than the crop stays one image.

    Raises:
        CorruptImageError: the photo cannot be read or decoded.
        OSError: a file cannot be written.
    """
    if isinstance(data, CorruptImageError):
        raise data
    if data is None:
        try:
            data = (photo.container / photo.member).read_bytes()
        except OSError as error:
            raise CorruptImageError(f"'{photo}' cannot be read ({error.strerror})") from error
    image = decode_image(data, f"'{photo}'")
    mode = '16-bit' if image.dtype == np.uint16 else _mode(data)
    image = to_rgb8(image)
    height, width = image.shape[:2]
    if crop is None:
        crop = Crop(max(height, width), 1, 0)
    places = [(top, left) for top in crop.starts(height) for left in crop.starts(width)]
    files = []
    for number, (top, left) in enumerate(places, start=1):
        part = image[top:top + crop.size, left:left + crop.size]
        name = f'{key}.png' if len(places) == 1 else f'{key}_s{number:03d}.png'
        bgr = np.ascontiguousarray(part[..., ::-1])
        encoded = cv2.imencode('.png', bgr, _PNG)[1].tobytes()
        write_whole(folder / name, encoded)
        files.append(Written(name, *part.shape[:2], len(encoded)))
    return Prepared(mode, height, width, files)


def _mode(data: bytes) -> str:
    names = {'L': 'gray', 'LA': 'gray with alpha', 'P': 'palette', '1': 'black and white', 'RGBA': 'RGB with alpha'}
    try:
        with Image.open(io.BytesIO(data)) as image:
            return names.get(image.mode, image.mode)
    except Exception:  # formats that OpenCV alone knows
        return 'other'
