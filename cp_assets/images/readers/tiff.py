"""TIFF and OME-TIFF files."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.axes import sizes
from cp_assets.images.readers.guarding import GuardedReader, Watch, check_dtype, decoding
from cp_assets.images.readers.model import FilePart, ImageHeader, Region
from cp_assets.images.readers.tiff_ome import open_ome
from cp_assets.images.readers.tiff_pages import (
    READ_BYTES,
    PageReader,
    PageWindow,
    count_pages,
    keyframe_of,
)
from cp_assets.images.readers.tiff_stacks import Stack, StackHeader, open_pages, page_axes
from cp_assets.payloads.memory import PIXEL_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tifffile import TiffFile

    from cp_assets.images.readers.image_file import ImageFile
    from cp_assets.images.readers.model import Shape5
    from cp_assets.payloads.types import Pixels
    from cp_assets.stores import Place

NO_GUESSES: dict[str, Any] = {"is_ndpi": False, "is_scanimage": False}
"""Flags for tifffile: for these it guesses pages that the file does not list."""


class TiffReader(GuardedReader):
    """A TIFF or OME-TIFF file; of a pyramid, the full resolution.

    OME-XML and ImageJ's metadata name the axes. The pages of a TIFF without either are planes in Z.
    Colour samples are channels: those of plane channel ``c`` start at ``c * header.samples``.

    Pixels are as stored: where white is zero (``MINISWHITE``) they are not inverted. As in a PNG, a
    palette of greys gives its greys, and another one the labels that it colours.
    """

    def __init__(self, file: ImageFile, series: int, limit: int) -> None:
        path = file.path
        super().__init__(path, Watch(), limit)
        self._watch.add(path)
        self.held_bytes = file.held_bytes
        with decoding(path, self._watch):
            self._tiff = file.open_tiff(**NO_GUESSES)
            try:
                pages = count_pages(path, self._tiff)
                self._stack = open_stack(file, self._tiff, pages, series, self._watch)
                self.header = header_of(path, self._stack.header)
            except BaseException:
                self._tiff.close()
                raise
        self._pages = PageReader(path, limit)

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def peak_bytes(self, region: Region | None = None) -> int:
        """Bound the memory of a read; see `ImageReader.peak_bytes`."""
        header, region = self.header, region or self.header.whole
        _, _, z, y, x = region.shape
        result, row = self._nbytes(region), header.samples * header.dtype.itemsize
        plane = z * y * x * row if len(list(self._planes(region))) > 1 else 0
        copy = result if header.samples > 1 else 0
        if self._stack.first.is_final:
            held = min(READ_BYTES, z * y * header.shape[-1] * row)
        else:
            segment = prod(header.chunk_shape or ()) * header.dtype.itemsize
            held = min(READ_BYTES, self._nbytes(self._touched(region))) + 4 * segment
        return result + plane + copy + held

    def _decode(self, region: Region) -> Pixels:
        planes = list(self._planes(region))
        if len(planes) == 1:
            _, block = self._plane(region, planes[0])
            return block[None]
        out = PIXEL_MEMORY.empty(region.shape, self.header.dtype)
        for plane in planes:
            (t, c, z), block = self._plane(region, plane)
            out[t, c : c + block.shape[0], z : z + block.shape[1]] = block
        return out

    def _planes(self, region: Region) -> Iterator[tuple[int, int, int]]:
        """Give T, C and Z of each plane that a window touches, counting planes."""
        samples, depth = self.header.samples, self._stack.first.shaped[1]
        for t in range(*region.t):
            for c in range(region.c[0] // samples, ceil(region.c[1] / samples)):
                for z in range(region.z[0] // depth, ceil(region.z[1] / depth)):
                    yield t, c, z

    def _plane(
        self, region: Region, plane: tuple[int, int, int]
    ) -> tuple[tuple[int, int, int], Pixels]:
        """Decode a plane's part of a window: where it lies in the window, and its (C, Z, Y, X)."""
        t, c, z = plane
        stack, samples = self._stack, self.header.samples
        number, index = 0, dict(zip("TCZ", plane, strict=True))
        for axis, size in zip(stack.axes, stack.sizes, strict=True):
            number = number * size + index.get(axis, 0)
        with stack.planes.open(number) as (page, offset):
            if page is None:
                msg = (
                    f"image {self._path}: plane T={t} C={c} Z={z} was never written; copy "
                    "the file again from its source"
                )
                raise ImageReadError(msg)
            if (keyframe_of(page).shaped, page.dtype) != (stack.first.shaped, stack.first.dtype):
                msg = (
                    f"image {self._path}: plane T={t} C={c} Z={z} is {page.dtype} "
                    f"{page.shape}, others are {stack.first.dtype} {stack.first.shape}"
                )
                raise ImageReadError(msg)
            slices = region.z if stack.first.shaped[1] > 1 else (0, 1)
            block = self._pages.read(page, PageWindow(slices, region.y, region.x), offset)
        first, last = max(region.c[0], c * samples), min(region.c[1], (c + 1) * samples)
        block = block[first - c * samples : last - c * samples]
        place = t - region.t[0], first - region.c[0], max(z, region.z[0]) - region.z[0]
        return place, block


