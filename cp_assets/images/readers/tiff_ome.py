"""OME-TIFF: planes in any order, and in several files."""

from __future__ import annotations

from contextlib import contextmanager
from math import prod
from pathlib import PurePath
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import lies_below
from cp_assets.errors import ImageReadError
from cp_assets.images.readers.guarding import MAX_PLANES
from cp_assets.images.readers.image_file import ImageFile
from cp_assets.images.readers.ome_xml import OmeDocument, OmeImage, parse_ome_xml
from cp_assets.images.readers.tiff_pages import count_pages, keyframe_of
from cp_assets.images.readers.tiff_stacks import (
    Planes,
    Stack,
    StackHeader,
    name_plane_axes,
    refuse_series,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tifffile import TiffFile, TiffPage

    from cp_assets.images.readers.guarding import Watch
    from cp_assets.images.readers.tiff_pages import Page
    from cp_assets.images.readers.tiff_plain import PlainPage
    from cp_assets.stores import Place


def open_ome(
    file: ImageFile, tiff: TiffFile, pages: int, series: int, watch: Watch
) -> Stack | None:
    """Find the planes that the OME-XML of a TIFF lists, in this file and in those beside it.

    Each file of a set may list the images of all. An image of which this file holds nothing is
    passed over for one of its own: `series` counts all images, but where that one lies in other
    files alone it counts those of which this file holds planes, if it holds of so many.

    Returns
    -------
    None if the XML lists no planes and the file holds but one: then it is a TIFF like any other.

    Raises
    ------
    ImageReadError
        If the XML cannot be used, or the planes lie in files that are missing or not beside this.
    """
    path = file.path
    document = parse_ome_xml(path, tiff.ome_metadata or "")
    if not document.images:
        if pages == 1:
            return None
        where = f" but in {document.metadata_file}" if document.metadata_file else ""
        msg = (
            f"image {path}: its OME-XML does not say what its {pages} pages are{where}; open the "
            "file that says it, or export the image again"
        )
        raise ImageReadError(msg)
    if not 0 <= series < len(document.images):
        refuse_series(path, series, len(document.images))
    siblings = _siblings(file, document)
    image = _chosen(document, series, siblings)
    planes = OmePlanes(path, tiff, pages, image, siblings, watch)
    first = planes.first()
    own = planes.own() if siblings else ()
    header = ome_header(path, image, first, own, tuple(siblings.values()))
    return Stack(header, first, planes)


def ome_header(
    path: Place,
    image: OmeImage,
    first: TiffPage | PlainPage,
    own_planes: tuple[int, ...] = (),
    other_files: tuple[Place, ...] = (),
) -> StackHeader:
    """What an image of OME-XML says, whose first page this is.

    Raises
    ------
    ImageReadError
        If the page is of another size.
    """
    _, _, height, width, _ = first.shaped
    samples = first.samplesperpixel
    if (height, width, samples) != (image.height, image.width, image.samples):
        msg = (
            f"image {path}: its OME-XML says {image.height}x{image.width} pixels (YX) of "
            f"{image.samples} samples, its pages have {height}x{width} of {samples}; export it "
            "again"
        )
        raise ImageReadError(msg)
    return StackHeader(
        "ome-tiff",
        name_plane_axes(path, first, image.axes, image.sizes),
        image.sizes,
        first,
        image.channel_names,
        image.physical_size,
        own_planes,
        other_files,
    )


def _chosen(document: OmeDocument, series: int, siblings: Collection[str]) -> OmeImage:
    """Choose an image by number; see `open_ome`."""
    wanted = document.images[series]
    own = [image for image in document.images if _holds(image, siblings)]
    return wanted if _holds(wanted, siblings) or series >= len(own) else own[series]


def _holds(image: OmeImage, siblings: Collection[str]) -> bool:
    """Whether some of an image lies in the file itself."""
    return any(block.file_name not in siblings for block in image.blocks)


def _siblings(image: ImageFile, document: OmeDocument) -> dict[str, Place]:
    """Find the files that the XML names, none of which may lie outside the image's folder.

    Raises
    ------
    ImageReadError
        If one is missing, or lies elsewhere.
    """
    path = image.path
    blocks = [block for one in document.images for block in one.blocks]
    names = {block.file_name for block in blocks if block.file_name is not None}
    folder = path.parent.resolve()
    found = {}
    for name in sorted(names):
        place = path.parent / name
        if not lies_below(place.resolve(), folder) or ".." in PurePath(name).parts:
            msg = (
                f"image {path}: its OME-XML names {name!r}, which lies outside its folder; keep "
                "the files of an image together"
            )
            raise ImageReadError(msg)
        file = image.sibling(name)
        if file is None:
            if document.uuid is None and all(block.file_name == name for block in blocks):
                return {}  # the file itself, under another name
            msg = (
                f"image {path}: its OME-XML names {name!r}, which is not there; copy "
                f"{'it' if len(names) == 1 else f'the {len(names)} files that it names'} into its "
                "folder"
            )
            raise ImageReadError(msg)
        found[name] = file
    return found


class OmePlanes(Planes):
    """Planes that OME-XML lists: each a page of the file itself or of one beside it.

    A file beside it is open only while one of its planes is read; of an object, the first bytes
    are kept until another file is opened.
    """

    def __init__(
        self,
        path: Place,
        tiff: TiffFile,
        pages: int,
        image: OmeImage,
        siblings: dict[str, Place],
        watch: Watch,
    ) -> None:
        self._path = path
        self._tiff = tiff
        self._pages = pages
        self._siblings = siblings
        self._watch = watch
        self._last: ImageFile | None = None
        self._places = self._locate(image)

    def first(self) -> TiffPage:
        """Page of a plane that was written."""
        name, page = next(iter(self._places.values()))
        with self._page(name, page) as found:
            return keyframe_of(found)

    def own(self) -> tuple[int, ...]:
        """Numbers of the planes that lie in the file itself."""
        places = self._places.items()
        return tuple(number for number, (name, _) in places if name not in self._siblings)

    def _locate(self, image: OmeImage) -> dict[int, tuple[str | None, int]]:
        """Find file and page of each plane."""
        places: dict[int, tuple[str | None, int]] = {}
        total, planes = 0, prod(image.sizes)
        for block in image.blocks:
            count = block.count
            if not count:
                with self._file(block.file_name) as (_, pages):
                    count = min(pages - block.page, planes - block.first)
            total += count
            if total > 4 * MAX_PLANES:
                raise ValueError("its OME-XML lists planes again and again")
            places.update(
                (block.first + number, (block.file_name, block.page + number))
                for number in range(count)
            )
        if not places:
            raise ValueError("its OME-XML lists no planes")
        return places

    @contextmanager
    def _file(self, name: str | None) -> Iterator[tuple[TiffFile, int]]:
        """Open a file of the set; give it and its number of pages."""
        if name not in self._siblings:
            yield self._tiff, self._pages
            return
        path = self._siblings[name]
        self._watch.add(path)
        if self._last is None or self._last.path != path:
            self._last = ImageFile(path)
        with self._last.open_tiff() as tiff:
            yield tiff, count_pages(path, tiff)

    @contextmanager
    def open(self, number: int) -> Iterator[tuple[Page | None, int | None]]:
        """Give a plane; see `Planes.open`."""
        if number not in self._places:
            yield None, None
            return
        with self._page(*self._places[number]) as page:
            yield page, None

    @contextmanager
    def _page(self, name: str | None, page: int) -> Iterator[Page]:
        with self._file(name) as (tiff, pages):
            if page >= pages:
                msg = (
                    f"image {self._path}: its OME-XML names page {page} of {name or 'itself'}, "
                    f"which has {pages} pages; copy the file again from its source"
                )
                raise ImageReadError(msg)
            yield tiff.pages[page]
