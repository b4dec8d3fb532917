"""``images.image_assets`` and ``images.chunk_index``, and image assets as rows of the first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.scanning.model import SIZE_NAMES
from cp_assets.warehouse.spec import CYTOMINING_COLUMNS, KEY_COLUMNS, TableSpec, column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets import PlateKey
    from cp_assets.scanning.model import ImageAsset

AssetKind = Literal["image", "mask", "outline"]

_BATCH_ROWS = 4096

_KEYS = (*KEY_COLUMNS, *(one for one in CYTOMINING_COLUMNS if one.name != "Metadata_ImageNumber"))

IMAGE_ASSETS = TableSpec(
    name="images.image_assets",
    doc="one image array of one file or store, as its header says; never its pixels",
    schema=pa.schema(
        [
            *_KEYS,
            column(
                "Metadata_ImageID", pa.string(), "id of the source image, as image_crops has it"
            ),
            column("format_family", pa.string(), "ome-tiff, tiff, png or zarr", required=True),
            column("uri", pa.string(), "file or store that holds it", required=True),
            column(
                "array_path", pa.string(), "array of a Zarr, series of a TIFF; null for the only"
            ),
            column("shape_json", pa.string(), "sizes in the file's own axes", required=True),
            column(
                "chunk_shape_json", pa.string(), "sizes of a tile or chunk; null if there are none"
            ),
            column("dtype", pa.string(), "type of a pixel", required=True),
            column("metadata_json", pa.string(), "what else the header says"),
            column("axes", pa.string(), "a letter for each of the sizes"),
            *(column(name, pa.int64(), f"size in {name[-1].upper()}") for name in SIZE_NAMES),
            column(
                "channel_names", pa.list_(pa.string()), "names of the channels, as the file says"
            ),
            column("physical_size_x", pa.float64(), "width of a pixel, micrometres"),
            column("physical_size_y", pa.float64(), "height of a pixel, micrometres"),
            column("physical_size_z", pa.float64(), "distance of the planes, micrometres"),
            column("storage_variant", pa.string(), "zarr-v2 or zarr-v3"),
            column("kind", pa.string(), "image, mask or outline", required=True),
            column(
                "source_image_column", pa.string(), "column of the profiles that names the file"
            ),
            column("Metadata_Channel", pa.string(), "channel, as image_crops has it"),
        ]
    ),
    lookup_columns=("image_id",),
)

CHUNK_INDEX = TableSpec(
    name="images.chunk_index",
    doc="one chunk of a chunked image: a tile of a TIFF, a chunk of a Zarr",
    schema=pa.schema(
        [
            *_KEYS,
            column("uri", pa.string(), "file or store that holds it", required=True),
            column("array_path", pa.string(), "as image_assets has it"),
            column("chunk_key", pa.string(), "place in the grid of chunks: 0/3/1", required=True),
            column("chunk_coords_json", pa.string(), "the same as JSON: [0, 3, 1]", required=True),
            column("chunk_position", pa.list_(pa.int64()), "the same as a list", required=True),
            column("chunk_start", pa.list_(pa.int64()), "first pixel in each axis", required=True),
            column("chunk_shape", pa.list_(pa.int64()), "sizes inside the image", required=True),
            column("decoded_bytes", pa.int64(), "of these pixels"),
            column("byte_offset", pa.int64(), "where its bytes begin in the file, if known"),
            column("byte_length", pa.int64(), "stored bytes, if known"),
            column("codec", pa.string(), "how they are compressed; null for not at all"),
            column("file", pa.string(), "file or object that holds it", required=True),
        ]
    ),
    lookup_columns=("image_id",),
)


@dataclass(frozen=True, slots=True)
class AssetKeys:
    """What an image asset is to a plate.

    Attributes
    ----------
    image_id
        Of the image set; of a store that is registered by itself, the asset's own.
    metadata_image_id
        Of the source image: ``Metadata_ImageID``.
    """

    image_id: str
    well_id: str | None = None
    site_id: str | None = None
    metadata_image_id: str | None = None
    kind: AssetKind = "image"
    source_image_column: str | None = None
    channel: str | None = None


def own_keys(asset: ImageAsset) -> AssetKeys:
    """The keys of an asset of a store that is registered by itself."""
    well = None if asset.well is None else asset.well.replace("/", "")
    site = None if asset.field is None else normalise_site(asset.field)
    return AssetKeys(asset.image_id, well and (normalise_well(well) or well), site)


def key_values(plate: PlateKey, keys: AssetKeys) -> dict[str, str | None]:
    """The key columns that both tables begin with."""
    return {
        "dataset_id": plate.dataset_id,
        "batch_id": plate.batch_id,
        "plate_id": plate.plate_id,
        "well_id": keys.well_id,
        "site_id": keys.site_id,
        "image_id": keys.image_id,
        "Metadata_Plate": plate.plate_id,
        "Metadata_Well": keys.well_id,
        "Metadata_Site": keys.site_id,
    }


def image_assets_batches(
    plate: PlateKey, assets: Iterable[tuple[ImageAsset, AssetKeys]]
) -> Iterator[pa.RecordBatch]:
    """Image assets as rows of `IMAGE_ASSETS`, some thousand in a batch.

    Returns
    -------
    batches of the schema of `IMAGE_ASSETS`, in the order of the assets
    """
    rows: list[dict[str, Any]] = []
    for asset, keys in assets:
        rows.append(key_values(plate, keys) | _asset_row(asset, keys))
        if len(rows) == _BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(rows, IMAGE_ASSETS.schema)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, IMAGE_ASSETS.schema)


def _asset_row(asset: ImageAsset, keys: AssetKeys) -> dict[str, Any]:
    sizes = asset.sizes or (None,) * len(SIZE_NAMES)
    chunk = asset.chunk_shape
    return {
        "Metadata_ImageID": keys.metadata_image_id,
        "format_family": asset.format_family,
        "uri": asset.uri,
        "array_path": asset.array_path,
        "shape_json": json.dumps(asset.shape),
        "chunk_shape_json": None if chunk is None else json.dumps(chunk),
        "dtype": asset.dtype,
        "metadata_json": json.dumps(asset.metadata, sort_keys=True),
        "axes": asset.axes,
        **dict(zip(SIZE_NAMES, sizes, strict=True)),
        "channel_names": list(asset.channel_names),
        "physical_size_x": asset.physical_size.x,
        "physical_size_y": asset.physical_size.y,
        "physical_size_z": asset.physical_size.z,
        "storage_variant": asset.storage_variant,
        "kind": keys.kind,
        "source_image_column": keys.source_image_column,
        "Metadata_Channel": keys.channel,
    }