def open_stack(file: ImageFile, tiff: TiffFile, pages: int, series: int, watch: Watch) -> Stack:
    """Find the planes of a series, whatever says where they lie; see `open_ome`, `open_pages`."""
    stack = open_ome(file, tiff, pages, series, watch) if tiff.is_ome else None
    return stack or open_pages(file.path, tiff, pages, series)


def header_of(path: Place, stack: StackHeader) -> ImageHeader:
    """What a series says of itself."""
    page = stack.first
    of_page = page_axes(page)
    of = sizes("", ()) | dict(zip(stack.axes, stack.sizes, strict=True))
    _, depth, height, width, _ = page.shaped
    samples = page.shaped[0] * page.shaped[4]
    channels = of["C"] * samples
    counted = "".join(axis for axis, size in zip(stack.axes, stack.sizes, strict=True) if size > 1)
    return ImageHeader(
        path=path,
        format=stack.format,
        shape=(of["T"], channels, of["Z"] * depth, height, width),
        dtype=check_dtype(path, page.dtype),
        axes=counted + "".join(of_page.values()),
        plane_axes=counted,
        samples=samples,
        channel_names=stack.channel_names or (None,) * channels,
        physical_size=stack.physical_size,
        chunk_shape=_chunk_shape(path, page),
        part=FilePart(_own_region(stack), stack.other_files) if stack.other_files else None,
    )


def _own_region(stack: StackHeader) -> Region | None:
    """Range of the planes that lie in the file itself, if they are all planes of a range."""
    numbers = np.array(stack.own_planes, dtype=np.int64)
    indices = np.unravel_index(numbers, stack.sizes)
    if not numbers.size:
        return None
    ranges = {
        axis: (int(index.min()), int(index.max()) + 1)
        for axis, index in zip(stack.axes, indices, strict=True)
    }
    if prod(stop - start for start, stop in ranges.values()) != numbers.size:
        return None
    samples, depth, height, width, mixed = stack.first.shaped
    t, c, z = (ranges.get(axis, (0, 1)) for axis in "TCZ")
    colours = samples * mixed
    return Region(
        t, (c[0] * colours, c[1] * colours), (z[0] * depth, z[1] * depth), (0, height), (0, width)
    )


def _chunk_shape(path: Place, page: Any) -> Shape5:
    *_, mixed = page.shaped
    z, y, x = 1, min(page.rowsperstrip, page.imagelength), page.imagewidth
    if page.is_tiled:
        z, y, x = page.tiledepth, page.tilelength, page.tilewidth
    if min(z, y, x) < 1:
        msg = (
            f"image {path}: its tiles or strips have {z}x{y}x{x} pixels (ZYX); the file is "
            "corrupt, copy it again from its source"
        )
        raise ImageReadError(msg)
    return 1, mixed, z, y, x
