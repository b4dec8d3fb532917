"""What a scan of image stores gives: image arrays as their headers say, and what was amiss."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cp_assets.images.readers.model import UNKNOWN_SIZE

if TYPE_CHECKING:
    from cp_assets.images.readers.model import Shape5
    from cp_assets.payloads.types import PhysicalSize

FormatFamily = Literal["ome-tiff", "tiff", "png", "zarr"]

SIZE_NAMES = ("size_t", "size_c", "size_z", "size_y", "size_x")


@dataclass(frozen=True, slots=True)
class ImageAsset:
    """One image array of a store.

    Attributes
    ----------
    uri
        The store as it was named.
    image_id
        Stem of the store's name, and which of its arrays: ``stem``, ``stem:series-1`` of a TIFF,
        ``stem:0/1`` of a Zarr.
    shape
        Sizes in the file's own axes, in its order, without the axes of size 1 that a TIFF does not
        store.
    dtype
        As numpy or Zarr writes it: ``uint16``.
    array_path
        Path of the array in a Zarr below `uri`, ``series/1`` in a TIFF of several series; None
        where the store is one array.
    axes
        A letter for each of `shape`, as the file's library names them; None if nothing names them.
    chunk_shape
        Sizes of a tile or chunk, in the same axes; None where the image is not chunked.
    shard_shape
        Sizes of a shard, the file that holds several chunks.
    sizes
        In T, C, Z, Y, X, 1 for what the file lacks; colour samples are channels. None for what is
        no image: fewer than two axes, or axes without a place among these.
    channel_names
        One for each channel, None where the file does not name it; empty if `sizes` is None.
    storage_variant
        ``zarr-v2`` or ``zarr-v3``.
    series
        Number of the series in a TIFF.
    level
        Resolution in an OME-Zarr pyramid; 0 is the full one.
    well, field
        Of an image in an OME-Zarr plate: ``A/1`` and ``0``.
    """

    uri: str
    image_id: str
    format_family: FormatFamily
    shape: tuple[int, ...]
    dtype: str
    array_path: str | None = None
    axes: str | None = None
    chunk_shape: tuple[int, ...] | None = None
    shard_shape: tuple[int, ...] | None = None
    sizes: Shape5 | None = None
    channel_names: tuple[str | None, ...] = ()
    physical_size: PhysicalSize = UNKNOWN_SIZE
    storage_variant: str | None = None
    series: int | None = None
    level: int | None = None
    well: str | None = None
    field: str | None = None

    @property
    def channel_count(self) -> int | None:
        """Length of the axis C; None if no axis is named so."""
        place = -1 if self.axes is None else self.axes.upper().find("C")
        return self.shape[place] if place >= 0 else None

    @property
    def metadata(self) -> dict[str, Any]:
        """What has no column of its own in iceberg-bioimage, under the names that it uses."""
        if self.format_family == "zarr":
            found: dict[str, Any] = {
                "store_name": self.uri.rstrip("/").rpartition("/")[2],
                "storage_variant": self.storage_variant,
            }
        else:
            found = {"series_index": self.series or 0}
        found |= {"axes": self.axes} if self.axes is not None else {}
        found |= {"ndim": len(self.shape), "channel_count": self.channel_count}
        more = {
            "shard_shape": list(self.shard_shape) if self.shard_shape else None,
            "level": self.level,
            "well": self.well,
            "field": self.field,
        }
        return found | {name: value for name, value in more.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """The asset as JSON has it: the keys of iceberg-bioimage first, then what it lacks."""
        sizes = self.sizes or (None,) * len(SIZE_NAMES)
        return {
            "uri": self.uri,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "array_path": self.array_path,
            "chunk_shape": list(self.chunk_shape) if self.chunk_shape is not None else None,
            "metadata": self.metadata,
            "image_id": self.image_id,
            "format_family": self.format_family,
            **dict(zip(SIZE_NAMES, sizes, strict=True)),
            "channel_names": list(self.channel_names),
            "physical_size_x": self.physical_size.x,
            "physical_size_y": self.physical_size.y,
            "physical_size_z": self.physical_size.z,
        }


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What one store holds.

    Attributes
    ----------
    source_uri
        The store as it was named.
    warnings
        What of it could not be read, or is not as it should be: a line each.
    """

    source_uri: str
    format_family: FormatFamily
    image_assets: tuple[ImageAsset, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "source_uri": self.source_uri,
            "format_family": self.format_family,
            "image_assets": [asset.to_dict() for asset in self.image_assets],
            "warnings": list(self.warnings),
        }

    def to_json(self, **options: Any) -> str:
        """The result as JSON; options are those of `json.dumps`."""
        return json.dumps(self.to_dict(), **options)


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a store, or a folder of stores, holds, in counts and distinct values.

    Of distinct values, and of warnings, at most 1,000 are listed; counts count all.

    Attributes
    ----------
    array_paths
        ``<root>`` for a store that is one array.
    chunked_asset_count
        Images in tiles or chunks.
    """

    source_uri: str
    format_family: str
    store_count: int
    image_asset_count: int
    chunked_asset_count: int
    warning_count: int
    array_paths: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    axes: tuple[str, ...] = ()
    channel_counts: tuple[int, ...] = ()
    channel_names: tuple[str, ...] = ()
    storage_variants: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        return {
            "source_uri": self.source_uri,
            "format_family": self.format_family,
            "store_count": self.store_count,
            "image_asset_count": self.image_asset_count,
            "chunked_asset_count": self.chunked_asset_count,
            "array_paths": list(self.array_paths),
            "dtypes": list(self.dtypes),
            "shapes": [list(shape) for shape in self.shapes],
            "axes": list(self.axes),
            "channel_counts": list(self.channel_counts),
            "channel_names": list(self.channel_names),
            "storage_variants": list(self.storage_variants),
            "warning_count": self.warning_count,
            "warnings": list(self.warnings),
        }

    def to_json(self, **options: Any) -> str:
        """The summary as JSON; options are those of `json.dumps`."""
        return json.dumps(self.to_dict(), **options)
