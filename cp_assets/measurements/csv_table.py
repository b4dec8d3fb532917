"""Reading one CellProfiler CSV file into typed columns; rows that cannot be read are recorded.

The fast way parses with the types that the names give. Only when a value does not fit is the file
read again as text, to find and record the rows at fault.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cp_assets.datasets.fingerprints import unchanged
from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import ADDED, KEYS, SOURCE_ROW, column_kind
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cp_assets.rejections import Outcome

_NULLS = ["", "nan", "NaN", "NAN", "-nan", "NA", "N/A", "null", "NULL", "None", "#N/A"]
_BLOCK_BYTES = 64 * 2**20

_LARGEST_WHOLE = 2.0**53
"""Beyond it float64, in which integers are read, has gaps."""

CHUNK_BYTES = 64 * 2**20
"""Bytes of an object table that are parsed at once."""
_NUMBER = r"^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|INF|Inf(?:inity)?)\s*$"


@dataclass(frozen=True)
class CsvTable:
    """A table as read, with what could not be.

    Attributes
    ----------
    rows
        Typed columns under their names in the file, and `SOURCE_ROW`. A column that is named like
        one of those that are `ADDED` is left out.
    rejections
        One for each row left out, one for each value or column left out of rows that are kept
        (``incomplete``), and one for a file without rows.
    """

    rows: pa.Table
    rejections: tuple[Rejection, ...]


def read_csv_table(
    path: Path, name: str, compartment: str, overrides: Mapping[str, str] | None = None
) -> CsvTable:
    """Read a whole measurement file; for Image tables, which are small and may hold line breaks.

    Takes and raises what `read_csv_chunks` does.
    """
    # All of it, although there is one piece: after the last the file is held to be unchanged.
    (table,) = read_csv_chunks(path, name, compartment, overrides, chunk_bytes=None)
    return table


def read_csv_chunks(
    path: Path,
    name: str,
    compartment: str,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
) -> Iterator[CsvTable]:
    """Read a measurement file in pieces of whole lines, at least one piece.

    Parameters
    ----------
    name
        The file as rejections and errors name it.
    compartment
        Image, or the compartment that the file measures.
    chunk_bytes
        Size of a piece in bytes; None for the whole file at once.

    Raises
    ------
    MeasurementError
        If the file lacks a key column, repeats a column or is no CSV text.
    InputChangedError
        If the file changes while it is read.
    """
    with unchanged(path):
        if path.stat().st_size == 0:
            yield _without_rows(name, compartment, "empty_file", "the file has 0 bytes")
            return
        file = _File(name, compartment, read_header(path, name, compartment), overrides or {})
        rows_before = 0
        left_out = file.columns_left_out()
        for chunk in _chunks(path, chunk_bytes):
            table, lines = _read_chunk(file, chunk, rows_before)
            rows_before += lines
            yield replace(table, rejections=(*left_out, *table.rejections))
            left_out = ()
        if not rows_before:
            detail = "the file has a header and no row"
            yield _without_rows(name, compartment, "header_only", detail)


@dataclass(frozen=True)
class _File:
    name: str
    compartment: str
    header: list[str]
    overrides: Mapping[str, str]

    @cached_property
    def columns(self) -> list[str]:
        return [name for name in self.header if name not in ADDED]

    def columns_left_out(self) -> tuple[Rejection, ...]:
        return tuple(
            Rejection(
                kind="file",
                reason="column_name_taken",
                detail=(
                    f"{name} is a column that every row is given, so the file's own is left out; "
                    "name it otherwise to keep it"
                ),
                outcome="incomplete",
                compartment=self.compartment,
                source_file=self.name,
            )
            for name in self.header
            if name in ADDED
        )

    def kind(self, column: str) -> str:
        return column_kind(column, self.overrides)

    def is_key(self, column: str) -> bool:
        return column == "ImageNumber" or (column == "ObjectNumber" and self.compartment != "Image")

    def may_be_null(self, column: str) -> bool:
        """Whether a value that cannot be used costs its cell alone, not the row.

        A row of the Image table is needed by all objects of its image set; whole numbers there,
        such as ``Frame_DNA``, only describe it.
        """
        is_int = self.kind(column) == "int"
        return self.compartment == "Image" and is_int and not self.is_key(column)

    def rejection(
        self, reason: str, detail: str, row: int | None, outcome: Outcome = "rejected"
    ) -> Rejection:
        return Rejection(
            kind="row",
            reason=reason,
            detail=detail,
            outcome=outcome,
            compartment=self.compartment,
            source_file=self.name,
            source_row=row,
        )


def _chunks(path: Path, chunk_bytes: int | None) -> Iterator[bytes]:
    """The file's lines after the header, in pieces that end with a line."""
    with path.open("rb") as stream:
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


