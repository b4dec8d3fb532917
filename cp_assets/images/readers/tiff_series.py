"""All images of a TIFF, as its headers say, also those that no reader can put together."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from tifffile import COMPRESSION

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.guarding import Watch, decoding
from cp_assets.images.readers.model import ImageHeader
from cp_assets.images.readers.ome_xml import parse_ome_xml
from cp_assets.images.readers.tiff import NO_GUESSES, header_of, open_stack
from cp_assets.images.readers.tiff_ome import ome_header
from cp_assets.images.readers.tiff_pages import PageGrid, count_pages
from cp_assets.images.readers.tiff_plain import read_plain_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from tifffile import TiffFile, TiffPage

    from cp_assets.images.readers.image_file import ImageFile
    from cp_assets.images.readers.model import ImageFormat
    from cp_assets.images.readers.tiff_pages import Page
    from cp_assets.images.readers.tiff_plain import PlainPage
    from cp_assets.images.readers.tiff_stacks import StackHeader
    from cp_assets.stores import Place


_name = cache(str)  # numpy puts the name of a type together anew


@dataclass(frozen=True, slots=True)
class TiffSeries:
    """One image of a TIFF.

    Attributes
    ----------
    shape, axes
        As tifffile has them: without axes of size 1, pages of unknown meaning as I or Q.
    tile
        Sizes of a tile in the same axes; None for strips.
    header
        None where the axes have no place in T, C, Z, Y, X.
    problem
        Why there is no header.
    """

    format: ImageFormat
    shape: tuple[int, ...]
    axes: str
    dtype: str
    tile: tuple[int, ...] | None
    header: ImageHeader | None
    problem: str | None = None


def list_plain_series(file: Place) -> list[TiffSeries] | None:
    """List the images of a TIFF that takes no library to read; None for any other.

    Grey pages alone or in one OME-TIFF: what `list_series` gives, several times faster.
    """
    pages = read_plain_pages(file)
    if pages is None:
        return None
    if pages[0].is_ome:
        return _plain_ome(file, pages)
    if len(pages) > 1 or not pages[0].is_silent:
        return None
    page = pages[0]
    height, width = page.imagelength, page.imagewidth
    tile = (page.tilelength, page.tilewidth) if page.is_tiled else None
    rows = page.tilelength or page.rowsperstrip
    header = ImageHeader(
        path=file,
        format="tiff",
        shape=(1, 1, 1, height, width),
        dtype=page.dtype,
        axes="YX",
        chunk_shape=(1, 1, 1, rows, page.tilewidth or width),
    )
    return [TiffSeries("tiff", (height, width), "YX", _name(page.dtype), tile, header)]


def _plain_ome(file: Place, pages: list[PlainPage]) -> list[TiffSeries] | None:
    """List the images of an OME-TIFF that names no other file; None if anything is amiss."""
    try:
        document = parse_ome_xml(file, pages[0].description.decode())
        listed = [
            of_stack(file, ome_header(file, image, pages[image.blocks[0].page]))
            for image in document.images
            if all(
                block.file_name is None and block.page + block.count <= len(pages)
                for block in image.blocks
            )
        ]
    except (ImageReadError, ValueError, IndexError):
        return None
    return listed if listed and len(listed) == len(document.images) else None


def list_series(file: ImageFile) -> list[TiffSeries]:
    """List all images of a TIFF.

    Raises
    ------
    ImageReadError
        If it is no TIFF, or damaged, or its OME-XML cannot be used.
    """
    watch = Watch()
    watch.add(file.path)
    with decoding(file.path, watch), closing(file.open_tiff(**NO_GUESSES)) as tiff:
        pages = count_pages(file.path, tiff)
        images = 0
        if tiff.is_ome:
            images = len(parse_ome_xml(file.path, tiff.ome_metadata or "").images)
        if images:
            return [_ome(file, tiff, pages, number, watch) for number in range(images)]
        return list(_plain(file, tiff, pages, watch))


def _ome(file: ImageFile, tiff: TiffFile, pages: int, number: int, watch: Watch) -> TiffSeries:
    stack = open_stack(file, tiff, pages, number, watch)
    return of_stack(file.path, stack.header)


def of_stack(path: Place, stack: StackHeader) -> TiffSeries:
    """An image whose axes are those of its header."""
    header = header_of(path, stack)
    t, c, z, y, x = header.shape
    sizes = {"T": t, "C": c // header.samples, "Z": z, "Y": y, "X": x, "S": header.samples}
    shape = tuple(sizes[axis] for axis in header.axes)
    tile = tile_of(stack.first, header.axes)
    return TiffSeries(header.format, shape, header.axes, _name(header.dtype), tile, header)


def _plain(file: ImageFile, tiff: TiffFile, pages: int, watch: Watch) -> Iterator[TiffSeries]:
    for number, series in enumerate(tiff.series):
        header, problem = None, None
        try:
            stack = open_stack(file, tiff, pages, number, watch)
            header = header_of(file.path, stack.header)
        except ImageReadError as error:
            problem = str(error)
        yield TiffSeries(
            "tiff",
            tuple(map(int, series.shape)),
            series.axes,
            _name(series.dtype),
            tile_of(series.keyframe, series.axes),
            header,
            problem,
        )


def tile_of(page: TiffPage | PlainPage, axes: str) -> tuple[int, ...] | None:
    """Sizes of a page's tiles in some axes; None for strips."""
    if not page.is_tiled:
        return None
    *_, mixed = page.shaped
    depth = page.tiledepth if page.imagedepth > 1 else 1
    sizes = {"Z": depth, "Y": page.tilelength, "X": page.tilewidth, "S": mixed}
    return tuple(sizes.get(axis, 1) for axis in axes)


