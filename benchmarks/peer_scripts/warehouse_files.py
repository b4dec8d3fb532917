"""Reading the crops that the peers are to store, from the data files of ``images.image_crops``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CROPS = pa.schema(
    [
        ("object_id", pa.string()),
        ("channel", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("pixels", pa.binary()),
    ]
)
COLUMNS = ["Metadata_ObjectID", "Metadata_Channel", "ome_arrow_image"]


def crops(files: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """One row a crop, in the order of the files."""
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(5000, columns=COLUMNS):
            image = batch["ome_arrow_image"]
            chunk, meta = image.field("chunks").flatten(), image.field("pixels_meta")
            yield pa.record_batch(
                [
                    batch["Metadata_ObjectID"],
                    batch["Metadata_Channel"],
                    meta.field("size_y"),
                    meta.field("size_x"),
                    chunk.field("pixel_bytes"),
                ],
                schema=CROPS,
            )


def cells(files: Sequence[str], channels: int) -> Iterator[np.ndarray]:
    """One array (C, Y, X) uint16 a cell, whose channels lie one after the other in the files."""
    planes: list[np.ndarray] = []
    for batch in crops(files):
        shapes = zip(batch["height"].to_pylist(), batch["width"].to_pylist(), strict=True)
        for shape, pixels in zip(shapes, batch["pixels"], strict=True):
            planes.append(np.frombuffer(pixels.as_buffer(), "<u2").reshape(shape))
            if len(planes) == channels:
                yield np.stack(planes)
                planes = []
