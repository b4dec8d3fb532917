"""Reading one CSV file, plain or gzipped, into typed columns; rows at fault are recorded.

The fast way parses with the types that the names give. Only when a value does not fit is the piece
read again as text, to find and record the rows at fault.
"""

from __future__ import annotations

import csv
import zlib
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cp_assets.datasets.csv_files import open_bytes, open_text
from cp_assets.datasets.fingerprints import unchanged
from cp_assets.errors import MeasurementError
from cp_assets.measurements.chunks import (
    CHUNK_BYTES,
    NULLS,
    NUMBER,
    Sieve,
    TableChunk,
    TableName,
    TableRules,
    cast,
    table_rules,
    with_whole_numbers,
    without_rows,
)
from cp_assets.measurements.columns import SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from cp_assets.rejections import Rejection

_BLOCK_BYTES = 64 * 2**20


def read_csv_chunks(
    path: Path,
    table: TableName,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
    only: Iterable[str] | None = None,
) -> Iterator[TableChunk]:
    """Read a measurement file in pieces of whole lines, at least one piece.

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
    with unchanged(path), _unpacking(table.name):
        header = [] if path.stat().st_size == 0 else _header(path, table.name)
        if not header and _is_empty(path):
            yield without_rows(table, "empty_file", "the file has 0 bytes")
            return
        rules = table_rules(table, header, overrides, only)
        rows_before = 0
        left_out = rules.columns_left_out()
        for chunk in _chunks(path, chunk_bytes):
            piece, lines = _read_chunk(rules, header, chunk, rows_before)
            rows_before += lines
            yield replace(piece, rejections=(*left_out, *piece.rejections))
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
    with _unpacking(table.name):
        header = [] if path.stat().st_size == 0 else _header(path, table.name)
        return [] if not header and _is_empty(path) else table_rules(table, header).header


def _header(path: Path, name: str) -> list[str]:
    try:
        with open_text(path) as stream:
            return next(csv.reader(stream), [])
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{name} is not CSV text in UTF-8 ({error}); expected a file of ExportToSpreadsheet"
        raise MeasurementError(msg) from error


def _is_empty(path: Path) -> bool:
    with open_bytes(path) as stream:
        return not stream.read(1)


@contextmanager
def _unpacking(name: str) -> Iterator[None]:
    """Say of a broken gzip file which it is."""
    try:
        yield
    except (EOFError, zlib.error) as error:
        fault: Exception = error
    except OSError as error:
        if error.errno is not None:
            raise
        fault = error
    else:
        return
    msg = f"{name} cannot be unpacked ({fault}); expected gzip, as its name ends. Copy it again"
    raise MeasurementError(msg) from fault


def _chunks(path: Path, chunk_bytes: int | None) -> Iterator[bytes]:
    """The file's lines after the header, in pieces that end with a line."""
    with open_bytes(path) as stream:
        stream.readline()
        if chunk_bytes is None:
            rest = stream.read()
            if rest.strip():
                yield rest
            return
        while piece := stream.read(chunk_bytes):
            piece += stream.readline()
            if piece.strip():
                yield piece


def _read_chunk(
    rules: TableRules, header: list[str], chunk: bytes, rows_before: int
) -> tuple[TableChunk, int]:
    """Typed rows of a piece, and how many lines it had."""
    bad_lines: list[pacsv.InvalidRow] = []
    # CellProfiler writes whole numbers as 12.0 too: integers are read as float64 and converted
    # after.
    types = {
        stored: pa.string() if rules.kind(column) == "string" else pa.float64()
        for stored, column in rules.stored.items()
    }
    try:
        parsed = _read(header, chunk, types, bad_lines)
    except pa.ArrowInvalid as error:
        return _read_with_faults(rules, header, chunk, rows_before, error)
    rows = _numbered(_renamed(rules, parsed), bad_lines, rows_before)
    faults = [_bad_line(rules, line, rows_before) for line in bad_lines]
    return with_whole_numbers(rules, rows, faults), rows.num_rows + len(bad_lines)


def _read(
    header: list[str],
    chunk: bytes,
    types: dict[str, pa.DataType],
    bad_lines: list[pacsv.InvalidRow],
) -> pa.Table:
    def keep(line: pacsv.InvalidRow) -> str:
        bad_lines.append(line)
        return "skip"

    return pacsv.read_csv(
        pa.BufferReader(chunk),
        # Numbers of invalid lines are known only without threads; files are read side by side
        # instead.
        read_options=pacsv.ReadOptions(
            use_threads=False, block_size=_BLOCK_BYTES, column_names=header
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=list(NULLS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _renamed(rules: TableRules, parsed: pa.Table) -> pa.Table:
    """Rows under CellProfiler's names."""
    return rules.complete(parsed.rename_columns(list(rules.stored.values())))


def _numbered(rows: pa.Table, bad_lines: list[pacsv.InvalidRow], rows_before: int) -> pa.Table:
    """Add `SOURCE_ROW`, counting the lines that were skipped too."""
    skipped = [line.number for line in bad_lines if line.number is not None]
    numbers = np.arange(1, rows.num_rows + len(skipped) + 1, dtype=np.int64)
    kept = numbers[~np.isin(numbers, skipped)] if skipped else numbers
    return rows.append_column(SOURCE_ROW, pa.array(kept + rows_before))


def _bad_line(rules: TableRules, line: pacsv.InvalidRow, rows_before: int) -> Rejection:
    detail = f"the row has {line.actual_columns} values, the header {line.expected_columns}"
    row = None if line.number is None else line.number + rows_before
    return rules.rejection("column_count", detail, row)


def _read_with_faults(
    rules: TableRules, header: list[str], chunk: bytes, rows_before: int, cause: pa.ArrowInvalid
) -> tuple[TableChunk, int]:
    """Read as text, take out the rows with a value that is no number, and convert the rest."""
    bad_lines: list[pacsv.InvalidRow] = []
    try:
        parsed = _read(header, chunk, dict.fromkeys(rules.stored, pa.string()), bad_lines)
    except pa.ArrowInvalid as error:
        name = rules.table.name
        msg = f"{name} cannot be read as CSV ({error}); expected a file of ExportToSpreadsheet"
        raise MeasurementError(msg) from cause
    as_text = _numbered(_renamed(rules, parsed), bad_lines, rows_before)
    faults = [_bad_line(rules, line, rows_before) for line in bad_lines]
    sieve = Sieve(rules, as_text[SOURCE_ROW], faults)
    numeric = [column for column in rules.columns if rules.kind(column) != "string"]
    named = dict(zip(as_text.column_names, as_text.columns, strict=True))
    for column in numeric:
        values = named[column]
        is_number = pc.fill_null(pc.match_substring_regex(values, NUMBER), True)
        sieve.take_no_numbers(column, values, ~is_number.to_numpy())
        if rules.may_be_null(column):
            values = pc.if_else(is_number, values, None)
        named[column] = pc.utf8_trim_whitespace(values)
    kept = pa.table(named).filter(pa.array(sieve.good))
    kept = cast(kept, dict.fromkeys(numeric, pa.float64()))
    return with_whole_numbers(rules, kept, sieve.faults), as_text.num_rows + len(bad_lines)
