"""Windows of the pages of a TIFF: only the tiles and strips that they touch are decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING, Any, cast

import imagecodecs
import numpy as np
from PIL import Image
from tifffile import COMPRESSION, FILLORDER, PHOTOMETRIC, TiffFile, TiffFrame, TiffPage

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.compressed import check_lzw
from cp_assets.images.readers.guarding import MAX_PLANES, check_stored
from cp_assets.payloads.memory import PIXEL_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.payloads.types import Pixels
    from cp_assets.stores import Place

Page = TiffPage | TiffFrame

_BYTE_CODECS = frozenset(
    {
        COMPRESSION.NONE,
        COMPRESSION.LZW,
        COMPRESSION.ADOBE_DEFLATE,
        COMPRESSION.DEFLATE,
        COMPRESSION.PACKBITS,
        COMPRESSION.LZMA,
        COMPRESSION.ZSTD,
    }
)
_IMAGE_CODECS = {
    COMPRESSION.JPEG: "JPEG",
    COMPRESSION.JPEG2000: "JPEG2000",
    COMPRESSION.APERIO_JP2000_RGB: "JPEG2000",
    COMPRESSION.APERIO_JP2000_YCBC: "JPEG2000",
    COMPRESSION.PNG: "PNG",
    COMPRESSION.WEBP: "WEBP",
}
_SPARE_BYTES = 2**20
_SLAB_BYTES = 16 * 2**20

READ_BYTES = 16 * 2**20
"""Stored bytes of tiles or strips that are held before they are decoded; at least one is."""

_Segment = tuple[Any, tuple[int, int, int, int, int], tuple[int, int, int, int]]
"""Pixels (Z, Y, X, samples), where they start (sample, Z, Y, X, 0), and their shape."""


@dataclass(frozen=True, slots=True)
class PageWindow:
    """A window of a page; half-open ranges in pixels.

    Attributes
    ----------
    z
        Slices of a volumetric page; ``(0, 1)`` for others.
    """

    z: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]


def count_pages(path: Place, tiff: TiffFile) -> int:
    """Count the pages by walking from one to the next, which tifffile does without an end.

    Raises
    ------
    ImageReadError
        If there is no page, or the chain of pages loops, leaves the file, or holds more than
        262,144.
    """
    form, file = tiff.tiff, tiff.filehandle
    seen: set[int] = set()
    try:
        offset = tiff.pages.first.offset
    except IndexError as error:
        msg = f"image {path}: its first page is not inside the file; it is truncated, copy it again"
        raise ImageReadError(msg) from error
    while offset:
        if offset in seen or len(seen) >= MAX_PLANES:
            fault = "leads back to an earlier one" if offset in seen else "is one too many"
            msg = f"image {path}: page {len(seen)} {fault}; the file is corrupt, copy it again"
            raise ImageReadError(msg)
        seen.add(offset)
        file.seek(offset)
        (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
        file.seek(offset + form.tagnosize + tags * form.tagsize)
        (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
    return len(seen)


@dataclass(frozen=True, slots=True)
class PageGrid:
    """How a page is divided into tiles or strips, each a segment.

    Attributes
    ----------
    step
        Sizes of a segment in Z, Y, X.
    count
        Number of segments along separate samples, Z, Y, X.
    """

    step: tuple[int, int, int]
    count: tuple[int, int, int, int]

    @classmethod
    def of(cls, page: TiffPage) -> PageGrid:
        """Grid of a page."""
        samples, depth, height, width, _ = page.shaped
        if page.is_tiled:
            step = page.tiledepth, page.tilelength, page.tilewidth
        else:
            step = 1, min(page.rowsperstrip, height), width
        if min(step) < 1:
            raise ValueError(f"tiles or strips of {step} pixels (ZYX)")
        z, y, x = step
        return cls(step, (samples, ceil(depth / z), ceil(height / y), ceil(width / x)))

    def touched(self, window: PageWindow) -> list[int]:
        """Numbers of the segments that a window touches, of all separate samples."""
        samples, depth, height, width = self.count
        z_step, y_step, x_step = self.step
        return [
            ((s * depth + z) * height + y) * width + x
            for s in range(samples)
            for z in range(window.z[0] // z_step, ceil(window.z[1] / z_step))
            for y in range(window.y[0] // y_step, ceil(window.y[1] / y_step))
            for x in range(window.x[0] // x_step, ceil(window.x[1] / x_step))
        ]


@dataclass(frozen=True, slots=True)
class PageReader:
    """Decodes windows of the pages of the image at `path`.

    Parameters
    ----------
    limit
        Bytes that one tile or strip may decode to.
    """

    path: Place
    limit: int

    def read(self, page: Page, window: PageWindow, offset: int | None = None) -> Pixels:
        """Decode a window of a page, all its colour samples.

        Parameters
        ----------
        page
            A page, whose file is open.
        offset
            Where the plane's bytes start, if it lies in the file as it is in memory, without a page
            of its own.

        Returns
        -------
        array of shape (samples, Z, Y, X), in the machine's byte order
        """
        keyframe = keyframe_of(page)
        if offset is None:
            self._check_segments(page)
            offset = page.dataoffsets[0] if keyframe.is_final else None
        shape = _block_shape(keyframe, window)
        nbytes = prod(shape) * _stored_dtype(page).itemsize
        check_stored(self.path, "a window of a page", nbytes, nbytes, self.limit)
        if offset is None:
            block = self._decode_segments(page, window)
        else:
            block = self._read_rows(page, window, offset)
        greys = _greys(keyframe)
        block = block if greys is None else greys[block]
        separate, depth, height, width, mixed = block.shape
        samples = block.transpose(0, 4, 1, 2, 3)
        return samples.reshape(separate * mixed, depth, height, width)

    def _check_segments(self, page: Page) -> None:
        """Refuse tiles or strips that were never written, lie outside the file or overlap."""
        offsets, counts = page.dataoffsets, page.databytecounts
        needed, size = prod(page.chunked), page.parent.filehandle.size
        written = min(len(offsets), len(counts), needed)
        empty = needed - written + max(counts[:written].count(0), offsets[:written].count(0))
        if empty:
            # tifffile would fill them with zeros, which nobody measured.
            msg = (
                f"image {self.path}: {empty} of its {needed} strips or tiles were never written; "
                "copy the file again from its source"
            )
            raise ImageReadError(msg)
        total = sum(counts[:needed])
        ends = max(map(sum, zip(offsets[:needed], counts[:needed], strict=True)))
        if ends > size or total > size + _SPARE_BYTES:
            fault = f"end at byte {ends:,}" if ends > size else f"overlap ({total:,} bytes)"
            msg = (
                f"image {self.path}: strips or tiles {fault} in a file of {size:,} bytes; it is "
                "truncated or corrupt, copy it again from its source"
            )
            raise ImageReadError(msg)
        if keyframe_of(page).is_final and total < page.nbytes:
            msg = (
                f"image {self.path}: its strips or tiles hold {total:,} of {page.nbytes:,} bytes; "
                "the file is truncated or corrupt, copy it again from its source"
            )
            raise ImageReadError(msg)

    def _read_rows(self, page: Page, window: PageWindow, offset: int) -> Pixels:
        """Read rows that lie in the file as they are in memory."""
        keyframe = keyframe_of(page)
        separate, depth, height, width, mixed = keyframe.shaped
        file, dtype = page.parent.filehandle, _stored_dtype(page)
        out = PIXEL_MEMORY.empty(_block_shape(keyframe, window), dtype.newbyteorder("="))
        row, columns = width * mixed, slice(*window.x)
        whole_rows = window.x == (0, width)
        # A narrow window of wide rows must not take the memory of the whole plane, nor what comes
        # from a store, beside the pixels, that of all of them.
        at_once = whole_rows and file.is_file
        slab = out.shape[2] if at_once else max(1, _SLAB_BYTES // (row * dtype.itemsize))
        for sample, z in product(range(separate), range(*window.z)):
            for y in range(*window.y, slab):
                top = y - window.y[0]
                target = out[sample, z - window.z[0], top : top + slab]
                file.seek(offset + ((sample * depth + z) * height + y) * row * dtype.itemsize)
                if whole_rows:
                    file.read_array(dtype, target.size, out=target)
                else:
                    pixels = file.read_array(dtype, target.shape[0] * row)
                    target[...] = pixels.reshape(-1, width, mixed)[:, columns]
        return out

    def _decode_segments(self, page: Page, window: PageWindow) -> Pixels:
        """Decode the tiles or strips that a window touches, one at a time."""
        keyframe = keyframe_of(page)
        (z_start, z_stop), (y_start, y_stop), (x_start, x_stop) = window.z, window.y, window.x
        dtype = _stored_dtype(page).newbyteorder("=")
        out = PIXEL_MEMORY.empty(_block_shape(keyframe, window), dtype)
        for segment, (s, z, y, x, _), (depth, height, width, _) in self._segments(page, window):
            z0, z1 = max(z, z_start), min(z + depth, z_stop)
            y0, y1 = max(y, y_start), min(y + height, y_stop)
            x0, x1 = max(x, x_start), min(x + width, x_stop)
            out[s, z0 - z_start : z1 - z_start, y0 - y_start : y1 - y_start][
                :, :, x0 - x_start : x1 - x_start
            ] = segment[z0 - z : z1 - z, y0 - y : y1 - y, x0 - x : x1 - x]
        return out

    def _segments(self, page: Page, window: PageWindow) -> Iterator[_Segment]:
        """Decode each tile or strip that a window touches, once it is known to be harmless."""
        keyframe = keyframe_of(page)
        codec = COMPRESSION(keyframe.compression)
        if codec not in _BYTE_CODECS and codec not in _IMAGE_CODECS:
            msg = (
                f"image {self.path}: compressed as {codec.name}, which is not read; save it with "
                "LZW, deflate or zstd"
            )
            raise ImageReadError(msg)
        grid = PageGrid.of(keyframe)
        touched = grid.touched(window)
        pixels = prod(grid.step)
        decoded = pixels * keyframe.shaped[-1] * _stored_dtype(page).itemsize
        tables: dict[str, Any] = {}
        if codec in _IMAGE_CODECS:
            tables = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
        offsets = [page.dataoffsets[number] for number in touched]
        counts = [page.databytecounts[number] for number in touched]
        check_stored(self.path, "a strip or tile", decoded, min(counts), self.limit)
        if max(counts) > 2 * decoded + _SPARE_BYTES:
            raise ValueError(f"a strip or tile takes {max(counts):,} bytes for {decoded:,}")
        segments = page.parent.filehandle.read_segments(
            offsets, counts, touched, buffersize=READ_BYTES
        )
        for data, index in cast("Iterator[tuple[bytes, int]]", segments):
            if codec in _IMAGE_CODECS:
                _check_image_size(data, _IMAGE_CODECS[codec], pixels)
            elif codec == COMPRESSION.LZW:
                lsb_first = keyframe.fillorder == FILLORDER.LSB2MSB
                check_lzw(bytes(imagecodecs.bitorder_decode(data)) if lsb_first else data)
            yield keyframe.decode(data, index, **tables)


def _block_shape(keyframe: TiffPage, window: PageWindow) -> tuple[int, int, int, int, int]:
    """Shape of a window in the page's own order: separate samples, Z, Y, X, mixed samples."""
    separate, *_, mixed = keyframe.shaped
    z, y, x = (stop - start for start, stop in (window.z, window.y, window.x))
    return separate, z, y, x, mixed


