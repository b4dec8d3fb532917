"""``provenance.manifest``: for each table and plate, what was committed and what it came from.

The columns ``profile_url``, ``recipe_permalink``, ``config_permalink`` and ``etag`` are those of
the JUMP Hub's manifests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.provenance.etags import file_md5, partition_etag
from cp_assets.provenance.permalinks import config_permalink, recipe_permalink
from cp_assets.warehouse.spec import TableSpec, column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyiceberg.table import Table

    from cp_assets.datasets.model import PlateSources
    from cp_assets.warehouse.partitions import PartitionState
    from cp_assets.warehouse.warehouse import Warehouse

_FILE = pa.struct(
    [
        pa.field("url", pa.string()),
        pa.field("etag", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("bytes", pa.int64()),
    ]
)

MANIFEST = TableSpec(
    name="provenance.manifest",
    doc="one table's partition as committed, and where it came from",
    schema=pa.schema(
        [
            column("dataset_id", pa.string(), "one source of one project", required=True),
            column("batch_id", pa.string(), "batch of plates", required=True),
            column("plate_id", pa.string(), "plate", required=True),
            column("table_name", pa.string(), "the table that this row is about", required=True),
            column(
                "profile_url", pa.string(), "the data file; of several, their folder", required=True
            ),
            column("recipe_permalink", pa.string(), "the code that made it", required=True),
            column("config_permalink", pa.string(), "its configuration", required=True),
            column("etag", pa.string(), "MD5 of the bytes; of several files as S3", required=True),
            column("snapshot_id", pa.int64(), "Iceberg snapshot that holds it", required=True),
            column("rows", pa.int64(), "rows of the partition", required=True),
            column("bytes", pa.int64(), "bytes of its data files", required=True),
            column("input_fingerprint", pa.string(), "of inputs, options and code", required=True),
            column("source_root", pa.string(), "root of the dataset that was read"),
            column("image_root", pa.string(), "folder below which the images lay"),
            column("data_files", pa.list_(pa.field("element", _FILE)), "each data file"),
        ]
    ),
)


def manifest_rows(
    warehouse: Warehouse, sources: PlateSources, tables: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """One row for each table that has rows of the plate; reads every data file once for its MD5."""
    rows = [row for name in tables if (row := _row(warehouse, sources, name)) is not None]
    yield pa.RecordBatch.from_pylist(rows, schema=MANIFEST.schema)


def _row(warehouse: Warehouse, sources: PlateSources, name: str) -> dict[str, object] | None:
    table = warehouse.table(name)
    state = warehouse.partitions.state(table, sources.key.columns())
    if not state.files:
        return None
    dataset = sources.dataset
    return {
        **sources.key.columns(),
        "table_name": name,
        "recipe_permalink": recipe_permalink(dataset),
        "config_permalink": config_permalink(dataset, dataset.config_file),
        "input_fingerprint": state.fingerprint,
        "source_root": dataset.root.resolve().as_uri(),
        "image_root": sources.image_dir.resolve().as_uri() if sources.image_dir else None,
        **as_committed(table, state),
    }


def as_committed(table: Table, state: PartitionState) -> dict[str, object]:
    """What a row says of the files of a partition; reads each once for its MD5."""
    digests = [file_md5(table.io, file.file_path) for file in state.files]
    return {
        "profile_url": _url(state),
        "etag": partition_etag(digests),
        "snapshot_id": state.snapshot_id,
        "rows": state.rows,
        "bytes": state.bytes,
        "data_files": [
            {
                "url": file.file_path,
                "etag": found.hex(),
                "rows": file.record_count,
                "bytes": file.file_size_in_bytes,
            }
            for file, found in zip(state.files, digests, strict=True)
        ],
    }


def _url(state: PartitionState) -> str:
    paths = [file.file_path for file in state.files]
    return paths[0] if len(paths) == 1 else paths[0].rpartition("/")[0] + "/"
