"""Photos as they come: any bit depth, gray, palette, CMYK, alpha, turned by EXIF, with a colour profile."""

import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from mssr_data.decoding import CorruptImageError

ORIENTATION = 0x0112
_16_BIT_PNG, _GRAY_ALPHA_PNG = b'\x10', b'\x04'  # bytes 24 and 25 of a PNG file: bit depth and colour type


@dataclass
class Picture:
    """A decoded photo, upright."""

    pixels: np.ndarray  #: (H, W, 3) RGB or (H, W) gray, uint8 or uint16
    alpha: np.ndarray | None  #: (H, W) of the same type
    format: str  #: of the file, as Pillow calls it: PNG, JPEG, ...
    icc: bytes | None  #: colour profile of ``pixels``
    exif: bytes | None  #: without orientation, since that has been applied

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[:2]

    @property
    def is_gray(self) -> bool:
        return self.pixels.ndim == 2

    @property
    def white(self) -> int:
        """The largest value: 255 or 65535."""
        return np.iinfo(self.pixels.dtype).max

    def part(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """A part as a network takes it: (1, 3, h, w) float32 in [0, 1]; gray in all three channels."""
        part = self.pixels[top:bottom, left:right].astype(np.float32) / self.white
        part = torch.from_numpy(part)
        return (part.expand(3, -1, -1) if self.is_gray else part.permute(2, 0, 1))[None].contiguous()


def read_picture(path: str | Path) -> Picture:
    """Read a photo in any format that Pillow knows; of several frames or pages the first.

    Palettes become RGB, with alpha where they have transparent entries; one bit becomes 8-bit gray; CMYK becomes sRGB
    by its colour profile, which then no longer applies. 16-bit values stay.

    Raises:
        CorruptImageError: the file is missing, empty, truncated, no image, or holds values that are no colours.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CorruptImageError(f'{path} cannot be read ({error.strerror})') from error
    if not data:
        raise CorruptImageError(f'{path} is empty (zero bytes)')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about very large photos and odd metadata
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                return _picture(image, data, path)
    except CorruptImageError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files
        raise CorruptImageError(f'{path} cannot be decoded: it is truncated, damaged or no image ({error})') from error


def _picture(image: Image.Image, data: bytes, path) -> Picture:
    exif, name, icc = image.getexif(), image.format, image.info.get('icc_profile')
    orientation = exif.get(ORIENTATION, 1)
    if _has_16_bit_colour(image, data):
        pixels, alpha = _read_16_bit(image, data, path)
    else:
        if image.mode in ('CMYK', 'LAB', 'YCbCr', 'HSV'):
            image, icc = _to_srgb(image, icc), None
        pixels, alpha = _split(image, path)
    if orientation != 1:
        pixels, alpha = _upright(pixels, orientation), None if alpha is None else _upright(alpha, orientation)
    if name == 'TIFF':
        exif = None  # its tags describe the file
    elif ORIENTATION in exif:
        exif[ORIENTATION] = 1
    return Picture(np.ascontiguousarray(pixels), alpha, name, icc, exif.tobytes() if exif else None)


def _has_16_bit_colour(image: Image.Image, data: bytes) -> bool:
    """Whether Pillow would cut 16-bit values down to eight bits."""
    if image.mode not in ('RGB', 'RGBA', 'LA'):
        return False
    if image.format == 'PNG':
        return data[24:25] == _16_BIT_PNG
    return image.format == 'TIFF' and 16 in (image.tag_v2.get(258) or ())


def _read_16_bit(image: Image.Image, data: bytes, path) -> tuple[np.ndarray, np.ndarray | None]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.dtype != np.uint16:
        raise CorruptImageError(f'{path} cannot be decoded: its 16-bit layout is not known')
    if pixels.ndim == 2:
        return pixels, None
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    is_gray = data[25:26] == _GRAY_ALPHA_PNG if image.format == 'PNG' else image.mode == 'LA'
    return (pixels[..., 0] if is_gray else pixels[..., 2::-1]), alpha


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    if icc:
        with suppress(ImageCms.PyCMSError, OSError):
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            return ImageCms.profileToProfile(image, profile, ImageCms.createProfile('sRGB'), outputMode='RGB')
    return image.convert('RGB')


def _split(image: Image.Image, path) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours or gray, and alpha, of an image of at most eight bits, or of 16-bit gray."""
    if image.mode.startswith('I'):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise CorruptImageError(f'{path} holds 32-bit values; 8-bit or 16-bit pixels are needed')
        return values.astype(np.uint16), None
    if image.mode == 'F':
        raise CorruptImageError(f'{path} holds floating-point values; 8-bit or 16-bit pixels are needed')
    gray = image.mode in ('1', 'L', 'LA', 'La')
    if 'transparency' in image.info or image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La'):
        values = np.asarray(image.convert('LA' if gray else 'RGBA'))
        return (values[..., 0] if gray else values[..., :3]), np.ascontiguousarray(values[..., -1])
    return np.asarray(image.convert('L' if gray else 'RGB')), None


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror as the EXIF orientation (2 to 8; anything else is no orientation) asks."""
    turns = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}.get(orientation, 0)
    pixels = np.rot90(pixels, turns)
    if orientation in (2, 4, 5, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
