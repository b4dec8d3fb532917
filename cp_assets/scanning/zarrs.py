"""Scanning a Zarr store: every array at every depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.axes import shape5
from cp_assets.images.readers.guarding import Watch, decoding
from cp_assets.images.readers.zarr_layout import layout_of
from cp_assets.images.readers.zarr_nodes import image_axes
from cp_assets.images.readers.zarr_walk import FoundArray, walk_arrays
from cp_assets.scanning.model import ImageAsset, ScanResult
from cp_assets.scanning.names import stem_of

if TYPE_CHECKING:
    from cp_assets.images.readers.model import Shape5
    from cp_assets.images.readers.zarr_nodes import ZarrImage
    from cp_assets.stores import Place


def scan_zarr(path: Place, uri: str) -> ScanResult:
    """What a Zarr store, or a group or array inside one, holds.

    What of it cannot be read is a warning.

    Raises
    ------
    ImageReadError
        If it is no Zarr, or holds no array that can be read.
    """
    assets, warnings = [], []
    watch = Watch()
    with decoding(path, watch):
        for found in walk_arrays(path, watch):
            if isinstance(found, ImageReadError):
                warnings.append(str(found))
                continue
            try:
                asset, warning = _asset(path, uri, found)
            except ImageReadError as error:
                warnings.append(str(error))
                continue
            assets.append(asset)
            warnings += [warning] if warning else []
    if not assets:
        more = f": {warnings[0]}" if warnings else ""
        msg = (
            f"image {path}: a Zarr without an array that can be read{more}; expected an image or a "
            "group of images, copy the store again"
        )
        raise ImageReadError(msg)
    return ScanResult(uri, "zarr", tuple(assets), tuple(warnings))


def _asset(path: Place, uri: str, found: FoundArray) -> tuple[ImageAsset, str | None]:
    image = found.image
    layout = layout_of(image.node)
    below = image.node.folder.as_posix()[len(path.as_posix()) :].strip("/")
    sizes, warning = _sizes(image, layout.shape)
    channels, names = 0 if sizes is None else sizes[1], image.channel_names
    asset = ImageAsset(
        uri=uri,
        image_id=f"{stem_of(uri)}:{below}" if below else stem_of(uri),
        format_family="zarr",
        shape=layout.shape,
        dtype=layout.dtype,
        array_path=below or None,
        axes=_letters(image),
        chunk_shape=layout.chunks or None,
        shard_shape=layout.shards,
        sizes=sizes,
        channel_names=names if len(names) == channels else (None,) * channels,
        physical_size=image.physical_size,
        storage_variant=f"zarr-v{image.node.zarr_format}",
        level=image.level,
        well=found.well,
        field=found.field,
    )
    return asset, warning


def _sizes(image: ZarrImage, shape: tuple[int, ...]) -> tuple[Shape5 | None, str | None]:
    """Sizes in T, C, Z, Y, X; or why it has none."""
    try:
        return shape5(image_axes(image, shape), shape), None
    except ImageReadError as error:
        return None, str(error)


def _letters(image: ZarrImage) -> str | None:
    axes = image.axes or ()
    return "".join(axes).lower() if axes and all(len(axis) == 1 for axis in axes) else None
