"""Pieces of a CSV file as columns of known types; rows that do not fit are recorded.

The fast way parses numbers at once; only a piece with a value that does not fit is read again as
text, to find the rows at fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cp_assets.datasets.csv_text import NULLS
from cp_assets.errors import MeasurementError
from cp_assets.measurements.chunks import Sieve
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.numbers_of_text import LARGEST_WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cp_assets.measurements.columns import ColumnKind
    from cp_assets.measurements.table_rules import ColumnRules
    from cp_assets.rejections import Rejection

_BLOCK_BYTES = 64 * 2**20
_NORMAL = rb'(?!(?<=[,\n"]na)n[,\r\n"]|(?<=[,\n"]-na)n[,\r\n"]|(?<=[,\n"]Na)N[,\r\n"])'
_ODD_NANS = {
    b"a": re.compile(rb"a(?<=[nN]a)(?=[nN])" + _NORMAL),
    b"A": re.compile(rb'A(?<=[nN]A)(?=[nN])(?!(?<=[,\n"]NA)N[,\r\n"])'),
}
"""What may be a NaN that is none of the `NULLS`, each by a byte that is found quickly."""
_KINDS: dict[ColumnKind, pa.DataType] = {
    "float": pa.float64(),
    "int": pa.float64(),
    "string": pa.string(),
}
"""How the fast way parses where the first row does not say better: many write 12.0."""


@dataclass(frozen=True)
class CsvColumns:
    """Columns to be read of a CSV file.

    Attributes
    ----------
    rules
        What its columns hold, and what their faults cost.
    width
        Number of columns of the file.
    places
        Column to be read -> its place in the file, from 0.
    """

    rules: ColumnRules
    width: int
    places: Mapping[str, int]

    def of_kind(self, kind: ColumnKind) -> list[str]:
        """Columns to be read that hold this."""
        return [column for column in self.places if self.rules.kinds[column] == kind]


@dataclass(frozen=True)
class TypedRows:
    """Rows of a piece.

    Attributes
    ----------
    rows
        Columns of the types int64, float64 and string, and `SOURCE_ROW`.
    rejections
        One for each row left out, and for each value left out of rows that are kept
        (``incomplete``).
    lines
        Rows that the piece has, with those left out.
    """

    rows: pa.Table
    rejections: tuple[Rejection, ...]
    lines: int


def parse_piece(columns: CsvColumns, piece: bytes, rows_before: int) -> TypedRows:
    """Typed rows of one of the pieces of `cp_assets.datasets.csv_text.CsvText`.

    A row with another number of values, with text for a number, a fraction for a whole number, or
    without a key is left out and recorded. Whole numbers are exact as far as int64 goes.

    Raises
    ------
    MeasurementError
        If the piece is no CSV text in UTF-8.
    """
    _hold_utf8(columns.rules.table.name, piece)
    for types in _ways(columns, piece):
        bad_lines: list[pacsv.InvalidRow] = []
        try:
            parsed = _read(columns, piece, types, bad_lines)
        except pa.ArrowInvalid:
            continue
        ints = columns.of_kind("int")
        if not all(_is_whole(parsed[name], name in columns.rules.keys) for name in ints):
            break
        parsed = _without_nan(parsed, piece, columns.of_kind("float"))
        for name in ints:
            if types[name] == pa.float64():
                place = parsed.schema.get_field_index(name)
                parsed = parsed.set_column(place, name, pc.cast(parsed[name], pa.int64()))
        rows, lines = _numbered(parsed, bad_lines, rows_before)
        return TypedRows(rows, _bad_lines(columns, bad_lines, rows_before), lines)
    return _parse_text(columns, piece, rows_before)


def _ways(columns: CsvColumns, piece: bytes) -> Iterator[dict[str, pa.DataType]]:
    """Types to try, in order: whole numbers as the first row writes them, then as 12.0."""
    as_floats = {name: _KINDS[columns.rules.kinds[name]] for name in columns.places}
    guess = as_floats | dict.fromkeys(_written_whole(columns, piece), pa.int64())
    if guess != as_floats:
        yield guess
    yield as_floats


def _written_whole(columns: CsvColumns, piece: bytes) -> list[str]:
    """Columns of whole numbers that the first row writes without a point."""
    # Arrow takes hexadecimal numbers for whole ones, which are none of CellProfiler's.
    # Looked for by one letter first, which is rare and found ten times as fast.
    if any(x in piece and b"0" + x in piece for x in (b"x", b"X")):
        return []
    cells = piece[: piece.find(b"\n") + 1].rstrip(b"\r\n").split(b",")
    if len(cells) != columns.width:
        return []
    return [
        name
        for name in columns.of_kind("int")
        if cells[columns.places[name]].removeprefix(b"-").isdigit()
    ]


def _hold_utf8(name: str, piece: bytes) -> None:
    """Hold that a piece is text: Arrow loses a row of too many values that is none."""
    offsets = pa.py_buffer(np.array([0, len(piece)], dtype=np.int64))
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(piece)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid as error:
        msg = f"{name} is not CSV text in UTF-8, cannot be read as CSV ({error}); export it again"
        raise MeasurementError(msg) from error


def _read(
    columns: CsvColumns,
    piece: bytes,
    types: Mapping[str, pa.DataType],
    bad_lines: list[pacsv.InvalidRow],
) -> pa.Table:
    def keep(line: pacsv.InvalidRow) -> str:
        bad_lines.append(line)
        return "skip"

    # Not by the file's own names: two header rows have names twice.
    names = [f"{place} is not read" for place in range(columns.width)]
    for column, place in columns.places.items():
        names[place] = column
    return pacsv.read_csv(
        pa.BufferReader(piece),
        # Numbers of invalid lines are known only without threads.
        read_options=pacsv.ReadOptions(
            use_threads=False,
            block_size=_BLOCK_BYTES,
            column_names=names,
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(columns.places),
            null_values=list(NULLS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _is_whole(values: pa.ChunkedArray, is_key: bool) -> bool:
    """Whether numbers are whole and have lost nothing, and a key is never missing."""
    if is_key and values.null_count:
        return False
    numbers = values.drop_null().to_numpy()
    if numbers.dtype == np.int64:
        return True
    return bool((np.floor(numbers) == numbers).all() and (np.abs(numbers) < LARGEST_WHOLE).all())


def _without_nan(rows: pa.Table, piece: bytes, floats: Sequence[str]) -> pa.Table:
    """Rows with null for each NaN.

    What is none of the `NULLS`, such as Nan or nan(ind), Arrow takes for a number. To look at all
    values of 2,000 columns takes 14 ms, so that the text is looked at first.
    """
    if not any(mark in piece and odd.search(piece) for mark, odd in _ODD_NANS.items()):
        return rows
    for name in floats:
        place = rows.schema.get_field_index(name)
        is_nan = pc.is_nan(rows.column(place))
        if pc.any(is_nan).as_py():
            rows = rows.set_column(place, name, pc.if_else(is_nan, None, rows.column(place)))
    return rows


def _parse_text(columns: CsvColumns, piece: bytes, rows_before: int) -> TypedRows:
    """Read as text, take out the rows with a value that does not fit, and convert the rest."""
    bad_lines: list[pacsv.InvalidRow] = []
    try:
        text = _read(columns, piece, dict.fromkeys(columns.places, pa.string()), bad_lines)
    except pa.ArrowInvalid as error:
        msg = f"{columns.rules.table.name} cannot be read as CSV ({error}); export it again"
        raise MeasurementError(msg) from error
    rows, lines = _numbered(text, bad_lines, rows_before)
    sieve = Sieve(columns.rules, rows[SOURCE_ROW], _bad_lines(columns, bad_lines, rows_before))
    named = dict(zip(rows.column_names, rows.columns, strict=True))
    for column in columns.places:
        if columns.rules.kinds[column] != "string":
            named[column] = sieve.numbers_of_text(column, named[column])
            sieve.take_missing_keys(column, named[column])
    kept = pa.table(named).filter(pa.array(sieve.good))
    return TypedRows(kept, sieve.rejections(), lines)


def _numbered(
    rows: pa.Table, bad_lines: Sequence[pacsv.InvalidRow], rows_before: int
) -> tuple[pa.Table, int]:
    """Add `SOURCE_ROW`, counting the lines that were skipped too, and say how many there were."""
    skipped = [line.number for line in bad_lines if line.number is not None]
    lines = rows.num_rows + len(skipped)
    numbers = np.arange(1, lines + 1, dtype=np.int64)
    kept = numbers[~np.isin(numbers, skipped)] if skipped else numbers
    return rows.append_column(SOURCE_ROW, pa.array(kept + rows_before)), lines


def _bad_lines(
    columns: CsvColumns, bad_lines: Sequence[pacsv.InvalidRow], rows_before: int
) -> tuple[Rejection, ...]:
    return tuple(
        columns.rules.table.rejection(
            "column_count",
            f"the row has {line.actual_columns} values, the header {line.expected_columns}",
            None if line.number is None else line.number + rows_before,
        )
        for line in bad_lines
    )
