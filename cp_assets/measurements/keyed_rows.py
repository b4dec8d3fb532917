"""Rows with their keys beside them, put together once there are many.

A site has some hundred rows and thousands of columns: whatever is done to each column of each site
costs more than reading its files. So rows stay as they were read until a batch is full.
"""

from __future__ import annotations

from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from cp_assets.measurements.columns import ORDER, SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cp_assets.measurements.matching import IntArray

ROWS_AT_ONCE = 512
"""Most rows of a batch that is gathered from several pieces: 8 MB with 2,000 columns."""

_SORT_KEYS = (ORDER, "ObjectNumber", SOURCE_ROW)
_SORTED_ROWS = 4096


@dataclass(frozen=True)
class KeyedRows:
    """Rows of one piece of a table in the plate's order, or what is kept of them.

    Attributes
    ----------
    keys
        Columns that say which plate, well, site and image set a row belongs to, and `ORDER`.
    rows
        The piece as it was read.
    positions
        Where in ``rows`` the row of each of the keys lies, shape (keys,); None if they all lie in
        their place.
    """

    keys: pa.RecordBatch
    rows: pa.Table
    positions: IntArray | None = None


def gathered(pieces: Iterable[KeyedRows]) -> Iterator[pa.RecordBatch]:
    """The rows of all pieces, keys in front, in batches of `ROWS_AT_ONCE` or of one piece."""
    waiting: list[KeyedRows] = []
    count = 0
    for piece in pieces:
        is_other = bool(waiting) and not waiting[0].rows.schema.equals(piece.rows.schema)
        if waiting and (is_other or count + piece.keys.num_rows > ROWS_AT_ONCE):
            yield _together(waiting)
            waiting, count = [], 0
        waiting.append(piece)
        count += piece.keys.num_rows
    if waiting:
        yield _together(waiting)


def _together(pieces: Sequence[KeyedRows], *, with_order: bool = False) -> pa.RecordBatch:
    """Pieces of equal columns as one batch."""
    rows = pa.concat_tables([piece.rows for piece in pieces]).combine_chunks()
    if any(piece.positions is not None for piece in pieces):
        rows = rows.take(pa.array(_positions(pieces))).combine_chunks()
    keys = pa.concat_batches([piece.keys for piece in pieces])
    keys = keys if with_order else keys.drop_columns([ORDER])
    (measured,) = rows.to_batches()
    return pa.RecordBatch.from_arrays(
        [*keys.columns, *measured.columns], names=[*keys.schema.names, *measured.schema.names]
    )


def _positions(pieces: Sequence[KeyedRows]) -> IntArray:
    """Where in the pieces' rows, one after another, the row of each key lies."""
    found = []
    before = 0
    for piece in pieces:
        own = np.arange(piece.rows.num_rows) if piece.positions is None else piece.positions
        found.append(own + before)
        before += piece.rows.num_rows
    return np.concatenate(found)


def sorted_on_disk(pieces: Iterator[KeyedRows]) -> Iterator[KeyedRows]:
    """Sort rows by image set and object; DuckDB spills to disk what memory cannot hold."""
    first = next(pieces, None)
    if first is None:
        return
    start = _together([first], with_order=True)

    def everything() -> Iterator[pa.RecordBatch]:
        yield start
        for piece in pieces:
            yield _together([piece], with_order=True)

    order = "ORDER BY " + ", ".join(f'"{name}"' for name in _SORT_KEYS)
    with TemporaryDirectory(prefix="cp_assets-") as spill:
        limits = {"memory_limit": "2GB", "temp_directory": spill}
        with duckdb.connect(config={**limits}) as connection:
            reader = pa.RecordBatchReader.from_batches(start.schema, everything())
            connection.register("keyed", reader)
            for batch in connection.sql(f"SELECT * FROM keyed {order}").to_arrow_reader(
                _SORTED_ROWS
            ):
                # DuckDB's names are blind to letter case and it renames what looks equal to it.
                yield _apart(batch.rename_columns(start.schema.names), first.keys.schema.names)


def _apart(batch: pa.RecordBatch, keys: Sequence[str]) -> KeyedRows:
    return KeyedRows(batch.select(keys), pa.Table.from_batches([batch.drop_columns(keys)]))
