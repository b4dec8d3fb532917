"""Typed rows of a measurement table, whatever its dialect, and the books of what is none.

Columns have CellProfiler's names and the types that the names give. A value that does not fit costs
its row, or in an Image table itself alone, and is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.csv_text import NULLS
from cp_assets.datasets.presets import CELLPROFILER_CSV, KEYS, Preset
from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import (
    ADDED,
    IMAGE_SET_KEYS,
    SOURCE_ROW,
    ColumnKind,
    column_kind,
)
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cp_assets.rejections import Outcome

Mask = npt.NDArray[np.bool_]

CHUNK_BYTES = 64 * 2**20
"""Bytes of an object table that are read at once."""

NUMBER = r"^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|INF|Inf(?:inity)?)\s*$"

_DIGITS = r"^\s*-?\d{1,18}\s*$"
_LARGEST_WHOLE = 2.0**53
"""Beyond it float64, in which integers that are no int64 are read, has gaps."""

ARROW: dict[ColumnKind, pa.DataType] = {
    "float": pa.float64(),
    "int": pa.int64(),
    "string": pa.string(),
}


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

    def only(self, columns: Iterable[str] | None) -> TableChunk:
        """Of the columns these, and `SOURCE_ROW`; None for all."""
        if columns is None:
            return self
        wanted = {*columns, SOURCE_ROW}
        kept = [name for name in self.rows.column_names if name in wanted]
        return TableChunk(self.rows.select(kept), self.rejections)


@dataclass(frozen=True)
class TableName:
    """Which table is meant: as books and errors name it, its compartment, and its dialect.

    Attributes
    ----------
    beside
        The other compartments of the same table.
    """

    name: str
    compartment: str
    preset: Preset = CELLPROFILER_CSV
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableRules:
    """What a table's columns are, and what their faults cost.

    Attributes
    ----------
    names
        CellProfiler's name of a column -> its name in the table, see `Preset.canonical`.
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule by name is wrong.
    only
        The columns to read; None for all.
    """

    table: TableName
    names: Mapping[str, str]
    overrides: Mapping[str, str] = field(default_factory=dict)
    only: frozenset[str] | None = None

    @property
    def header(self) -> list[str]:
        """All columns of the table."""
        return list(self.names)

    @cached_property
    def columns(self) -> list[str]:
        """The columns to read."""
        wanted = (name for name in self.names if name not in ADDED)
        return [name for name in wanted if self.only is None or name in self.only]

    @cached_property
    def stored(self) -> dict[str, str]:
        """Name in the table -> the first column that is read from it."""
        found: dict[str, str] = {}
        for column in self.columns:
            found.setdefault(self.names[column], column)
        return found

    def complete(self, rows: pa.Table) -> pa.Table:
        """The rows of `stored` with those columns too that repeat one of them, in order."""
        if rows.column_names[: len(self.columns)] == self.columns:
            return rows
        found = {one: rows[self.stored[self.names[one]]] for one in self.columns}
        beyond = [name for name in rows.column_names if name == SOURCE_ROW]
        return pa.table(found | {name: rows[name] for name in beyond})

    def columns_left_out(self) -> tuple[Rejection, ...]:
        """One rejection for each column whose name is taken."""
        return tuple(
            Rejection(
                kind="file",
                reason="column_name_taken",
                detail=(
                    f"{name} is a column that every row is given, so the file's own is left out; "
                    "name it otherwise to keep it"
                ),
                outcome="incomplete",
                compartment=self.table.compartment,
                source_file=self.table.name,
            )
            for name in self.header
            if name in ADDED
        )

    def kind(self, column: str) -> ColumnKind:
        """What a column holds."""
        return column_kind(column, self.overrides)

    def is_key(self, column: str) -> bool:
        """Whether a row without this value is nobody's."""
        is_object = column == "ObjectNumber" and self.table.compartment != "Image"
        return column in IMAGE_SET_KEYS or is_object

    def may_be_null(self, column: str) -> bool:
        """Whether a value that cannot be used costs its cell alone, not the row.

        A row of the Image table is needed by all objects of its image set; whole numbers there,
        such as ``Frame_DNA``, only describe it.
        """
        is_int = self.kind(column) == "int"
        return self.table.compartment == "Image" and is_int and not self.is_key(column)

    def rejection(
        self, reason: str, detail: str, row: int | None, outcome: Outcome = "rejected"
    ) -> Rejection:
        """One row, or one value of it, that cannot be used."""
        return Rejection(
            kind="row",
            reason=reason,
            detail=detail,
            outcome=outcome,
            compartment=self.table.compartment,
            source_file=self.table.name,
            source_row=row,
        )


