"""What a table is: its name, the columns that every partition has, how it is split and stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

PLATE_COLUMNS = ("dataset_id", "batch_id", "plate_id")
"""Identity columns of a plate: every table is partitioned by them."""


@dataclass(frozen=True)
class TableSpec:
    """One Iceberg table of the warehouse.

    Attributes
    ----------
    name
        ``namespace.table``.
    doc
        What one row is.
    schema
        Columns that every partition has, in the table's order, in Iceberg's own physical types
        (see `cp_assets.arrow_types.iceberg_native`); ``nullable=False`` marks a required
        column and the field metadata ``doc`` says what it holds.
    partition_by
        Partition columns beyond the plate's.
    open_columns
        True if a plate may bring further columns; they are added to the table and never removed.
    code_version
        Changes when the same inputs give other rows; part of every partition's fingerprint.
    row_group_bytes
        Uncompressed Arrow bytes gathered into one Parquet row group.
    codec
        Compression of the Parquet pages.
    zstd_level
        Of zstd.
    lookup_columns
        Columns by which single rows are looked up: each row group has a bloom filter of them.
    """

    name: str
    doc: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()
    open_columns: bool = False
    code_version: str = "1"
    row_group_bytes: int = 32 * 2**20
    codec: Literal["zstd", "snappy", "none"] = "zstd"
    zstd_level: int = 3
    lookup_columns: tuple[str, ...] = ()

    @property
    def identifier(self) -> tuple[str, str]:
        """Namespace and table as PyIceberg takes them."""
        namespace, _, table = self.name.partition(".")
        return namespace, table

    @cached_property
    def partition_columns(self) -> tuple[str, ...]:
        """All partition columns, the plate's first."""
        return (*PLATE_COLUMNS, *self.partition_by)


def column(name: str, kind: pa.DataType, doc: str, *, required: bool = False) -> pa.Field:
    """One column of a table's schema, with its documentation."""
    return pa.field(name, kind, nullable=not required, metadata={"doc": doc})


KEY_COLUMNS = (
    column("dataset_id", pa.string(), "one source of one project", required=True),
    column("batch_id", pa.string(), "batch of plates, as the Cell Painting Gallery", required=True),
    column("plate_id", pa.string(), "plate", required=True),
    column("well_id", pa.string(), "well, normalised to letters and two digits: A01"),
    column("site_id", pa.string(), "site (field of view) of the well"),
    column("image_id", pa.string(), "UUIDv5 of the image set: one site at one time", required=True),
)
"""The join contract: dataset and image set are required; plate, well and site are recommended."""

CYTOMINING_COLUMNS = (
    column("Metadata_Plate", pa.string(), "plate, the name that the field's tools expect"),
    column("Metadata_Well", pa.string(), "well, as well_id"),
    column("Metadata_Site", pa.string(), "site, as site_id"),
    column(
        "Metadata_ImageNumber",
        pa.int64(),
        "CellProfiler's image set number; restarts in every folder",
    ),
)
"""The same keys under the names that pycytominer and CytoTable use."""
