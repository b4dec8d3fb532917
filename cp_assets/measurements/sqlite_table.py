"""One table of an SQLite database.

SQLite has types for values, not for columns, and the driver takes a column's type from the first
rows. So a row of our own types is put in front of each chunk. Where a value does not fit - text in
a feature, 109.0 for a whole number - the chunk is read again with such values aside, as text; from
then on that is done for those columns only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager import Error as DatabaseError

from cp_assets.datasets.databases import Database, ask_schema, open_database, quoted
from cp_assets.errors import MeasurementError
from cp_assets.measurements import text_of_numbers
from cp_assets.measurements.chunks import (
    CHUNK_BYTES,
    Sieve,
    TableChunk,
    in_books,
    numbered,
    with_whole_numbers,
    without_null_words,
    without_rows,
)
from cp_assets.measurements.columns import ARROW_TYPES, SOURCE_ROW
from cp_assets.measurements.table_rules import TableRules, table_rules
from cp_assets.measurements.table_source import TableSource

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from cp_assets.rejections import Rejection

_WHOLE_TABLE = 10**9
_FIRST_ROW = {"float": "0.0", "int": "0", "string": "''"}
_BLOB = "'blob ' || hex(substr({0}, 1, 16))"
_FITTING = {
    "float": "CASE WHEN typeof({0}) IN ('real', 'integer') THEN {0} END",
    "int": "CASE WHEN typeof({0}) = 'integer' THEN {0} END",
    "string": text_of_numbers.SQL,
}
_MISFITS = {
    "float": f"CASE typeof({{0}}) WHEN 'text' THEN {{0}} WHEN 'blob' THEN {_BLOB} END",
    "int": (
        # Beyond 2^53 a real may have lost digits, so that they are not written as such.
        "CASE typeof({0}) WHEN 'text' THEN {0} WHEN 'real' THEN "
        "printf(CASE WHEN abs({0}) > 9007199254740992 THEN '%!.16e' ELSE '%!.17g' END, {0}) "
        f"WHEN 'blob' THEN {_BLOB} END"
    ),
}


@dataclass(frozen=True)
class SqliteTable(TableSource):
    """A table or view of an SQLite database, read in one transaction.

    Rows of a table of several compartments without the compartment's object number are no objects
    of it, and are passed over.
    """

    def types(self) -> dict[str, pa.DataType]:
        """By the names alone, whatever types the database declares."""
        columns = ask_schema(self.file.path, self.table.name, self._columns)
        return table_rules(self.table, columns, self.overrides).types

    def chunks(
        self, chunk_bytes: int | None = CHUNK_BYTES, only: Collection[str] | None = None
    ) -> Iterator[TableChunk]:
        """Of about so many bytes of numbers."""
        with open_database(self.file.path, self.table.name) as database:
            # Which rows are the compartment's, its object numbers say.
            needed = {*only, "ObjectNumber"} if only and self.table.beside else only
            rules = table_rules(self.table, self._columns(database), self.overrides, needed)
            reader = _Reader(database, self.file.table or "", rules)
            rows = _WHOLE_TABLE if chunk_bytes is None else rules.rows_in(chunk_bytes)
            told = "the table has columns and no row"
            nothing = without_rows(self.table, "header_only", told)
            chunks = in_books(reader.chunks(rows), rules.columns_left_out(), nothing)
            yield from (chunk.only(only) for chunk in chunks)

    def _columns(self, database: Database) -> list[str]:
        stored, tables = self.file.table or "", database.tables()
        if stored not in tables:
            there = ", ".join(tables) or "none"
            msg = f"{self.table.name}: the database has no table {stored}; it has: {there}"
            raise MeasurementError(msg)
        return database.columns(stored)


class _Piece(NamedTuple):
    """Some rows of a table: the end of a query that reads them, and their number."""

    where: str
    rows: int
    rows_before: int


@dataclass
class _Reader:
    """Reads pieces of one table; remembers in which columns values were found that do not fit."""

    database: Database
    stored: str
    rules: TableRules
    _mixed: set[str] = field(default_factory=set)

    def chunks(self, at_once: int) -> Iterator[TableChunk]:
        """The table in chunks of so many rows."""
        row_id = self._row_id()
        pieces = self._pieces(at_once) if row_id is None else self._pieces_by(row_id, at_once)
        return map(self._chunk, pieces)

    def _pieces(self, at_once: int) -> Iterator[_Piece]:
        table = quoted(self.stored)
        (total,) = self.database.query(f"SELECT count(*) AS n FROM {table}")["n"].to_pylist()
        for start in range(0, total, at_once):
            rows = min(at_once, total - start)
            # In brackets: behind a UNION a limit is that of the whole.
            where = f"FROM (SELECT * FROM {table} LIMIT {rows} OFFSET {start})"
            yield _Piece(where, rows, start)

    def _pieces_by(self, row_id: str, at_once: int) -> Iterator[_Piece]:
        """Each is found at once, and comes in stored order."""
        table, start, rows_before = f"{quoted(self.stored)} NOT INDEXED", -(2**63), 0
        while start < 2**63:
            (found,) = self.database.query(
                f"SELECT max(r) AS last, count(*) AS n FROM (SELECT {row_id} AS r FROM {table} "
                f"WHERE {row_id} >= {start} ORDER BY {row_id} LIMIT {at_once})"
            ).to_pylist()
            if not found["n"]:
                return
            where = f"FROM {table} WHERE {row_id} BETWEEN {start} AND {found['last']}"
            yield _Piece(where, found["n"], rows_before)
            start, rows_before = found["last"] + 1, rows_before + found["n"]

    def _row_id(self) -> str | None:
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

    def _chunk(self, piece: _Piece) -> TableChunk:
        """Typed rows of one piece."""
        columns = list(self.rules.stored.values())
        found = self._query(columns, self._mixed, piece)
        suspects = self._mixed
        if found is None:
            # Something new does not fit: it is looked for in all columns, once.
            suspects = {column for column in columns if self.rules.kinds[column] != "string"}
            found = self._query(columns, suspects, piece)
        misfits = [column for column in columns if column in suspects]
        texts = self._query(misfits, suspects, piece, misfits=True) if misfits else pa.table({})
        if found is None or texts is None:
            msg = f"{self.rules.table.name}: values have no type of SQLite's; export it again"
            raise MeasurementError(msg)
        rows = self._texts_checked(found, piece.rows_before)
        return self._with_misfits(rows, texts) if misfits else self._finished(rows)

    def _with_misfits(self, rows: pa.Table, texts: pa.Table) -> TableChunk:
        """Rows with the values that are written as text, or are no numbers."""
        sieve = Sieve(self.rules, rows[SOURCE_ROW])
        named = dict(zip(rows.column_names, rows.columns, strict=True))
        for column in texts.column_names:
            if texts[column].null_count == rows.num_rows:
                continue
            self._mixed.add(column)
            values = sieve.numbers_of_text(column, _valid(texts[column], self.rules))
            named[column] = pc.coalesce(named[column], values)
        kept = pa.table(named).filter(pa.array(sieve.good))
        return self._finished(kept, sieve.faults)

    def _finished(self, rows: pa.Table, faults: Iterable[Rejection] = ()) -> TableChunk:
        rows = self.rules.complete(rows)
        if self.rules.table.beside and self.rules.table.compartment != "Image":
            rows = rows.filter(pc.is_valid(rows["ObjectNumber"]))
        return with_whole_numbers(self.rules, rows, faults)

    def _query(
        self, columns: Sequence[str], suspects: set[str], piece: _Piece, *, misfits: bool = False
    ) -> pa.Table | None:
        """Some columns of one piece; None if a value does not fit the column's type.

        What does not fit is null in ``suspects``, or, with ``misfits``, all that is not.
        """
        # SQLite reads a row's header as far as the column asked for, and again for each further
        # one. With the last column first it is read once: 8 times faster with 2,000 columns.
        order = [*columns[-1:], *columns[:-1]]
        selected: list[str] = []
        for column in order:
            name, kind = quoted(self.rules.sources[column]), self.rules.kinds[column]
            is_plain = kind != "string" and column not in suspects
            chosen = _MISFITS[kind] if misfits else "{0}" if is_plain else _FITTING[kind]
            selected.append(chosen.format(name))
        types = ["string" if misfits else self.rules.kinds[column] for column in order]
        first = ", ".join(f"{_FIRST_ROW[kind]} AS c{at}" for at, kind in enumerate(types))
        sql = f"SELECT {first} UNION ALL SELECT {', '.join(selected)} {piece.where}"
        try:
            found = self.database.query(sql, batch_rows=piece.rows + 1)
        except OSError as error:
            if "Type mismatch" in str(error):
                return None
            raise
        if found.schema.types != [ARROW_TYPES[kind] for kind in types]:
            return None
        return found.slice(1).rename_columns(order).select(list(columns))

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
