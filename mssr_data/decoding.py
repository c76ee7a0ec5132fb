"""Encoded images to pixels, the same for folders, LMDBs and `mssr prepare`.

Gray and palette images become RGB, alpha is dropped (not blended), 16-bit values v become round(v / 257), and the EXIF
orientation is applied.
"""

import contextlib
import io
import warnings

import cv2
import numpy as np
from PIL import Image

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm', '.jp2')

# A complete file ends with these bytes, give or take what some cameras append.
_END_MARKS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'IEND\xaeB`\x82'}
TAIL = 64  # bytes


class CorruptImageError(Exception):
    """An image cannot be used; the message says what is wrong and names the image."""


def decode_image(data: bytes | memoryview | None, name: str) -> np.ndarray:
    """Decode one image.

    Args:
        data: the encoded image.
        name: file name or LMDB key, for the message.

    Returns:
        BGR, (H, W, 3), uint8 or uint16. Crop before :func:`to_rgb8`: the conversion costs more than the crop.

    Raises:
        CorruptImageError: it is missing, empty, truncated or no image.
    """
    if data is None:
        raise CorruptImageError(f'{name} is not in the database')
    if len(data) == 0:
        raise CorruptImageError(f'{name} is empty (zero bytes)')
    image = None
    if not _is_truncated(data):  # OpenCV would warn of it on standard error, without a name
        with contextlib.suppress(cv2.error):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise CorruptImageError(f'{name} cannot be decoded: it is truncated, damaged or no image')
    if image.dtype not in (np.uint8, np.uint16):
        raise CorruptImageError(f'{name} holds {image.dtype} pixels; 8-bit or 16-bit integers are needed')
    return image


def to_rgb8(image: np.ndarray) -> np.ndarray:
    """BGR uint8 or uint16 (H, W, 3) to RGB uint8; 16-bit values are divided by 257 and rounded."""
    return to_8_bits(image)[..., ::-1]


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """uint16 values v to round(v / 257) as uint8, of any shape; uint8 as it is."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8) if values.dtype == np.uint16 else values


def header_size(file, name: str) -> tuple[int, int]:
    """Height and width in pixels as stored (EXIF orientation not applied), from the header alone.

    Args:
        file: path, or binary file object.
        name: file name or LMDB key, for the message.

    Raises:
        CorruptImageError: there is no readable image header.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(file) as image:
                return image.height, image.width
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged headers
        raise CorruptImageError(f'{name} is no readable image') from error


def looks_whole(head: bytes, tail: bytes, size: int) -> bool:
    """Whether a file begins as an image, and ends as one where its format tells; False: decode it to know.

    Args:
        head: its first 16 bytes.
        tail: its last 64.
        size: in bytes.
    """
    if head[:2] in _END_MARKS:
        return _END_MARKS[head[:2]] in tail
    if head[:4] == b'RIFF':
        return int.from_bytes(head[4:8], 'little') + 8 <= size
    if head[:2] == b'BM':
        return int.from_bytes(head[2:6], 'little') <= size
    return head.startswith((b'II*\0', b'MM\0*', b'P1', b'P2', b'P3', b'P4', b'P5', b'P6', b'\0\0\0\x0cjP'))


def _is_truncated(data: bytes | memoryview) -> bool:
    """Some versions of OpenCV fill the rest of a truncated file with gray and say nothing."""
    mark = _END_MARKS.get(bytes(data[:2]))
    if mark is None or mark in bytes(data[-TAIL:]):
        return False
    try:  # no end mark near the end: ask a decoder that is strict about it
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except Exception:
        return True
    return False
