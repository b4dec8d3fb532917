"""CytoTable's crop step alone: joined profiles are there; then crops and their commit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cytotable.warehouse.iceberg import catalog
from cytotable.warehouse.images import image_crop_table_from_joined_chunk
from serving import serve

TABLE = ("images", "image_crops")


def crops(
    profiles: str, images: str, warehouse: str, boxes: dict[str, str], workers: int
) -> dict[str, Any]:
    """Cut and commit all crops, as `cytotable.convert` does after its join.

    Returns wall time in seconds, without imports and without setting the warehouse up.
    """
    store = catalog(Path(warehouse), default_namespace="profiles")
    store.create_namespace(TABLE[0])
    start = time.perf_counter()
    table = image_crop_table_from_joined_chunk(
        chunk_path=profiles, image_dir=images, bbox_column_map=boxes, crop_workers=workers
    )
    store.create_table(TABLE, table.schema).append(table)
    return {"seconds": time.perf_counter() - start, "rows": table.num_rows}


def dump(warehouse: str, out: str) -> dict[str, Any]:
    """Write the committed crops' pixels as plain columns (int32, C order), to be compared."""
    table = catalog(Path(warehouse), default_namespace="profiles").load_table(TABLE)
    plain = [_plain(row) for row in table.scan().to_arrow().to_pylist()]
    pq.write_table(pa.Table.from_pylist(plain), out)
    return {"rows": len(plain)}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    image = row["ome_arrow_image"]
    (plane,) = image["planes"]
    return {
        "object": int(float(row["Metadata_ObjectNumber"])),
        "column": row["source_image_column"],
        "height": image["pixels_meta"]["size_y"],
        "width": image["pixels_meta"]["size_x"],
        "pixels": np.asarray(plane["pixels"], "<i4").tobytes(),
    }


if __name__ == "__main__":
    serve({"crops": crops, "dump": dump})
