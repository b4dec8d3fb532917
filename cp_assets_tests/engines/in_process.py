"""Engines of our own environment, asked like those of others; see `readers.serve`."""

from __future__ import annotations

from typing import Any

import daft
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import EqualTo
from pyiceberg.table import StaticTable, Table

Question = dict[str, Any]


def _table(question: Question) -> Table:
    return StaticTable.from_metadata(question["tables"][question["table"]])


def _version(table: Table, question: Question) -> int | None:
    """The snapshot that is asked for; PyIceberg knows what a tag stands for."""
    if (tag := question.get("tag")) is None:
        return question.get("snapshot")
    snapshot = table.snapshot_by_name(tag)
    assert snapshot is not None
    return snapshot.snapshot_id


def pyiceberg(question: Question) -> pa.Table:
    """PyIceberg's own scan."""
    table = _table(question)
    plate = question.get("plate")
    scan = table.scan(snapshot_id=_version(table, question))
    if plate is not None:
        # Its predicates as text have no quote inside quotes.
        scan = scan.filter(EqualTo("plate_id", plate))
    return scan.to_arrow()


def polars(question: Question) -> pa.Table:
    """Polars by PyIceberg's table."""
    table = _table(question)
    rows = pl.scan_iceberg(table, snapshot_id=_version(table, question))
    if (plate := question.get("plate")) is not None:
        rows = rows.filter(pl.col("plate_id") == plate)
    return rows.collect().to_arrow()


def daft_(question: Question) -> pa.Table:
    """Daft by PyIceberg's table."""
    table = _table(question)
    rows = daft.read_iceberg(table, snapshot_id=_version(table, question))
    if (plate := question.get("plate")) is not None:
        rows = rows.where(daft.col("plate_id") == plate)
    return rows.to_arrow()


READERS = {"PyIceberg": pyiceberg, "Polars": polars, "Daft": daft_}


def write(engine: str, question: Question) -> None:
    """Write the rows of a question to its ``out``."""
    pq.write_table(READERS[engine](question), question["out"])
