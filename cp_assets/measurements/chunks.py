"""Typed rows of a measurement table, whatever its dialect, and the books of what is none.

Columns have CellProfiler's names and the types that the names give. A value that does not fit costs
its row, or in an Image table itself alone, and is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.csv_text import NULLS
from cp_assets.measurements.columns import SOURCE_ROW, TABLE_NUMBER
from cp_assets.measurements.numbers_of_text import (
    LARGEST_WHOLE,
    Mask,
    floats_of_text,
    table_numbers_of_text,
    whole_numbers_of_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from cp_assets.measurements.table_rules import ColumnRules, TableName, TableRules
    from cp_assets.rejections import Outcome, Rejection

CHUNK_BYTES = 64 * 2**20
"""Bytes of an object table that are read at once."""

_COLUMN_TYPES = ". If the column holds text, say so under column_types"
_NO_ROWS = pa.table({SOURCE_ROW: pa.array([], pa.int64())})


@dataclass(frozen=True)
class TableChunk:
    """Rows of a table as read, with what could not be.

    Attributes
    ----------
    rows
        Typed columns, and `SOURCE_ROW`. A column that is named like one of those that are `ADDED`
        is left out.
    rejections
        One for each row left out, one for each value or column left out of rows that are kept
        (``incomplete``), and one for a table without rows.
    """

    rows: pa.Table
    rejections: tuple[Rejection, ...]

    def only(self, columns: Collection[str] | None) -> TableChunk:
        """Of the columns these, and `SOURCE_ROW`; None for all."""
        if columns is None:
            return self
        wanted = {*columns, SOURCE_ROW}
        kept = [name for name in self.rows.column_names if name in wanted]
        return TableChunk(self.rows.select(kept), self.rejections)


def together(chunks: Iterable[TableChunk]) -> TableChunk:
    """A whole table that was read in pieces."""
    found = list(chunks)
    rows = pa.concat_tables([chunk.rows for chunk in found], promote_options="default")
    return TableChunk(rows, tuple(fault for chunk in found for fault in chunk.rejections))


def in_pieces(
    chunks: Iterator[TableChunk], chunk_bytes: int | None, only: Collection[str] | None
) -> Iterator[TableChunk]:
    """Chunks that were read with all columns, as they are asked for; together without a size."""
    for chunk in chunks if chunk_bytes is not None else [together(chunks)]:
        yield chunk.only(only)


def in_books(
    chunks: Iterable[TableChunk], left_out: Iterable[Rejection], nothing: TableChunk
) -> Iterator[TableChunk]:
    """Chunks, the first of which tells what is left out of all; ``nothing`` where there is none."""
    at = None
    for at, chunk in enumerate(chunks):
        yield chunk if at else replace(chunk, rejections=(*left_out, *chunk.rejections))
    if at is None:
        yield nothing


def without_rows(
    table: TableName, reason: str, detail: str, left_out: Iterable[Rejection] = ()
) -> TableChunk:
    """No rows, and why; ``left_out`` is told too."""
    outcome: Outcome = "rejected" if reason == "empty_file" else "incomplete"
    rejection = table.rejection(reason, detail, outcome=outcome)
    return TableChunk(_NO_ROWS, (*left_out, rejection))


class Sieve:
    """Which rows of a chunk are good, and what is wrong with the others.

    Attributes
    ----------
    good
        Shape (rows,).
    """

    def __init__(
        self, rules: ColumnRules, source_rows: pa.ChunkedArray, faults: Iterable[Rejection] = ()
    ) -> None:
        self.rules = rules
        self.good: Mask = np.ones(len(source_rows), dtype=bool)
        self.faults = list(faults)
        self._source_rows = source_rows

    def take(self, column: str, wrong: Mask, reason: str, told: Callable[[int], str]) -> None:
        """Record a column's wrong values in rows that are good so far."""
        is_optional, table = column in self.rules.optional, self.rules.table
        for at in np.flatnonzero(wrong & self.good).tolist():
            row = self._source_rows[at].as_py()
            detail = f"{column} is {told(at)}"
            if is_optional:
                text = f"{detail}; the value is left empty"
                self.faults.append(table.rejection(reason, text, row, "incomplete"))
            else:
                self.faults.append(table.rejection(reason, detail, row))
        if not is_optional:
            self.good &= ~wrong

    def numbers_of_text(self, column: str, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Texts as float64 or int64, as the column's kind; those that do not fit are recorded."""
        if column == TABLE_NUMBER:
            numbers, fits = table_numbers_of_text(texts)
            self.take_no_whole(column, texts, ~fits)
            return numbers
        floats, fits = floats_of_text(texts)
        advice = "" if column in self.rules.keys else _COLUMN_TYPES
        self.take(
            column,
            ~fits,
            "not_a_number",
            lambda at: f"{_shown(texts[at])!r}: expected a number{advice}",
        )
        if self.rules.kinds[column] != "int":
            return floats
        whole, are_whole = whole_numbers_of_text(texts)
        self.take_no_whole(column, texts, fits & ~are_whole)
        return whole

    def take_no_whole(self, column: str, values: pa.ChunkedArray, wrong: Mask) -> None:
        """Record values that are no whole number."""
        reason = "no_key" if column in self.rules.keys else "not_a_whole_number"
        told = "expected a whole number"
        self.take(column, wrong, reason, lambda at: f"{_shown(values[at])}: {told}")

    def take_missing_keys(self, column: str, values: pa.ChunkedArray) -> None:
        """Record where a column that identifies rows is empty."""
        if column in self.rules.keys and values.null_count:
            told = "empty: it identifies the row"
            self.take(column, values.is_null().to_numpy(), "no_key", lambda _: told)

    def rejections(self) -> tuple[Rejection, ...]:
        """The faults, without those of values of a row that is left out as a whole."""
        out = {fault.source_row for fault in self.faults if fault.outcome == "rejected"}
        return tuple(
            fault
            for fault in self.faults
            if fault.outcome == "rejected" or fault.source_row not in out
        )


def with_whole_numbers(
    rules: TableRules, rows: pa.Table, faults: Iterable[Rejection] = ()
) -> TableChunk:
    """Turn integer columns into int64; a fraction there, or no key, costs the row or the value.

    Parameters
    ----------
    rows
        Integer columns as float64, or as int64 already.
    """
    sieve = Sieve(rules, rows[SOURCE_ROW], faults)
    place = {name: position for position, name in enumerate(rows.column_names)}
    for column in rules.columns:
        if rules.kinds[column] != "int":
            continue
        values = rows.column(place[column])
        if values.type != pa.int64():
            numbers = values.to_numpy()
            missing = np.isnan(numbers)
            fits = is_whole(numbers)
            sieve.take_no_whole(column, values, ~missing & ~fits)
            whole = pa.array(np.where(fits, numbers, 0).astype(np.int64), mask=~fits)
            # One by one: they are few of thousands, and to rebuild the table takes longer.
            rows = rows.set_column(place[column], column, whole)
        sieve.take_missing_keys(column, values)
    kept = rows if sieve.good.all() else rows.filter(pa.array(sieve.good))
    return TableChunk(kept, sieve.rejections())


def is_whole(numbers: npt.NDArray[np.float64]) -> Mask:
    """Which numbers are whole and exact as float64; nothing is not."""
    whole: Mask = (np.floor(numbers) == numbers) & (np.abs(numbers) <= LARGEST_WHOLE)
    return whole


def _shown(value: pa.Scalar) -> str:
    """The beginning of a value."""
    return str(value.as_py()).strip()[:100]


def without_null_words(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts with null for those that stand for no value."""
    nothing = pc.is_in(texts, value_set=pa.array(NULLS))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), texts)


def numbered(rows: pa.Table, before: int) -> pa.Table:
    """Add `SOURCE_ROW` to rows of which none was left out so far."""
    numbers = np.arange(before + 1, before + rows.num_rows + 1, dtype=np.int64)
    return rows.append_column(SOURCE_ROW, pa.array(numbers))
