"""Reading one CSV file, plain or gzipped, into typed columns; rows at fault are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.datasets.csv_files import open_bytes
from cp_assets.datasets.csv_text import open_csv
from cp_assets.measurements.chunks import (
    CHUNK_BYTES,
    TableChunk,
    TableName,
    TableRules,
    table_rules,
    without_rows,
)
from cp_assets.measurements.typed_csv import CsvColumns, parse_piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


def read_csv_chunks(
    path: Path,
    table: TableName,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
    only: Iterable[str] | None = None,
) -> Iterator[TableChunk]:
    """Read a measurement file in pieces of whole rows, at least one piece.

    Parameters
    ----------
    chunk_bytes
        Size of a piece in bytes; None for the whole file at once.
    only
        The columns to read; None for all.

    Raises
    ------
    MeasurementError
        If the file lacks a key column, repeats a column or is no CSV text.
    InputChangedError
        If the file changes while it is read.
    """
    with open_csv(path, table.name) as text:
        header = text.header[0] if text.header else ()
        if not header and _is_empty(path):
            yield without_rows(table, "empty_file", "the file has 0 bytes")
            return
        rules = table_rules(table, header, overrides, only)
        columns = _columns(rules, header)
        rows_before = 0
        left_out = rules.columns_left_out()
        for piece in text.pieces(chunk_bytes):
            typed = parse_piece(columns, piece, rows_before)
            rows_before += typed.lines
            yield TableChunk(rules.complete(typed.rows), (*left_out, *typed.rejections))
            left_out = ()
        if not rows_before:
            yield without_rows(table, "header_only", "the file has a header and no row")


def read_csv_header(path: Path, table: TableName) -> list[str]:
    """Columns of a measurement file, under CellProfiler's names; none of an empty file.

    Raises
    ------
    MeasurementError
        If the file lacks a key column, repeats a column or is no CSV text.
    """
    with open_csv(path, table.name) as text:
        header = text.header[0] if text.header else ()
    return [] if not header and _is_empty(path) else table_rules(table, header).header


def _is_empty(path: Path) -> bool:
    with open_bytes(path) as stream:
        return not stream.read(1)


def _columns(rules: TableRules, header: Sequence[str]) -> CsvColumns:
    """What is read of the file, each of its columns once."""
    read = {column: stored for stored, column in rules.stored.items()}
    place = {stored: at for at, stored in enumerate(header)}
    return CsvColumns(
        name=rules.table.name,
        compartment=rules.table.compartment,
        width=len(header),
        places={column: place[stored] for column, stored in read.items()},
        kinds={column: rules.kind(column) for column in read},
        keys=frozenset(filter(rules.is_key, read)),
        optional=frozenset(filter(rules.may_be_null, read)),
    )
