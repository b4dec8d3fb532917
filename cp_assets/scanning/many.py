"""Scanning what lies in a folder or below a prefix, as a stream."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import REQUESTS_AT_ONCE
from cp_assets.datasets.walking import walk
from cp_assets.errors import ImageReadError, one_line
from cp_assets.images.readers.guarding import Watch
from cp_assets.images.readers.image_file import ImageFile
from cp_assets.images.readers.opening import head_of
from cp_assets.images.readers.zarr_metadata import MetadataFiles
from cp_assets.scanning.model import ScanResult
from cp_assets.scanning.names import IMAGE_ENDINGS, ZARR_ENDING
from cp_assets.scanning.scan import scan_place
from cp_assets.scanning.summary import summary_of
from cp_assets.stores import ObjectPath, place
from cp_assets.streams import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.datasets.walking import Entry
    from cp_assets.scanning.model import DatasetSummary, FormatFamily
    from cp_assets.stores import Place, StoreSettings

_FAMILIES: dict[str, FormatFamily] = {".png": "png", ZARR_ENDING: "zarr"}


def is_folder_of_stores(path: Place) -> bool:
    """Whether a place is a folder that holds stores, and no store itself.

    Raises
    ------
    ImageReadError
        If there is nothing.
    """
    if head_of(ImageFile(path)) is not None or path.name.lower().endswith(ZARR_ENDING):
        return False
    return not MetadataFiles.of(path, Watch()).is_node(path)


def scan_all(path: str | Place, stores: StoreSettings | None = None) -> Iterator[ScanResult]:
    """Scan every image file and Zarr store at or below a path, one after another.

    Of a folder: the files that end in .tif, .tiff or .png, and the folders that end in .zarr, in
    the order of their names; hidden ones are passed over. What cannot be read is a result without
    images, whose warning says why. Ids of images have the folders between in front: ``well/stem``.
    Two stores that differ in their endings alone are one image in two formats. Memory does not
    grow with their number.

    Parameters
    ----------
    path
        One store, see `scan`; or a folder, or a prefix of an object store.
    stores
        How object stores are reached.

    Raises
    ------
    ImageReadError
        If there is nothing; if it is one store that cannot be read; or a folder without images.
    ConfigurationError
        If a folder cannot be listed.
    """
    root = place(path, stores)
    if not is_folder_of_stores(root):
        yield scan_place(root, str(path))
        return
    entries = walk(root, is_leaf=_is_zarr)
    found = (entry for entry in entries if _is_wanted(entry.relative))
    scanned = partial(_scan_entry, root, str(path).rstrip("/"))
    result = None
    for result in (
        ordered_map(scanned, found, REQUESTS_AT_ONCE)
        if isinstance(root, ObjectPath)
        else map(scanned, found)
    ):
        yield result
    if result is None:
        msg = (
            f"folder {path}: holds no image; expected files that end in "
            f"{', '.join(IMAGE_ENDINGS)}, or folders that end in {ZARR_ENDING}, at any depth"
        )
        raise ImageReadError(msg)


def summarize(path: str | Place, stores: StoreSettings | None = None) -> DatasetSummary:
    """What a store, or all stores of a folder, hold; see `scan_all`."""
    return summary_of(str(path), scan_all(path, stores))


def _is_zarr(name: str) -> bool:
    return name.lower().endswith(ZARR_ENDING)


def _is_wanted(relative: str) -> bool:
    name = relative.rpartition("/")[2].lower()
    return name.endswith((*IMAGE_ENDINGS, ZARR_ENDING)) and not name.startswith(".")


def _scan_entry(root: Place, uri: str, entry: Entry) -> ScanResult:
    named = f"{uri}/{entry.relative}"
    if entry.leads_out is not None:
        msg = f"image {named}: a link that leads out of {uri}; it is not followed"
        return _unread(named, msg)
    try:
        found = scan_place(entry.below(root), named)
    except ImageReadError as error:
        return _unread(named, one_line(error))
    folder = entry.relative.rpartition("/")[0]
    return _in_folder(found, folder) if folder else found


def _in_folder(found: ScanResult, folder: str) -> ScanResult:
    """Tell a store from those of the same name in other folders."""
    assets = (replace(one, image_id=f"{folder}/{one.image_id}") for one in found.image_assets)
    return replace(found, image_assets=tuple(assets))


def _unread(uri: str, why: str) -> ScanResult:
    return ScanResult(uri, _FAMILIES.get(PurePosixPath(uri).suffix.lower(), "tiff"), (), (why,))