@dataclass(frozen=True, slots=True)
class PageTiles:
    """Where the tiles of one page lie.

    Attributes
    ----------
    places
        Offset and length of each tile in bytes, int64 of shape (tiles, 2); -1 for a tile that was
        never written.
    codec
        How they are compressed; None for not at all.
    file_name
        The file of the set that holds the page.
    """

    places: npt.NDArray[np.int64]
    codec: str | None
    file_name: str


def list_tiles(file: ImageFile, series: int) -> Iterator[PageTiles]:
    """The tiles of an image, page after page, in C order over the axes that number pages.

    Raises
    ------
    ImageReadError
        If it cannot be read, or a page lists more or fewer tiles than it has.
    """
    watch = Watch()
    watch.add(file.path)
    with decoding(file.path, watch), closing(file.open_tiff(**NO_GUESSES)) as tiff:
        stack = open_stack(file, tiff, count_pages(file.path, tiff), series, watch)
        tiles = prod(PageGrid.of(stack.first).count)
        for number in range(prod(stack.sizes)):
            with stack.planes.open(number) as (page, offset):
                places = _places(page, offset, tiles)
                name = file.path.name if page is None else page.parent.filename
                yield PageTiles(places, _codec(stack.first), name)


def _places(page: Page | None, offset: int | None, tiles: int) -> npt.NDArray[np.int64]:
    if page is None:
        return np.full((tiles, 2), -1, dtype=np.int64)
    listed = np.array([page.dataoffsets, page.databytecounts], dtype=np.int64).T
    if offset is not None:  # pixels in one run: whole tiles of one size, one after another
        size = page.nbytes // tiles
        listed = np.array([[offset + tile * size, size] for tile in range(tiles)], dtype=np.int64)
    if len(listed) != tiles:
        raise ValueError(f"a page of {tiles:,} tiles lists {len(listed):,}")
    listed[listed[:, 1] == 0] = -1
    return listed


def _codec(page: TiffPage) -> str | None:
    compression = COMPRESSION(page.compression)
    return None if compression is COMPRESSION.NONE else compression.name.lower()