def table_rules(
    table: TableName,
    header: Sequence[str],
    overrides: Mapping[str, str] | None = None,
    only: Iterable[str] | None = None,
) -> TableRules:
    """The rules of a table that has these columns.

    Raises
    ------
    MeasurementError
        If the table lacks a key column or repeats a column.
    """
    name, preset = table.name, table.preset
    if len(set(header)) < len(header):
        repeated = next(column for column in header if header.count(column) > 1)
        msg = f"{name} has the column {repeated!r} more than once; expected each column once"
        raise MeasurementError(msg)
    names = preset.canonical(table.compartment, header, table.beside)
    needed = KEYS[:1] if table.compartment == "Image" else KEYS
    missing = [key for key in needed if key not in names]
    if missing:
        msg = (
            f"{name} has no column {' and no column '.join(missing)}, which identifies its rows; "
            f"expected a table of {preset.doc or preset.name}. Export it again with these columns, "
            "or say in the preset how they are called"
        )
        raise MeasurementError(msg)
    return TableRules(table, names, overrides or {}, None if only is None else frozenset(only))


def together(chunks: Iterable[TableChunk]) -> TableChunk:
    """A whole table that was read in pieces."""
    found = list(chunks)
    rows = pa.concat_tables([chunk.rows for chunk in found], promote_options="default")
    return TableChunk(rows, tuple(fault for chunk in found for fault in chunk.rejections))


def without_rows(table: TableName, reason: str, detail: str) -> TableChunk:
    """No rows, and why."""
    rejection = Rejection(
        kind="file",
        reason=reason,
        detail=detail,
        outcome="rejected" if reason == "empty_file" else "incomplete",
        compartment=table.compartment,
        source_file=table.name,
    )
    return TableChunk(pa.table({SOURCE_ROW: pa.array([], pa.int64())}), (rejection,))


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
                self.faults.append(self.rules.rejection(reason, text, row, "incomplete"))
            else:
                self.faults.append(self.rules.rejection(reason, detail, row))
        if not self.rules.may_be_null(column):
            self.good &= ~wrong

    def take_no_numbers(self, column: str, texts: pa.ChunkedArray, wrong: Mask) -> None:
        """Record texts that are no number."""
        expected = "expected a number. If the column holds text, say so under column_types"
        self.take(column, wrong, "not_a_number", lambda at: f"{texts[at].as_py()!r}: {expected}")

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
    whole: Mask = (np.floor(numbers) == numbers) & (np.abs(numbers) <= _LARGEST_WHOLE)
    return whole


def cast(rows: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with some columns cast; in one go, since a copy for each is slow when wide."""
    columns = zip(rows.column_names, rows.columns, strict=True)
    done = [pc.cast(values, types[name]) if name in types else values for name, values in columns]
    return pa.table(done, names=rows.column_names)


def numbers_of_text(column: str, texts: pa.ChunkedArray, sieve: Sieve) -> pa.ChunkedArray:
    """Numbers that are written as text, float64 or int64 as the column's kind; faults are recorded.

    Whole numbers are exact up to 18 digits.
    """
    texts = without_null_words(texts)
    is_number = pc.match_substring_regex(texts, NUMBER)
    sieve.take_no_numbers(column, texts, pc.invert(pc.fill_null(is_number, True)).to_numpy())
    good = pc.utf8_trim_whitespace(pc.if_else(pc.fill_null(is_number, False), texts, None))
    numbers = pc.cast(good, pa.float64())
    if sieve.rules.kind(column) != "int":
        return numbers
    as_floats = numbers.to_numpy()
    exact = pc.fill_null(pc.match_substring_regex(good, _DIGITS), False)
    wrong = ~(is_whole(as_floats) | exact.to_numpy() | np.isnan(as_floats))
    if wrong.any():
        sieve.take_no_whole(column, numbers.to_pylist(), wrong)
    by_float = pc.cast(
        pa.chunked_array([pa.array(as_floats, mask=~is_whole(as_floats))]), pa.int64()
    )
    return pc.coalesce(pc.cast(pc.if_else(exact, good, None), pa.int64()), by_float)


def without_null_words(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts with null for those that stand for no value."""
    nothing = pc.is_in(texts, value_set=pa.array(NULLS))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), texts)


def numbered(rows: pa.Table, before: int) -> pa.Table:
    """Add `SOURCE_ROW` to rows of which none was left out so far."""
    numbers = np.arange(before + 1, before + rows.num_rows + 1, dtype=np.int64)
    return rows.append_column(SOURCE_ROW, pa.array(numbers))
