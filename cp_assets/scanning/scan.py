"""Scanning one store: an image file or a Zarr, by its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import png
from cp_assets.images.readers.image_file import ImageFile
from cp_assets.images.readers.opening import TIFF_SIGNATURES, head_of, open_image
from cp_assets.images.readers.tiff_series import list_plain_series, list_series
from cp_assets.scanning.model import ImageAsset, ScanResult
from cp_assets.scanning.names import ZARR_ENDING, stem_of
from cp_assets.scanning.zarrs import scan_zarr
from cp_assets.stores import place

if TYPE_CHECKING:
    from cp_assets.images.readers.model import ImageHeader
    from cp_assets.images.readers.tiff_series import TiffSeries
    from cp_assets.stores import Place, StoreSettings


def scan(path: str | Place, stores: StoreSettings | None = None) -> ScanResult:
    """What one image file, or one Zarr store, holds; no pixels are read.

    Parameters
    ----------
    path
        A TIFF or PNG; a Zarr store, or a group or array inside one. Its content decides, not its
        name.
    stores
        How object stores are reached.

    Raises
    ------
    ImageReadError
        If there is nothing, or nothing that is an image.
    StoreError
        If its object store cannot be read.
    """
    return scan_place(place(path, stores), str(path))


def scan_place(path: Place, uri: str) -> ScanResult:
    """`scan` of a place; `uri` is what to call it."""
    if not uri.lower().endswith(ZARR_ENDING) and (plain := list_plain_series(path)) is not None:
        return _of_tiff(uri, plain)
    file = ImageFile(path)
    head = head_of(file)
    if head is None:
        return scan_zarr(path, uri)
    if head.startswith(TIFF_SIGNATURES):
        return _of_tiff(uri, list_series(file))
    if head.startswith(png.SIGNATURE):
        return _of_png(file, uri)
    msg = (
        f"image {path}: neither TIFF, PNG nor Zarr (it starts with {head!r}); name an image, or a "
        "folder of images"
    )
    raise ImageReadError(msg)


def _of_tiff(uri: str, listed: list[TiffSeries]) -> ScanResult:
    stem, several = stem_of(uri), len(listed) > 1
    assets = tuple(
        _tiff_asset(uri, stem, number if several else None, series)
        for number, series in enumerate(listed)
    )
    if not assets:
        msg = f"image {uri}: a TIFF without an image; copy it again from its source"
        raise ImageReadError(msg)
    warnings = tuple(series.problem for series in listed if series.problem is not None)
    return ScanResult(uri, assets[0].format_family, assets, warnings)


def _tiff_asset(uri: str, stem: str, number: int | None, series: TiffSeries) -> ImageAsset:
    header = series.header
    return ImageAsset(
        uri=uri,
        image_id=f"{stem}:series-{number}" if number else stem,
        format_family="ome-tiff" if series.format == "ome-tiff" else "tiff",
        shape=series.shape,
        dtype=series.dtype,
        array_path=None if number is None else f"series/{number}",
        axes=series.axes,
        chunk_shape=series.tile,
        series=number or 0,
        **({} if header is None else _of_header(header)),
    )


def _of_header(header: ImageHeader) -> dict[str, Any]:
    return {
        "sizes": header.shape,
        "channel_names": header.channel_names,
        "physical_size": header.physical_size,
    }


def _of_png(file: ImageFile, uri: str) -> ScanResult:
    with open_image(file) as reader:
        header = reader.header
    _, samples, _, height, width = header.shape
    asset = ImageAsset(
        uri=uri,
        image_id=stem_of(uri),
        format_family="png",
        shape=(height, width) if samples == 1 else (height, width, samples),
        dtype=str(header.dtype),
        axes=header.axes,
        series=0,
        **_of_header(header),
    )
    return ScanResult(uri, "png", (asset,))
