"""Which table is meant, what its columns are by their names, and what their faults cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.presets import CELLPROFILER_CSV, KEYS, Preset
from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import (
    ADDED,
    ARROW_TYPES,
    IMAGE_SET_KEYS,
    SOURCE_ROW,
    ColumnKind,
    column_kind,
)
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from cp_assets.rejections import Outcome

_VALUE_BYTES = 8


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

    def rejection(
        self, reason: str, detail: str, row: int | None = None, outcome: Outcome = "rejected"
    ) -> Rejection:
        """Record a row or a value of it, or the file where ``row`` is None."""
        return Rejection(
            kind="file" if row is None else "row",
            reason=reason,
            detail=detail,
            outcome=outcome,
            compartment=self.compartment,
            source_file=self.name,
            source_row=row,
        )

    def columns_left_out(self, taken: Iterable[str]) -> tuple[Rejection, ...]:
        """Record columns whose names are those of columns that are added."""
        detail = (
            "is a column that every row is given, so the file's own is left out; "
            "name it otherwise to keep it"
        )
        return tuple(
            self.rejection("column_name_taken", f"{column} {detail}", outcome="incomplete")
            for column in taken
        )


@dataclass(frozen=True)
class ColumnRules:
    """What a table's columns are, and what their faults cost.

    Attributes
    ----------
    kinds
        All columns of the table, by CellProfiler's names -> what they hold.
    keys
        Whole numbers without which a row is nobody's.
    optional
        Columns of which a value that cannot be used costs itself alone, not the row. A row of the
        Image table is needed by all objects of its image set; numbers there that are no keys only
        describe it.
    """

    table: TableName
    kinds: Mapping[str, ColumnKind]
    keys: frozenset[str]
    optional: frozenset[str]


@dataclass(frozen=True)
class TableRules(ColumnRules):
    """The rules of a table of its own, and which of its columns are read.

    Attributes
    ----------
    columns
        The columns to read.
    stored
        Name in the table -> the first column that is read from it.
    sources
        Column to read -> its name in the table, see `Preset.canonical`.
    """

    columns: tuple[str, ...]
    stored: Mapping[str, str]
    sources: Mapping[str, str]

    @property
    def types(self) -> dict[str, pa.DataType]:
        """All columns of the table, with their types."""
        return {column: ARROW_TYPES[kind] for column, kind in self.kinds.items()}

    def columns_left_out(self) -> tuple[Rejection, ...]:
        """One rejection for each column whose name is taken."""
        return self.table.columns_left_out(column for column in self.kinds if column in ADDED)

    def complete(self, rows: pa.Table) -> pa.Table:
        """The rows of `stored` with those columns too that repeat one of them, in order."""
        if len(self.stored) == len(self.columns):
            return rows
        found = {column: rows[self.stored[self.sources[column]]] for column in self.columns}
        return pa.table({**found, SOURCE_ROW: rows[SOURCE_ROW]})

    def rows_in(self, size: int) -> int:
        """Number of rows of about so many bytes, at least one."""
        return max(1, size // (max(1, len(self.stored)) * _VALUE_BYTES))


def table_rules(
    table: TableName,
    header: Sequence[str],
    overrides: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> TableRules:
    """The rules of a table that has these columns.

    Parameters
    ----------
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule by name is wrong.
    only
        The columns to read; None for all.

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
    said = tuple(sorted((overrides or {}).items()))
    wanted = None if only is None else frozenset(only)
    rules = _rules_of_header(replace(table, name=""), tuple(header), said, wanted)
    needed = KEYS[:1] if table.compartment == "Image" else KEYS
    missing = [key for key in needed if key not in rules.kinds]
    if missing:
        msg = (
            f"{name} has no column {' and no column '.join(missing)}, which identifies its rows; "
            f"expected a table of {preset.doc or preset.name}. Export it again with these columns, "
            "or say in the preset how they are called"
        )
        raise MeasurementError(msg)
    return replace(rules, table=table)


@lru_cache(maxsize=16)
def _rules_of_header(
    table: TableName,
    header: tuple[str, ...],
    overrides: tuple[tuple[str, str], ...],
    only: frozenset[str] | None,
) -> TableRules:
    """A plate has thousands of tables of a few headers, each of thousands of columns."""
    names = table.preset.canonical(table.compartment, header, table.beside)
    chosen = dict(overrides)
    kinds = {column: column_kind(column, chosen) for column in names}
    columns = [one for one in names if one not in ADDED and (only is None or one in only)]
    stored: dict[str, str] = {}
    for column in columns:
        stored.setdefault(names[column], column)
    is_image = table.compartment == "Image"
    keys = frozenset(IMAGE_SET_KEYS if is_image else (*IMAGE_SET_KEYS, "ObjectNumber"))
    numbers = {column for column, kind in kinds.items() if kind != "string"}
    optional = frozenset(numbers - keys if is_image else ())
    sources = {column: names[column] for column in columns}
    return TableRules(table, kinds, keys, optional, tuple(columns), stored, sources)
