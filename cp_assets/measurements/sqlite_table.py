"""Reading one table of an SQLite database into typed columns.

SQLite has types for values, not for columns, and the driver takes a column's type from the first
rows. So a row of our own types is put in front of each chunk. Where a value does not fit - text in
a feature, 109.0 for a whole number - the chunk is read again with such values aside, as text; from
then on that is done for those columns only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager import Error as DatabaseError

from cp_assets.datasets.databases import Database, open_database, quoted
from cp_assets.errors import MeasurementError
from cp_assets.measurements.chunks import (
    ARROW,
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
from cp_assets.measurements.columns import SOURCE_ROW, ColumnKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cp_assets.datasets.model import TableFile
    from cp_assets.rejections import Rejection

_WHOLE_TABLE = 10**9
_VALUE_BYTES = 8
_FIRST_ROW = {"float": "0.0", "int": "0", "string": "''"}
_BLOB = "'blob ' || hex(substr({0}, 1, 16))"
_FITTING = {
    "float": "CASE WHEN typeof({0}) IN ('real', 'integer') THEN {0} END",
    "int": "CASE WHEN typeof({0}) = 'integer' THEN {0} END",
    "string": "CAST({0} AS TEXT)",
}
_MISFITS = {
    "float": f"CASE typeof({{0}}) WHEN 'text' THEN {{0}} WHEN 'blob' THEN {_BLOB} END",
    "int": (
        "CASE typeof({0}) WHEN 'text' THEN {0} WHEN 'real' THEN printf('%!.17g', {0}) "
        f"WHEN 'blob' THEN {_BLOB} END"
    ),
}


def read_sqlite_chunks(
    file: TableFile,
    table: TableName,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
    only: Iterable[str] | None = None,
) -> Iterator[TableChunk]:
    """Read a table in its stored order, at least one piece, in one transaction.

    Rows of a table of several compartments without the compartment's object number are no objects
    of it, and are passed over.

    Parameters
    ----------
    chunk_bytes
        Size of a piece in bytes; None for the whole table at once.
    only
        The columns to read; None for all.

    Raises
    ------
    MeasurementError
        If the database cannot be read, or the table lacks a key column.
    InputChangedError
        If the database changes while it is read.
    """
    stored = file.table or ""
    with open_database(file.path, table.name) as database:
        rules = table_rules(table, _columns(database, stored, table.name), overrides, only)
        reader = _Reader(database, stored, rules)
        width = max(1, len(rules.stored)) * _VALUE_BYTES
        at_once = _WHOLE_TABLE if chunk_bytes is None else max(1, chunk_bytes // width)
        left_out = rules.columns_left_out()
        rows_before = 0
        for where, rows in _places(database, stored, reader.row_id, at_once):
            piece = reader.read(where, rows, rows_before)
            rows_before += rows
            yield replace(piece, rejections=(*left_out, *piece.rejections))
            left_out = ()
        if not rows_before:
            yield without_rows(table, "header_only", "the table has columns and no row")


def read_sqlite_header(file: TableFile, table: TableName) -> list[str]:
    """Columns of a table, under CellProfiler's names.

    Raises
    ------
    MeasurementError
        If the database cannot be read, or the table lacks a key column.
    """
    with open_database(file.path, table.name) as database:
        return table_rules(table, _columns(database, file.table or "", table.name)).header


def _columns(database: Database, stored: str, name: str) -> list[str]:
    tables = database.tables()
    if stored not in tables:
        msg = f"{name}: the database has no table {stored}; it has: {', '.join(tables) or 'none'}"
        raise MeasurementError(msg)
    return database.columns(stored)


def _places(
    database: Database, stored: str, row_id: str | None, at_once: int
) -> Iterator[tuple[str, int]]:
    """The end of a query that reads some rows, and their number, until all are read.

    By row id where there is one: each piece is found at once, and comes in stored order.
    """
    table = quoted(stored)
    if row_id is None:
        (total,) = database.query(f"SELECT count(*) AS n FROM {table}")["n"].to_pylist()
        for start in range(0, total, at_once):
            rows = min(at_once, total - start)
            # In brackets: behind a UNION a limit is that of the whole.
            yield f"FROM (SELECT * FROM {table} LIMIT {rows} OFFSET {start})", rows
        return
    start = -(2**63)
    while True:
        (found,) = database.query(
            f"SELECT max(r) AS last, count(*) AS n FROM (SELECT {row_id} AS r FROM {table} "
            f"NOT INDEXED WHERE {row_id} >= {start} ORDER BY {row_id} LIMIT {at_once})"
        ).to_pylist()
        if not found["n"]:
            return
        end = found["last"]
        yield f"FROM {table} NOT INDEXED WHERE {row_id} BETWEEN {start} AND {end}", found["n"]
        if end == 2**63 - 1:
            return
        start = end + 1


@dataclass
class _Reader:
    """Reads pieces of one table; remembers in which columns values were found that do not fit."""

    database: Database
    stored: str
    rules: TableRules
    _mixed: set[str] = field(default_factory=set)

    @property
    def row_id(self) -> str | None:
        """A name of the row id; None for views and tables that have none."""
        taken = {column.lower() for column in self.database.columns(self.stored)}
        names = [name for name in ("_rowid_", "rowid", "oid") if name not in taken]
        if not names or self.database.tables()[self.stored] != "table":
            return None
        try:
            self.database.query(f"SELECT {names[0]} FROM {quoted(self.stored)} LIMIT 0")
        except (DatabaseError, OSError):
            return None
        return names[0]

    def read(self, where: str, rows: int, rows_before: int) -> TableChunk:
        """Typed rows of one piece."""
        kinds = {column: self.rules.kind(column) for column in self.rules.stored.values()}
        found = self._query(kinds, self._mixed, where, rows)
        if found is None:
            # Something new does not fit: it is looked for in all columns, once.
            numeric = {column for column, kind in kinds.items() if kind != "string"}
            return self._with_misfits(numeric, where, rows, rows_before)
        if self._mixed:
            return self._with_misfits(self._mixed, where, rows, rows_before, found)
        return self._finished(self._texts_checked(found, rows_before))

    def _with_misfits(
        self,
        suspects: set[str],
        where: str,
        rows: int,
        rows_before: int,
        fitting: pa.Table | None = None,
    ) -> TableChunk:
        """Rows of which some values are written as text, or are no numbers."""
        kinds = {column: self.rules.kind(column) for column in self.rules.stored.values()}
        if fitting is None:
            fitting = self._query(kinds, suspects, where, rows)
        texts = self._query(
            {column: kind for column, kind in kinds.items() if column in suspects},
            suspects,
            where,
            rows,
            misfits=True,
        )
        if fitting is None or texts is None:
            msg = f"{self.rules.table.name}: values have no type of SQLite's; export it again"
            raise MeasurementError(msg)
        numbers = self._texts_checked(fitting, rows_before)
        sieve = Sieve(self.rules, numbers[SOURCE_ROW])
        named = dict(zip(numbers.column_names, numbers.columns, strict=True))
        for column in texts.column_names:
            if texts[column].null_count == rows:
                continue
            self._mixed.add(column)
            values = numbers_of_text(column, _valid(texts[column], self.rules), sieve)
            named[column] = pc.coalesce(named[column], values)
        kept = pa.table(named).filter(pa.array(sieve.good))
        return self._finished(kept, sieve.faults)

    def _finished(self, rows: pa.Table, faults: Iterable[Rejection] = ()) -> TableChunk:
        rows = self.rules.complete(rows)
        if self.rules.table.beside and self.rules.table.compartment != "Image":
            rows = rows.filter(pc.is_valid(rows["ObjectNumber"]))
        return with_whole_numbers(self.rules, rows, faults)

    def _query(
        self,
        kinds: Mapping[str, ColumnKind],
        suspects: set[str],
        where: str,
        rows: int,
        *,
        misfits: bool = False,
    ) -> pa.Table | None:
        """Some columns of one piece; None if a value does not fit the column's type."""
        places = {column: stored for stored, column in self.rules.stored.items()}
        # SQLite reads a row's header as far as the column asked for, and again for each further
        # one. With the last column first it is read once: 8 times faster with 2,000 columns.
        order = list(kinds)
        order = [*order[-1:], *order[:-1]]
        selected = []
        for column in order:
            name, kind = quoted(places[column]), kinds[column]
            if misfits:
                selected.append(_MISFITS[kind].format(name))
            elif kind == "string" or column in suspects:
                selected.append(_FITTING[kind].format(name))
            else:
                selected.append(name)
        types = ["string" if misfits else kinds[column] for column in order]
        first = ", ".join(f"{_FIRST_ROW[kind]} AS c{at}" for at, kind in enumerate(types))
        sql = f"SELECT {first} UNION ALL SELECT {', '.join(selected)} {where}"
        try:
            found = self.database.query(sql, batch_rows=rows + 1)
        except OSError as error:
            if "Type mismatch" in str(error):
                return None
            raise
        if found.schema.types != [ARROW[kind] for kind in types]:
            return None
        return found.slice(1).rename_columns(order).select(list(kinds))

    def _texts_checked(self, rows: pa.Table, rows_before: int) -> pa.Table:
        """Rows with their numbers, whose texts are UTF-8 and hold no words for nothing."""
        named = dict(zip(rows.column_names, rows.columns, strict=True))
        for column, values in named.items():
            if values.type == pa.string():
                named[column] = without_null_words(_valid(values, self.rules))
        return numbered(pa.table(named), rows_before)


def _valid(texts: pa.ChunkedArray, rules: TableRules) -> pa.ChunkedArray:
    """Texts as they are, once they are known to be UTF-8; SQLite does not check.

    Raises
    ------
    MeasurementError
        If they are not.
    """
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        msg = f"{rules.table.name} holds text that is not UTF-8 ({error}); export it again"
        raise MeasurementError(msg) from error
    return texts
