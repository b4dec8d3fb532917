"""All images of a TIFF, as its headers say, also those that no reader can put together."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.guarding import Watch, decoding
from cp_assets.images.readers.ome_xml import parse_ome_xml
from cp_assets.images.readers.tiff import NO_GUESSES, header_of, open_stack
from cp_assets.images.readers.tiff_pages import count_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tifffile import TiffFile, TiffPage

    from cp_assets.images.readers.image_file import ImageFile
    from cp_assets.images.readers.model import ImageFormat, ImageHeader


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
    header = header_of(file.path, stack)
    return of_header(header, stack.first)


def of_header(header: ImageHeader, page: TiffPage) -> TiffSeries:
    """An image whose axes are those of its header."""
    t, c, z, y, x = header.shape
    sizes = {"T": t, "C": c // header.samples, "Z": z, "Y": y, "X": x, "S": header.samples}
    shape = tuple(sizes[axis] for axis in header.axes)
    tile = tile_of(page, header.axes)
    return TiffSeries(header.format, shape, header.axes, str(header.dtype), tile, header)


def _plain(file: ImageFile, tiff: TiffFile, pages: int, watch: Watch) -> Iterator[TiffSeries]:
    for number, series in enumerate(tiff.series):
        header, problem = None, None
        try:
            header = header_of(file.path, open_stack(file, tiff, pages, number, watch))
        except ImageReadError as error:
            problem = str(error)
        yield TiffSeries(
            "tiff",
            tuple(map(int, series.shape)),
            series.axes,
            str(series.dtype),
            tile_of(series.keyframe, series.axes),
            header,
            problem,
        )


def tile_of(page: TiffPage, axes: str) -> tuple[int, ...] | None:
    """Sizes of a page's tiles in some axes; None for strips."""
    if not page.is_tiled:
        return None
    *_, mixed = page.shaped
    depth = page.tiledepth if page.imagedepth > 1 else 1
    sizes = {"Z": depth, "Y": page.tilelength, "X": page.tilewidth, "S": mixed}
    return tuple(sizes.get(axis, 1) for axis in axes)
