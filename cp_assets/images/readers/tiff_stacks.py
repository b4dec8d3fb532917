"""The planes of one image of a TIFF, whatever kind of pages they lie in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.axes import UNKNOWN, name_axes
from cp_assets.images.readers.guarding import MAX_PLANES
from cp_assets.images.readers.model import UNKNOWN_SIZE
from cp_assets.images.readers.units import micrometres
from cp_assets.payloads.types import PhysicalSize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tifffile import TiffFile, TiffPage, TiffPageSeries

    from cp_assets.images.readers.model import ImageFormat
    from cp_assets.images.readers.tiff_pages import Page
    from cp_assets.images.readers.tiff_plain import PlainPage
    from cp_assets.stores import Place

_NAMELESS = "IQ"
_MEANINGS = {"S": "SC", "Z": "Z" + _NAMELESS, "Y": "Y", "X": "X"}


class Planes(ABC):
    """The planes of an image, by number."""

    @abstractmethod
    def open(self, number: int) -> AbstractContextManager[tuple[Page | None, int | None]]:
        """Give a plane's page, its file open, and where its bytes start if that is elsewhere.

        The page is None if the plane was never written.
        """


@dataclass(frozen=True, slots=True)
class StackHeader:
    """One image, as headers say it: equal pages, counted along some of T, C and Z.

    Attributes
    ----------
    axes
        T, C or Z for each axis along which pages are counted, slowest first; `UNKNOWN` marks one of
        size 1 that is none of them.
    sizes
        Number of pages along each of `axes`.
    first
        A page: all others have its shape and dtype.
    channel_names
        One for each channel; empty if the file names none.
    own_planes
        Numbers of the planes that lie in the file itself, where others lie in `other_files`.
    """

    format: ImageFormat
    axes: str
    sizes: tuple[int, ...]
    first: TiffPage | PlainPage
    channel_names: tuple[str | None, ...] = ()
    physical_size: PhysicalSize = UNKNOWN_SIZE
    own_planes: tuple[int, ...] = ()
    other_files: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Stack:
    """One image, and its planes.

    Attributes
    ----------
    first
        A page: all others have its shape and dtype.
    planes
        The pages, numbered in C order over the axes of the header.
    """

    header: StackHeader
    first: TiffPage
    planes: Planes

    @property
    def axes(self) -> str:
        """See `StackHeader`."""
        return self.header.axes

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `StackHeader`."""
        return self.header.sizes


def page_axes(page: TiffPage | PlainPage) -> dict[int, str]:
    """Axes of a page that has pixels, by position in ``page.shaped``: Y, X, and others if long."""
    return {at: axis for at, axis in enumerate("SZYXS") if axis in "YX" or page.shaped[at] > 1}


def name_plane_axes(
    path: Place, page: TiffPage | PlainPage, axes: Sequence[str], shape: Sequence[int]
) -> str:
    """Name the axes along which pages are counted; see `name_axes`."""
    of_page = page_axes(page)
    letters = [*axes, *of_page.values()]
    lengths = [*shape, *(page.shaped[position] for position in of_page)]
    return name_axes(path, letters, lengths)[: len(axes)]


class PagePlanes(Planes):
    """Planes that are pages of one file, or lie behind its first page without own pages."""

    def __init__(self, series: TiffPageSeries, planes: int) -> None:
        self._series = series
        self._page = series.keyframe
        self._offset = series.dataoffset if planes > 1 else None

    @contextmanager
    def open(self, number: int) -> Iterator[tuple[Page | None, int | None]]:
        """Give a plane; see `Planes.open`."""
        if self._offset is not None:
            yield self._page, self._offset + number * self._page.nbytes
        else:
            yield self._series[number], None


class SinglePlane(Planes):
    """The one page of a file."""

    def __init__(self, page: TiffPage) -> None:
        self._page = page

    @contextmanager
    def open(self, number: int) -> Iterator[tuple[Page | None, int | None]]:
        """Give the page; see `Planes.open`."""
        yield self._page, None


def open_pages(path: Place, tiff: TiffFile, pages: int, series: int) -> Stack:
    """Find the planes of a TIFF without OME-XML.

    Raises
    ------
    ImageReadError
        If there is no such series, or its axes are not those of an image.
    """
    first = tiff.pages.first
    if pages == 1 and not _may_hold_more(first):
        if series:
            refuse_series(path, series, 1)
        header = StackHeader("tiff", name_plane_axes(path, first, "", ()), (), first)
        return Stack(header, first, SinglePlane(first))
    if tiff.is_ndtiff or tiff.is_mmstack:
        msg = (
            f"image {path}: one of a set of Micro-Manager files, whose planes are listed elsewhere;"
            " export the set as OME-TIFF"
        )
        raise ImageReadError(msg)
    if not 0 <= series < len(tiff.series):
        refuse_series(path, series, len(tiff.series))
    chosen = tiff.series[series]
    axes, shape = chosen.get_axes(squeeze=False), chosen.get_shape(squeeze=False)
    page = chosen.keyframe
    counted = _count_plane_axes(path, axes, shape, page)
    letters = [UNKNOWN if axis in _NAMELESS else axis for axis in axes[:counted]]
    if "C" not in letters:
        letters = ["C" if axis == "S" else axis for axis in letters]
    count = prod(shape[:counted])
    if count > MAX_PLANES:
        msg = f"image {path}: claims to hold {count:,} planes; at most {MAX_PLANES:,} are read"
        raise ImageReadError(msg)
    header = StackHeader(
        "tiff",
        name_plane_axes(path, page, letters, shape[:counted]),
        tuple(shape[:counted]),
        page,
        physical_size=_imagej_size(tiff),
    )
    return Stack(header, page, PagePlanes(chosen, count))


def _may_hold_more(page: TiffPage) -> bool:
    """Tell whether a file of one page may still hold several planes."""
    return page.is_imagej or page.is_shaped or page.is_stk or page.is_lsm


def refuse_series(path: Place, series: int, count: int) -> None:
    """Say that a file has no such series."""
    msg = f"image {path}: has no series {series}; it has {count}, counted from 0"
    raise ImageReadError(msg)


def _count_plane_axes(path: Place, axes: str, shape: Sequence[int], page: TiffPage) -> int:
    """Count the leading axes that number pages; the others are those of a page."""
    expected = [(name, page.shaped[at]) for at, name in page_axes(page).items()]
    for counted in range(len(axes) - 1, -1, -1):
        inner = [
            (axis, size)
            for axis, size in zip(axes[counted:], shape[counted:], strict=True)
            if size > 1 or axis in "YX"
        ]
        if len(inner) == len(expected) and all(
            axis in _MEANINGS[name] and size == length
            for (axis, size), (name, length) in zip(inner, expected, strict=True)
        ):
            return counted
    msg = (
        f"image {path}: axes {axes} of sizes {tuple(shape)} do not fit its pages, which have the "
        f"axes {page.axes} of sizes {page.shape}; save it again, each page one plane (YX)"
    )
    raise ImageReadError(msg)


def _imagej_size(tiff: TiffFile) -> PhysicalSize:
    metadata = tiff.imagej_metadata
    if not metadata:
        return PhysicalSize()
    unit = str(metadata.get("unit", "")).replace("\\u00B5", "\N{MICRO SIGN}")
    x, y = tiff.pages.first.resolution  # pixels in a unit
    return PhysicalSize(
        z=micrometres(metadata.get("spacing"), unit),
        y=micrometres(1 / y, unit) if y else None,
        x=micrometres(1 / x, unit) if x else None,
    )