def keyframe_of(page: Page) -> TiffPage:
    """Page whose tags a page shares: itself, or the one that tifffile compared it with."""
    keyframe = page.keyframe
    if keyframe is None:
        raise ValueError("a page without tags")
    return keyframe


def _stored_dtype(page: Page) -> np.dtype[Any]:
    dtype = keyframe_of(page).dtype
    if dtype is None:
        raise ValueError("pixels of an unknown type")
    return dtype.newbyteorder(page.parent.byteorder)


def _greys(keyframe: TiffPage) -> Pixels | None:
    """Give the grey that each value of a palette stands for; None if it holds colours, or is none.

    The values of a palette of colours are labels.
    """
    palette = keyframe.colormap
    if keyframe.photometric != PHOTOMETRIC.PALETTE or palette is None or keyframe.dtype != np.uint8:
        return None
    red = palette[0]
    if not (palette == red).all():
        return None
    return np.asarray(red >> 8 if red.max() > np.iinfo(np.uint8).max else red, np.uint8)


def _check_image_size(data: bytes, name: str, pixels: int) -> None:
    """Refuse a tile that is an image by itself, and larger than the tile."""
    with Image.open(BytesIO(data), formats=[name]) as image:
        if image.width * image.height > pixels:
            raise ValueError(f"a {name} of {image.width}x{image.height} in a tile of {pixels:,}")
