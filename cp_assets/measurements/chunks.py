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
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.numbers_of_text import (
    LARGEST_WHOLE,
    Mask,
    floats_of_text,
    whole_numbers_of_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from cp_assets.measurements.table_rules import TableName, TableRules
    from cp_assets.rejections import Outcome, Rejection

CHUNK_BYTES = 64 * 2**20
"""Bytes of an object table that are read at once."""

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
        self, rules: TableRules, source_rows: pa.ChunkedArray, faults: Iterable[Rejection] = ()
    ) -> None:
        self.rules = rules
        self.good: Mask = np.ones(len(source_rows), dtype=bool)
        self.faults = list(faults)
        self._source_rows = source_rows

    def take(self, column: str, wrong: Mask, reason: str, told: Callable[[int], str]) -> None:
        """Record a column's wrong values in rows that are good so far."""
        for at in np.flatnonzero(wrong & self.good).tolist():
            row = self._source_rows[at].as_py()
            detail = f"{column} is {told(at)}"
            if self.rules.may_be_null(column):
                text = f"{detail}; the value is left empty"
                self.faults.append(self.rules.table.rejection(reason, text, row, "incomplete"))
            else:
                self.faults.append(self.rules.table.rejection(reason, detail, row))
        if not self.rules.may_be_null(column):
            self.good &= ~wrong

    def numbers_of_text(self, column: str, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Texts as float64 or int64, as the column's kind; those that do not fit are recorded."""
        texts = without_null_words(texts)
        floats, fits = floats_of_text(texts)
        expected = "expected a number. If the column holds text, say so under column_types"
        self.take(column, ~fits, "not_a_number", lambda at: f"{texts[at].as_py()!r}: {expected}")
        if self.rules.kind(column) != "int":
            return floats
        whole, are_whole = whole_numbers_of_text(texts)
        self.take_no_whole(column, floats, fits & ~are_whole)
        return whole

    def take_no_whole(self, column: str, values: Sequence[object], wrong: Mask) -> None:
        """Record what is no whole number; None where there is nothing."""
        reason = "no_key" if self.rules.is_key(column) else "not_a_whole_number"
        self.take(column, wrong, reason, lambda at: f"{values[at]}: expected a whole number")

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
    whole = [column for column in rules.columns if rules.kind(column) == "int"]
    for column in whole:
        values = rows.column(place[column])
        if values.type == pa.int64():
            if rules.is_key(column) and values.null_count:
                sieve.take_no_whole(column, values, values.is_null().to_numpy())
            continue
        numbers = values.to_numpy()
        missing = np.isnan(numbers)
        wrong = np.where(missing, rules.is_key(column), ~is_whole(numbers))
        if wrong.any():
            sieve.take_no_whole(column, values.to_pylist(), wrong)
            if rules.may_be_null(column):
                nulled = pa.array(numbers, mask=missing | wrong)
                rows = rows.set_column(place[column], column, nulled)
    kept = rows if sieve.good.all() else rows.filter(pa.array(sieve.good))
    return TableChunk(cast(kept, dict.fromkeys(whole, pa.int64())), sieve.rejections())


def is_whole(numbers: npt.NDArray[np.float64]) -> Mask:
    """Which numbers are whole and exact as float64; nothing is not."""
    whole: Mask = (np.floor(numbers) == numbers) & (np.abs(numbers) <= LARGEST_WHOLE)
    return whole


def cast(rows: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with some columns cast; in one go, since a copy for each is slow when wide."""
    columns = zip(rows.column_names, rows.columns, strict=True)
    done = [pc.cast(values, types[name]) if name in types else values for name, values in columns]
    return pa.table(done, names=rows.column_names)


def without_null_words(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts with null for those that stand for no value."""
    nothing = pc.is_in(texts, value_set=pa.array(NULLS))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), texts)


def numbered(rows: pa.Table, before: int) -> pa.Table:
    """Add `SOURCE_ROW` to rows of which none was left out so far."""
    numbers = np.arange(before + 1, before + rows.num_rows + 1, dtype=np.int64)
    return rows.append_column(SOURCE_ROW, pa.array(numbers))
