"""Photos as they come and go: 8 or 16 bits, gray, palette, CMYK, alpha, turned by EXIF, with a colour profile."""

import io
import struct
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
import torch
from PIL import Image, ImageCms
from torch import Tensor

from mssr_compat.files import replacing
from mssr_data.decoding import CorruptImageError, to_rgb8

SUFFIXES = {'PNG': '.png', 'JPEG': '.jpg', 'WEBP': '.webp', 'TIFF': '.tif'}
DEEP_FORMATS = ('PNG', 'TIFF')  # those that hold 16 bits
LONGEST = {'JPEG': 65500, 'WEBP': 16383}  # sides in pixels
ORIENTATION = 0x0112
GRAY, ALPHA = ('1', 'L', 'LA', 'La'), ('RGBA', 'LA', 'PA', 'RGBa', 'La')  # modes of Pillow
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
        part = torch.from_numpy(self.pixels[top:bottom, left:right].astype(np.float32) / self.white)
        return (part.expand(3, -1, -1) if self.is_gray else part.permute(2, 0, 1))[None].contiguous()

    def rgb8(self) -> np.ndarray:
        """(H, W, 3) RGB uint8 without alpha; 16-bit values are rounded as everywhere."""
        return np.ascontiguousarray(to_rgb8(in_colour(self.pixels)[..., ::-1]))


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """Gray (H, W), or with alpha (H, W, 2), as RGB (H, W, 3) or (H, W, 4); colour as it is."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return pixels if pixels.shape[2] > 2 else np.concatenate([pixels[..., :1].repeat(3, -1), pixels[..., 1:]], -1)


def format_of(name: str) -> str | None:
    """The format that a file name's suffix stands for, if it is one of ours."""
    names = {'.jpeg': 'JPEG', '.tiff': 'TIFF', **{suffix: name for name, suffix in SUFFIXES.items()}}
    return names.get(Path(name).suffix.lower())


# --- reading ------------------------------------------------------------------------------------------------------


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


def decoded_bytes(path: str | Path) -> tuple[int, int]:
    """How many pixels :func:`read_picture` will give, and bytes, from the header alone; 0, 0 of a damaged file."""
    try:
        with warnings.catch_warnings(), open(path, 'rb') as file:
            warnings.simplefilter('ignore')
            with Image.open(file) as image:
                file.seek(0)
                deep = image.mode.startswith('I') or _has_16_bit_colour(image, file.read(26))
                gray = image.mode in GRAY or image.mode.startswith('I')
                channels = (1 if gray else 3) + (image.mode in ALPHA or 'transparency' in image.info)
                return image.width * image.height, image.width * image.height * channels * (2 if deep else 1)
    except Exception:  # as above; reading it says what is wrong
        return 0, 0


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


def _has_16_bit_colour(image: Image.Image, head: bytes) -> bool:
    """Whether Pillow would cut 16-bit values down to eight bits."""
    if image.mode not in ('RGB', 'RGBA', 'LA'):
        return False
    if image.format == 'PNG':
        return head[24:25] == _16_BIT_PNG
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
    gray = image.mode in GRAY
    if 'transparency' in image.info or image.mode in ALPHA:
        values = np.asarray(image.convert('LA' if gray else 'RGBA'))
        return (values[..., 0] if gray else values[..., :3]), np.ascontiguousarray(values[..., -1])
    return np.asarray(image.convert('L' if gray else 'RGB')), None


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror as the EXIF orientation (2 to 8; anything else is no orientation) asks."""
    pixels = np.rot90(pixels, {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}.get(orientation, 0))
    return np.ascontiguousarray(pixels[:, ::-1] if orientation in (2, 4, 5, 7) else pixels)


# --- writing ------------------------------------------------------------------------------------------------------


def check_size(path: Path, format: str, height: int, width: int) -> None:
    """Refuse a result before it is computed: CorruptImageError where the format cannot hold a picture of this size."""
    longest = LONGEST.get(format)
    if longest and max(height, width) > longest:
        raise CorruptImageError(f'{path.name} would be {width} x {height} pixels, but {format} holds at most {longest} '
                                'a side; write PNG or TIFF')


def write_picture(path: str | Path, pixels: np.ndarray, format: str, icc: bytes | None = None,
                  exif: bytes | None = None, quality: int = 95) -> None:
    """Write a picture, whole or not at all.

    Args:
        path: the file; its folder is made.
        pixels: (H, W) gray or (H, W, C), C being 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha; uint8, or uint16
            for PNG and TIFF. Gray becomes colour in WebP, which has none, and with alpha in 16 bits, which Pillow
            cannot read.
        format: PNG, JPEG, WEBP or TIFF, whatever ``path`` ends in.
        icc: colour profile; one of gray is left out where gray becomes colour.
        exif: metadata; TIFF takes none.
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        CorruptImageError: the format cannot hold a picture of this size.
        OSError: the disk is full, or the folder is not writable.
    """
    check_size(Path(path), format, *pixels.shape[:2])
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    channels, deep = 1 if pixels.ndim == 2 else pixels.shape[2], pixels.dtype == np.uint16
    if channels < 3 and (format == 'WEBP' or (deep and channels == 2)):
        pixels, icc = in_colour(pixels), None
    with replacing(path) as aside:
        if format == 'TIFF':
            _write_tiff(aside, pixels, icc)
        elif deep and channels > 1:
            _write_deep_png(aside, pixels, icc, exif)
        else:
            options = {'compress_level': 3} if format == 'PNG' else {'quality': quality, 'exact': True}
            Image.fromarray(pixels).save(aside, format, icc_profile=icc, exif=exif or b'', **options)


def _write_tiff(path: Path, pixels: np.ndarray, icc: bytes | None) -> None:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    tifffile.imwrite(
        path, pixels, bigtiff=pixels.nbytes > 2**31, compression='zlib', compressionargs={'level': 3}, predictor=True,
        rowsperstrip=64, photometric='minisblack' if channels < 3 else 'rgb',
        planarconfig=None if channels == 1 else 'contig', extrasamples=['unassalpha'] if channels in (2, 4) else [],
        iccprofile=icc, metadata=None, software='')


def _write_deep_png(path: Path, pixels: np.ndarray, icc: bytes | None, exif: bytes | None) -> None:
    """16-bit colour, which Pillow cannot write: OpenCV's file, with the metadata put behind its header."""
    order = [2, 1, 0, 3][:pixels.shape[2]]
    done, code = cv2.imencode('.png', pixels[..., order], [cv2.IMWRITE_PNG_COMPRESSION, 3])
    assert done
    header = 33  # bytes: signature and IHDR
    with open(path, 'wb') as file:
        file.write(code[:header])
        for name, data in ((b'iCCP', icc and b'ICC profile\0\0' + zlib.compress(icc)),
                           (b'eXIf', exif and exif.removeprefix(b'Exif\0\0'))):
            if data:
                file.write(struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data)))
        file.write(code[header:])