def _read_chunk(file: _File, chunk: bytes, rows_before: int) -> tuple[CsvTable, int]:
    """Typed rows of a piece, and how many lines it had."""
    bad_lines: list[pacsv.InvalidRow] = []
    # CellProfiler writes whole numbers as 12.0 too: integers are read as float64 and converted
    # after.
    types = {c: pa.string() if file.kind(c) == "string" else pa.float64() for c in file.columns}
    try:
        parsed = _read(file, chunk, types, bad_lines)
    except pa.ArrowInvalid as error:
        return _read_with_faults(file, chunk, rows_before, error)
    rows = _numbered(parsed, bad_lines, rows_before)
    faults = [_bad_line(file, line, rows_before) for line in bad_lines]
    return _with_whole_numbers(file, rows, faults), rows.num_rows + len(bad_lines)


def read_header(path: Path, name: str, compartment: str) -> list[str]:
    """Column names of a measurement file.

    Raises
    ------
    MeasurementError
        If the file lacks a key column, repeats a column or is no CSV text.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header = next(csv.reader(stream), [])
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{name} is not CSV text in UTF-8 ({error}); expected a file of ExportToSpreadsheet"
        raise MeasurementError(msg) from error
    if len(set(header)) < len(header):
        repeated = next(column for column in header if header.count(column) > 1)
        msg = f"{name} has the column {repeated!r} more than once; expected each column once"
        raise MeasurementError(msg)
    needed = KEYS[:1] if compartment == "Image" else KEYS
    missing = [key for key in needed if key not in header]
    if missing:
        msg = (
            f"{name} has no column {' and no column '.join(missing)}, which identifies its rows; "
            "expected "
            "a file of CellProfiler's ExportToSpreadsheet. Export it again with these columns"
        )
        raise MeasurementError(msg)
    return header


def _read(
    file: _File, chunk: bytes, types: dict[str, pa.DataType], bad_lines: list[pacsv.InvalidRow]
) -> pa.Table:
    def keep(line: pacsv.InvalidRow) -> str:
        bad_lines.append(line)
        return "skip"

    return pacsv.read_csv(
        pa.BufferReader(chunk),
        # Numbers of invalid lines are known only without threads; files are read side by side
        # instead.
        read_options=pacsv.ReadOptions(
            use_threads=False, block_size=_BLOCK_BYTES, column_names=file.header
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=_NULLS,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _numbered(rows: pa.Table, bad_lines: list[pacsv.InvalidRow], rows_before: int) -> pa.Table:
    """Add `SOURCE_ROW`, counting the lines that were skipped too."""
    skipped = [line.number for line in bad_lines if line.number is not None]
    numbers = np.arange(1, rows.num_rows + len(skipped) + 1, dtype=np.int64)
    kept = numbers[~np.isin(numbers, skipped)] if skipped else numbers
    return rows.append_column(SOURCE_ROW, pa.array(kept + rows_before))


def _bad_line(file: _File, line: pacsv.InvalidRow, rows_before: int) -> Rejection:
    detail = f"the row has {line.actual_columns} values, the header {line.expected_columns}"
    row = None if line.number is None else line.number + rows_before
    return file.rejection("column_count", detail, row)


def _without_rows(name: str, compartment: str, reason: str, detail: str) -> CsvTable:
    rejection = Rejection(
        kind="file",
        reason=reason,
        detail=detail,
        outcome="rejected" if reason == "empty_file" else "incomplete",
        compartment=compartment,
        source_file=name,
    )
    return CsvTable(pa.table({SOURCE_ROW: pa.array([], pa.int64())}), (rejection,))


def _read_with_faults(
    file: _File, chunk: bytes, rows_before: int, cause: pa.ArrowInvalid
) -> tuple[CsvTable, int]:
    """Read as text, take out the rows with a value that is no number, and convert the rest."""
    bad_lines: list[pacsv.InvalidRow] = []
    try:
        parsed = _read(file, chunk, dict.fromkeys(file.columns, pa.string()), bad_lines)
    except pa.ArrowInvalid as error:
        msg = f"{file.name} cannot be read as CSV ({error}); expected a file of ExportToSpreadsheet"
        raise MeasurementError(msg) from cause
    as_text = _numbered(parsed, bad_lines, rows_before)
    faults = [_bad_line(file, line, rows_before) for line in bad_lines]
    good = np.ones(as_text.num_rows, dtype=bool)
    numeric = [column for column in file.columns if file.kind(column) != "string"]
    named = dict(zip(as_text.column_names, as_text.columns, strict=True))
    for column in numeric:
        values = named[column]
        is_number = pc.fill_null(pc.match_substring_regex(values, _NUMBER), True)
        wrong = ~is_number.to_numpy()
        faults += [
            _no_number(file, as_text, int(at), column) for at in np.flatnonzero(wrong & good)
        ]
        if file.may_be_null(column):
            values = pc.if_else(is_number, values, None)
        else:
            good &= ~wrong
        named[column] = pc.utf8_trim_whitespace(values)
    kept = pa.table(named).filter(pa.array(good))
    kept = _cast(kept, dict.fromkeys(numeric, pa.float64()))
    return _with_whole_numbers(file, kept, faults), as_text.num_rows + len(bad_lines)


def _no_number(file: _File, rows: pa.Table, position: int, column: str) -> Rejection:
    value = repr(rows[column][position].as_py())
    detail = "a number. If the column holds text, say so under column_types"
    return _unusable(file, rows, position, column, "not_a_number", f"{value}: expected {detail}")


def _with_whole_numbers(file: _File, rows: pa.Table, faults: list[Rejection]) -> CsvTable:
    """Turn integer columns into int64; a fraction there, or no key, costs the row or the value."""
    good = np.ones(rows.num_rows, dtype=bool)
    place = {name: position for position, name in enumerate(rows.column_names)}
    whole = [column for column in file.columns if file.kind(column) == "int"]
    for column in whole:
        values = rows.column(place[column]).to_numpy()
        missing = np.isnan(values)
        is_whole = (np.floor(values) == values) & (np.abs(values) <= _LARGEST_WHOLE)
        wrong = np.where(missing, file.is_key(column), ~is_whole)
        faults += [_no_whole(file, rows, int(at), column) for at in np.flatnonzero(wrong & good)]
        if not file.may_be_null(column):
            good &= ~wrong
        elif wrong.any():
            rows = rows.set_column(place[column], column, pa.array(values, mask=missing | wrong))
    kept = rows if good.all() else rows.filter(pa.array(good))
    return CsvTable(_cast(kept, dict.fromkeys(whole, pa.int64())), _without_doubled(faults))


def _without_doubled(faults: list[Rejection]) -> tuple[Rejection, ...]:
    """Drop what is said of values of a row that is left out as a whole."""
    out = {fault.source_row for fault in faults if fault.outcome == "rejected"}
    return tuple(
        fault for fault in faults if fault.outcome == "rejected" or fault.source_row not in out
    )


def _cast(rows: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with some columns cast; in one go, since a copy for each is slow when wide."""
    columns = zip(rows.column_names, rows.columns, strict=True)
    cast = [pc.cast(values, types[name]) if name in types else values for name, values in columns]
    return pa.table(cast, names=rows.column_names)


def _no_whole(file: _File, rows: pa.Table, position: int, column: str) -> Rejection:
    reason = "no_key" if file.is_key(column) else "not_a_whole_number"
    detail = f"{rows[column][position].as_py()}: expected a whole number"
    return _unusable(file, rows, position, column, reason, detail)


def _unusable(
    file: _File, rows: pa.Table, position: int, column: str, reason: str, detail: str
) -> Rejection:
    """Say which value costs its row, or leaves itself empty."""
    row = rows[SOURCE_ROW][position].as_py()
    if file.may_be_null(column):
        text = f"{column} is {detail}; the value is left empty"
        return file.rejection(reason, text, row, "incomplete")
    return file.rejection(reason, f"{column} is {detail}", row)
