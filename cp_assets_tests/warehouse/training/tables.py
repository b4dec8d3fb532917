"""Tables of crops whose pixels are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cp_assets.datasets import PlateKey
from cp_assets.images import IMAGE_CROPS
from cp_assets.payloads import OME_ARROW_TYPE, payload_array
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets.warehouse.writer import write_partition

CHANNELS = ("DNA", "ER", "Mito")


@dataclass
class Crop:
    """One row of ``images.image_crops``."""

    object_id: str
    channel: str
    pixels: npt.NDArray[Any] | None
    mask: npt.NDArray[Any] | None = None
    well: str = "A01"
    plate: str = "P1"


def cells(count: int, channels: Sequence[str] = CHANNELS, **options: Any) -> list[Crop]:
    """Crops of some objects, of different sizes, with pixels that say whose they are."""
    rng = np.random.default_rng(options.pop("seed", 1))
    rows = []
    for number in range(count):
        shape = tuple(rng.integers(1, 12, 2))
        mask = rng.integers(0, 2, shape).astype(np.uint8)
        for channel in channels:
            pixels = rng.integers(1, 60000, shape, dtype=np.uint16)
            name = f"{options.get('plate', 'P1')}-{number:03d}"
            well = f"A{number % 3 + 1:02d}"
            rows.append(Crop(name, channel, pixels, mask, **{"well": well, **options}))
    return rows


def write_crops(warehouse: Warehouse, crops: Sequence[Crop], rows: int = 1000) -> None:
    """Write a plate's crops, in row groups of so many rows."""
    spec = dataclasses.replace(IMAGE_CROPS, row_group_bytes=1)
    batches = [_batch(crops[start : start + rows]) for start in range(0, len(crops), rows)]
    key = PlateKey("d", "b", crops[0].plate)
    write_partition(warehouse, spec, key.columns(), batches, "f")


def _batch(crops: Sequence[Crop]) -> pa.RecordBatch:
    ids = [f"{crop.object_id}/{crop.channel}" for crop in crops]
    common = {"ids": ids, "names": ids, "channels": [crop.channel for crop in crops]}
    known = {
        "dataset_id": ["d"] * len(crops),
        "batch_id": ["b"] * len(crops),
        "plate_id": [crop.plate for crop in crops],
        "Metadata_Plate": [crop.plate for crop in crops],
        "well_id": [crop.well for crop in crops],
        "site_id": ["1"] * len(crops),
        "image_id": [f"image {crop.well}" for crop in crops],
        "Metadata_ObjectNumber": list(range(len(crops))),
        "Metadata_ObjectID": [crop.object_id for crop in crops],
        "Metadata_ImageID": ids,
        "Metadata_ImageCropID": ids,
        "Metadata_Channel": [crop.channel for crop in crops],
        "ome_arrow_image": payload_array([crop.pixels for crop in crops], **common),
        "ome_arrow_mask": payload_array([crop.mask for crop in crops], **common),
    }
    columns = []
    for field in IMAGE_CROPS.schema:
        values = known.get(field.name, [None] * len(crops))
        if field.type == OME_ARROW_TYPE and isinstance(values, list):
            values = pa.nulls(len(crops), OME_ARROW_TYPE)
        columns.append(values if isinstance(values, pa.Array) else pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=IMAGE_CROPS.schema)


def centred(pixels: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The plane (Y, X) cut or padded, pixel by pixel: ``n // 2`` onto ``size // 2``."""
    out = np.zeros((size, size), pixels.dtype)
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            to_y = y - pixels.shape[0] // 2 + size // 2
            to_x = x - pixels.shape[1] // 2 + size // 2
            if 0 <= to_y < size and 0 <= to_x < size:
                out[to_y, to_x] = pixels[y, x]
    return out
