"""``quality_control.rejected_rows``: the books of a plate, as rows."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.warehouse.spec import TableSpec, column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.datasets.identity import PlateKey

_ROWS_AT_ONCE = 8192

REJECTED_ROWS = TableSpec(
    name="quality_control.rejected_rows",
    doc="one input row, object, crop or file that could not be used, and why",
    schema=pa.schema(
        [
            column("dataset_id", pa.string(), "one source of one project", required=True),
            column("batch_id", pa.string(), "batch of plates", required=True),
            column("plate_id", pa.string(), "plate", required=True),
            column(
                "table_name", pa.string(), "table that the thing is missing from", required=True
            ),
            column("kind", pa.string(), "row, object, crop, image or file", required=True),
            column(
                "outcome", pa.string(), "rejected: not in the table; incomplete: there, with nulls"
            ),
            column("reason", pa.string(), "stable word to group by", required=True),
            column("detail", pa.string(), "what was found and what was expected"),
            column("count", pa.int64(), "how many rows, objects or crops this row stands for"),
            column("compartment", pa.string(), "compartment, or Image"),
            column("well_id", pa.string(), "well, normalised"),
            column("site_id", pa.string(), "site of the well"),
            column("image_id", pa.string(), "UUIDv5 of the image set"),
            column("object_number", pa.int64(), "CellProfiler's object number"),
            column("channel", pa.string(), "channel"),
            column("source_file", pa.string(), "file it came from, below the dataset's root"),
            column("source_row", pa.int64(), "row of that file, from 1, without the header"),
        ]
    ),
    partition_by=("table_name",),
)


def rejected_batches(log: RejectionLog, plate: PlateKey, table: str) -> Iterator[pa.RecordBatch]:
    """The log's entries as rows of the table, in the order in which they were found."""
    names = [field.name for field in fields(Rejection)]
    entries = list(log)
    for start in range(0, len(entries), _ROWS_AT_ONCE):
        part = entries[start : start + _ROWS_AT_ONCE]
        columns: dict[str, list[object]] = {
            **{name: [value] * len(part) for name, value in plate.columns().items()},
            "table_name": [table] * len(part),
            **{name: [getattr(entry, name) for entry in part] for name in names},
        }
        schema = REJECTED_ROWS.schema
        yield pa.RecordBatch.from_pydict({f.name: columns[f.name] for f in schema}, schema=schema)
