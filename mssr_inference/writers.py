"""Pictures to files row by row: PNG, TIFF and JPEG never hold the whole picture; WebP, which is small, does."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mssr_data.decoding import CorruptImageError

SUFFIXES = {'PNG': '.png', 'JPEG': '.jpg', 'WEBP': '.webp', 'TIFF': '.tif'}
LONGEST = {'JPEG': 65535, 'WEBP': 16383}  # sides in pixels
JPEG_ROWS = 128  # a multiple of 8 rows of 16 x 16 blocks, after which restart markers start over
TIFF_ROWS = 64  # of a strip


@dataclass
class Layout:
    """What a picture file is to hold."""

    format: str  #: PNG, JPEG, WEBP or TIFF
    height: int
    width: int
    channels: int  #: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha
    dtype: np.dtype  #: uint8, or uint16 for PNG and TIFF
    icc: bytes | None = None
    exif: bytes | None = None
    quality: int = 95  #: of JPEG and WebP

    @property
    def mode(self) -> str:
        return ('', 'L', 'LA', 'RGB', 'RGBA')[self.channels]


def write_picture(path: str | Path, layout: Layout, rows: Iterator[np.ndarray]) -> None:
    """Write aside and rename: an interruption or a full disk leaves nothing under the final name.

    Args:
        path: the file; its folder is made.
        layout: what it holds.
        rows: (h, width, channels) arrays from top to bottom, ``height`` rows in all. They are drawn as they are
            written, so that they may come from a computation.

    Raises:
        CorruptImageError: the format cannot hold a picture of this size.
        OSError: the disk is full, or the folder is not writable.
    """
    path = Path(path)
    longest = LONGEST.get(layout.format)
    if longest and max(layout.height, layout.width) > longest:
        raise CorruptImageError(f'{path.name} would be {layout.width} x {layout.height} pixels, but {layout.format} '
                                f'holds at most {longest} a side; write PNG or TIFF')
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'.{path.name}.{os.getpid()}.part')
    writers: dict[str, Callable] = {'PNG': _write_png, 'JPEG': _write_jpeg, 'WEBP': _write_webp, 'TIFF': _write_tiff}
    try:
        writers[layout.format](aside, layout, rows)
        os.replace(aside, path)
    finally:
        with suppress(OSError):
            aside.unlink()


def _write_png(path: Path, layout: Layout, rows: Iterator[np.ndarray]) -> None:
    with open(path, 'wb') as file:
        def chunk(name: bytes, data: bytes) -> None:
            file.write(struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data)))

        file.write(b'\x89PNG\r\n\x1a\n')
        depth, colour = 8 * layout.dtype.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[layout.channels]
        chunk(b'IHDR', struct.pack('>IIBBBBB', layout.width, layout.height, depth, colour, 0, 0, 0))
        if layout.icc:
            chunk(b'iCCP', b'ICC profile\0\0' + zlib.compress(layout.icc))
        if layout.exif:
            chunk(b'eXIf', layout.exif.removeprefix(b'Exif\0\0'))
        packer = zlib.compressobj(3)
        above = np.zeros(layout.width * layout.channels * layout.dtype.itemsize, np.uint8)
        for part in rows:
            big_endian = np.ascontiguousarray(part.astype(layout.dtype.newbyteorder('>'), copy=False))
            lines = big_endian.reshape(len(part), -1).view(np.uint8)
            data = packer.compress(_filtered(lines, above, layout.channels * layout.dtype.itemsize))
            above = lines[-1].copy()
            if data:
                chunk(b'IDAT', data)
        chunk(b'IDAT', packer.flush())
        chunk(b'IEND', b'')


def _filtered(lines: np.ndarray, above: np.ndarray, pixel: int) -> bytes:
    """PNG's prediction from the pixel to the left or the one above, for each line the one that leaves less."""
    left, up = lines.copy(), lines.copy()
    left[:, pixel:] -= lines[:, :-pixel]
    up[0] -= above
    up[1:] -= lines[:-1]
    # As signed values, small differences either way are cheap.
    cost_left, cost_up = (np.abs(x.view(np.int8).astype(np.int16)).sum(1, dtype=np.int64) for x in (left, up))
    from_left = cost_left <= cost_up
    filtered = np.empty((len(lines), lines.shape[1] + 1), np.uint8)
    filtered[:, 0] = np.where(from_left, 1, 2)
    filtered[:, 1:] = np.where(from_left[:, None], left, up)
    return filtered.tobytes()


