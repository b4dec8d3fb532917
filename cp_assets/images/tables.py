"""The tables of this room."""

from __future__ import annotations

from cp_assets.images.schemas import CROPS_SCHEMA, SOURCE_IMAGES_SCHEMA
from cp_assets.warehouse.spec import TableSpec

IMAGE_CROPS = TableSpec(
    name="images.image_crops",
    doc="one crop: the pixels of one object's bounding box in one channel",
    schema=CROPS_SCHEMA,
    code_version="2",
    # Small row groups make one cell cheap to read; pixels gain little from higher levels. A row
    # group is a batch of crops, see `cp_assets.images.columns.BATCH_BYTES`.
    row_group_bytes=4 * 2**20,
    zstd_level=1,
    lookup_columns=("Metadata_ObjectID",),
)

SOURCE_IMAGES = TableSpec(
    name="images.source_images",
    doc="one full source image: one channel of one image set",
    schema=SOURCE_IMAGES_SCHEMA,
    code_version="2",
    row_group_bytes=16 * 2**20,
    zstd_level=1,
)
