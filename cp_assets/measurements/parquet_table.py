"""Reading one Parquet file into typed columns, by the same rules as the other dialects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cp_assets.datasets.fingerprints import unchanged
from cp_assets.errors import MeasurementError
from cp_assets.measurements.chunks import (
    CHUNK_BYTES,
    Sieve,
    TableChunk,
    TableName,
    TableRules,
    numbered,
    numbers_of_text,
    table_rules,
    with_whole_numbers,
    without_null_words,
    without_rows,
)
from cp_assets.measurements.columns import SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_VALUE_BYTES = 8
_LARGEST_BATCH = 2**20


def read_parquet_chunks(
    path: Path,
    table: TableName,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
    only: Iterable[str] | None = None,
) -> Iterator[TableChunk]:
    """Read a file in its order, at least one piece.

    NaN is null, and so are the words that are null in CSV files.

    Parameters
    ----------
    chunk_bytes
        Size of a piece in bytes; None for the whole file at once.
    only
        The columns to read; None for all.

    Raises
    ------
    MeasurementError
        If the file is no Parquet, lacks a key column, or a column holds lists or structs.
    InputChangedError
        If the file changes while it is read.
    """
    with unchanged(path):
        if path.stat().st_size == 0:
            yield without_rows(table, "empty_file", "the file has 0 bytes")
            return
        try:
            with pq.ParquetFile(path) as file:
                yield from _pieces(file, table, overrides, chunk_bytes, only)
        except (pa.ArrowException, OSError) as error:
            msg = f"{table.name} cannot be read as Parquet ({error}); copy or export it again"
            raise MeasurementError(msg) from error


def read_parquet_header(path: Path, table: TableName) -> list[str]:
    """Columns of a file, under CellProfiler's names; none of an empty file.

    Raises
    ------
    MeasurementError
        If the file is no Parquet or lacks a key column.
    """
    if path.stat().st_size == 0:
        return []
    try:
        return table_rules(table, pq.read_schema(path).names).header
    except pa.ArrowException as error:
        msg = f"{table.name} cannot be read as Parquet ({error}); copy or export it again"
        raise MeasurementError(msg) from error


def _pieces(
    file: pq.ParquetFile,
    table: TableName,
    overrides: Mapping[str, str] | None,
    chunk_bytes: int | None,
    only: Iterable[str] | None,
) -> Iterator[TableChunk]:
    rules = table_rules(table, file.schema_arrow.names, overrides, only)
    width = max(1, len(rules.stored)) * _VALUE_BYTES
    at_once = max(1, min(_LARGEST_BATCH, chunk_bytes // width)) if chunk_bytes else None
    stored = list(rules.stored)
    batches = (
        [file.read(columns=stored)]
        if at_once is None
        else map(_as_table, file.iter_batches(at_once, columns=stored))
    )
    left_out = rules.columns_left_out()
    rows_before = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        renamed = batch.select(stored).rename_columns([rules.stored[name] for name in stored])
        piece = _typed(rules, numbered(renamed, rows_before))
        rows_before += batch.num_rows
        yield replace(piece, rejections=(*left_out, *piece.rejections))
        left_out = ()
    if not rows_before:
        yield without_rows(table, "header_only", "the file has columns and no row")


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _typed(rules: TableRules, rows: pa.Table) -> TableChunk:
    sieve = Sieve(rules, rows[SOURCE_ROW])
    named = dict(zip(rows.column_names, rows.columns, strict=True))
    for column in rules.stored.values():
        named[column] = _converted(column, _plain(column, named[column], rules), sieve)
    kept = pa.table(named).filter(pa.array(sieve.good))
    return with_whole_numbers(rules, rules.complete(kept), sieve.faults)


def _plain(column: str, values: pa.ChunkedArray, rules: TableRules) -> pa.ChunkedArray:
    """Values themselves where the file has numbers that stand for them."""
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    if pa.types.is_nested(values.type):
        msg = (
            f"{rules.table.name}: column {column} holds {values.type}; expected numbers or text. "
            "Leave it out of the file"
        )
        raise MeasurementError(msg)
    return values


def _converted(column: str, values: pa.ChunkedArray, sieve: Sieve) -> pa.ChunkedArray:
    """Values in the type of the column's name; integers may stay float64."""
    kind, stored = sieve.rules.kind(column), values.type
    is_text = pa.types.is_string(stored) or pa.types.is_large_string(stored)
    if kind == "string":
        return without_null_words(pc.cast(values, pa.string()))
    if is_text:
        return numbers_of_text(column, pc.cast(values, pa.string()), sieve)
    if kind == "int" and pa.types.is_integer(stored) and stored != pa.uint64():
        return pc.cast(values, pa.int64())
    if pa.types.is_boolean(stored):
        values = pc.cast(values, pa.int8())
    numbers = pc.cast(values, pa.float64(), safe=False)
    # pandas writes what is missing as NaN.
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
