"""Which reader a file needs: its content decides, not its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import png
from cp_assets.images.readers.guarding import DEFAULT_LIMIT
from cp_assets.images.readers.image_file import ImageFile
from cp_assets.images.readers.tiff import TiffReader

if TYPE_CHECKING:
    from cp_assets.images.readers.model import ImageReader
    from cp_assets.stores import Place

TIFF_SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def open_image(
    path: Place | ImageFile, *, series: int = 0, limit: int = DEFAULT_LIMIT
) -> ImageReader:
    """Open an image file or a Zarr store; its pixels are not read yet.

    Parameters
    ----------
    path
        A TIFF or PNG file; a Zarr store, or a group or array inside one (``x.zarr/0``,
        ``plate.zarr/A/01/0``); on a disk or in an object store.
    series
        Which image of a file that holds several: series of a TIFF as tifffile counts them, image of
        an OME-Zarr group that lists several. A file of an OME-TIFF set gives its own images first,
        see `cp_assets.images.readers.tiff_ome.open_ome`.
    limit
        Bytes that one read, and one tile, strip or chunk, may decode to.

    Raises
    ------
    ImageReadError
        If the file is missing, truncated, corrupt, of another format, or has no such image.
    InputChangedError
        If the file changed while it was opened; opening it again may succeed.
    StoreError
        If its object store cannot be read.
    """
    file = path if isinstance(path, ImageFile) else ImageFile(path)
    path = file.path
    head = head_of(file)
    if head is None:
        # Imported here: zarr takes a quarter of a second to import, and few plates need it.
        from cp_assets.images.readers.zarr_arrays import open_zarr  # noqa: PLC0415

        return open_zarr(path, series, limit)
    if head.startswith(TIFF_SIGNATURES):
        return TiffReader(file, series, limit)
    if head.startswith(png.SIGNATURE):
        if series:
            msg = f"image {path}: has no series {series}; a PNG file holds one image, series 0"
            raise ImageReadError(msg)
        return png.PngReader(file, limit)
    msg = f"image {path}: neither TIFF, PNG nor Zarr (it starts with {head!r}); convert it to TIFF"
    raise ImageReadError(msg)


def head_of(file: ImageFile) -> bytes | None:
    """First bytes of a file; None for a folder.

    Raises
    ------
    ImageReadError
        If there is nothing, or nothing that can be opened.
    """
    try:
        return file.head(8)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = (
            f"image {file.path}: cannot be opened ({reason}); expected a TIFF, PNG or Zarr that "
            "is readable"
        )
        raise ImageReadError(msg) from error