def _write_jpeg(path: Path, layout: Layout, rows: Iterator[np.ndarray]) -> None:
    """Encode strips by themselves and join their scans at restart markers, which make blocks independent there."""
    with open(path, 'wb') as file:
        for number, strip in enumerate(_regrouped(rows, JPEG_ROWS)):
            buffer = io.BytesIO()
            metadata = {'icc_profile': layout.icc, 'exif': layout.exif or b''} if number == 0 else {}
            Image.fromarray(strip.squeeze(-1) if layout.channels == 1 else strip, layout.mode).save(
                buffer, 'JPEG', quality=layout.quality, restart_marker_rows=1, **metadata
            )
            data = buffer.getvalue()
            scan = _scan_start(data)
            if number == 0:
                file.write(_with_height(data[:scan], layout.height))
            else:
                file.write(b'\xff\xd7')  # the eighth restart marker; each strip holds the seven between its rows
            file.write(data[scan:-2])
        file.write(b'\xff\xd9')


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment of a JPEG header up to the scan's own."""
    place = 2
    while True:
        end = place + 2 + int.from_bytes(data[place + 2:place + 4], 'big')
        yield data[place + 1], place, end
        if data[place + 1] == 0xDA:
            return
        place = end


def _scan_start(data: bytes) -> int:
    *_, (_, _, end) = _segments(data)
    return end


def _with_height(header: bytes, height: int) -> bytes:
    """The header with another height in its frame segment."""
    start = next(start for marker, start, _ in _segments(header) if marker in (0xC0, 0xC1))
    return header[:start + 5] + struct.pack('>H', height) + header[start + 7:]


def _write_webp(path: Path, layout: Layout, rows: Iterator[np.ndarray]) -> None:
    whole = np.concatenate(list(rows))
    if layout.channels < 3:  # WebP has no gray
        whole = _in_colour(whole)
    icc = None if layout.channels < 3 else layout.icc  # nor gray profiles
    Image.fromarray(whole, 'RGBA' if whole.shape[-1] == 4 else 'RGB').save(
        path, 'WEBP', quality=layout.quality, exact=True, icc_profile=icc, exif=layout.exif or b''
    )


def _write_tiff(path: Path, layout: Layout, rows: Iterator[np.ndarray]) -> None:
    from tifffile import TiffWriter  # scikit-image brings it

    if layout.channels == 2 and layout.dtype.itemsize == 2:  # Pillow, for one, cannot read that
        layout, rows = replace(layout, channels=4, icc=None), map(_in_colour, rows)
    gray = layout.channels < 3
    shape = (layout.height, layout.width) + ((layout.channels,) if layout.channels > 1 else ())
    strips = (zlib.compress(_differences(strip, layout).tobytes(), 3) for strip in _regrouped(rows, TIFF_ROWS))
    large = layout.height * layout.width * layout.channels * layout.dtype.itemsize > 2**31
    with TiffWriter(path, bigtiff=large, byteorder='<') as writer:
        writer.write(
            strips, shape=shape, dtype=layout.dtype, rowsperstrip=TIFF_ROWS, compression='zlib', predictor='horizontal',
            photometric='minisblack' if gray else 'rgb', planarconfig=None if layout.channels == 1 else 'contig',
            extrasamples=['unassalpha'] if layout.channels in (2, 4) else [], iccprofile=layout.icc, metadata=None,
            software='',
        )


def _in_colour(rows: np.ndarray) -> np.ndarray:
    """Gray, perhaps with alpha, as RGB."""
    return np.concatenate([rows[..., :1].repeat(3, -1), rows[..., 1:]], -1)


def _differences(strip: np.ndarray, layout: Layout) -> np.ndarray:
    """TIFF's prediction from the pixel to the left."""
    predicted = strip.astype(layout.dtype.newbyteorder('<'))
    predicted[:, 1:] -= strip[:, :-1]
    return predicted


def _regrouped(rows: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The same rows in arrays of ``count``, the last perhaps shorter."""
    held: list[np.ndarray] = []
    have = 0
    for part in rows:
        held.append(part)
        have += len(part)
        if have >= count:
            joined = np.concatenate(held) if len(held) > 1 else held[0]
            full = have // count * count
            for start in range(0, full, count):
                yield joined[start:start + count]
            held, have = [joined[full:]], have - full
    if have:
        yield np.concatenate(held)


def format_of(name: str) -> str | None:
    """The format that a file name's suffix stands for, if it is one of ours."""
    suffix = Path(name).suffix.lower()
    names = {'.jpeg': 'JPEG', '.tiff': 'TIFF', **{suffix: name for name, suffix in SUFFIXES.items()}}
    return names.get(suffix)
