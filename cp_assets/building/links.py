"""``profiles.profile_with_images``: which crop belongs to which profile.

Only keys and ids: neither pixels nor features are stored twice. Reading the table through the
library or DuckDB gives the joined view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.warehouse.spec import KEY_COLUMNS, TableSpec, column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROFILE_WITH_IMAGES = TableSpec(
    name="profiles.profile_with_images",
    doc="one crop of one cell: keys and ids that link the two",
    schema=pa.schema(
        [
            *KEY_COLUMNS,
            column("Metadata_ObjectID", pa.string(), "of profiles.joined_profiles", required=True),
            column("Metadata_ImageCropID", pa.string(), "of images.image_crops", required=True),
            column("Metadata_ImageID", pa.string(), "of images.source_images", required=True),
            column("Metadata_Channel", pa.string(), "channel of the crop"),
        ]
    ),
)

LINK_COLUMNS = tuple(PROFILE_WITH_IMAGES.schema.names)


def links(crops: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The link rows of a plate's crops."""
    for batch in crops:
        yield batch.select(LINK_COLUMNS)
