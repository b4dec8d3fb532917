"""The SQL that reads a table in DuckDB, Spark or Trino, to be run there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.errors import QueryError
from cp_assets.warehouse.sql_names import Picked, SqlSource, pick
from cp_assets.warehouse.view_sql import LINKS, VIEW_PARTS, joined_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyiceberg.table import Table

    from cp_assets.warehouse.query import Selection


@dataclass(frozen=True)
class Dialect:
    """How an engine writes SQL.

    Attributes
    ----------
    quotes
        What stands around names.
    escapes
        Whether a backslash in a text is a sign of its own.
    catalog
        What our documentation calls the catalog in this engine; None where a table is read by its
        metadata file.
    case
        A statement after which names that differ in letter case only are different names.
    """

    quotes: str
    escapes: bool = False
    catalog: str | None = None
    case: str | None = None

    def name(self, name: str) -> str:
        """A name as the engine reads it, whatever it holds."""
        return self.quotes + name.replace(self.quotes, self.quotes * 2) + self.quotes

    def text(self, text: str) -> str:
        """A text as the engine reads it, whatever it holds."""
        if self.escapes:
            escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        else:
            escaped = text.replace("'", "''")
        return f"'{escaped}'"


DIALECTS = {
    "duckdb": Dialect('"'),
    "spark": Dialect(
        "`", escapes=True, catalog="cp-assets", case="SET spark.sql.caseSensitive = true"
    ),
    "trino": Dialect('"', catalog="cp_assets"),
}


def needed_tables(name: str) -> Sequence[str]:
    """The tables that a statement for this one reads."""
    return tuple(VIEW_PARTS.values()) if name == LINKS else (name,)


def engine_sql(
    tables: Mapping[str, Table],
    selection: Selection,
    engine: str,
    catalog: str | None = None,
) -> str:
    """The statement that reads a selection in an engine; the view's has its join.

    Parameters
    ----------
    tables
        `needed_tables` of the selection, by name.
    selection
        Its predicate in SQL, which is in DuckDB's dialect, is left out.
    engine
        One of `DIALECTS`.
    catalog
        Where the engine finds the tables; None for names of namespace and table alone, and, in
        DuckDB, for metadata files.

    Raises
    ------
    QueryError
        If the table has no such column, or the engine cannot tell columns apart.
    """
    dialect = DIALECTS[engine]
    sources = {name: _source(name, table, dialect, catalog) for name, table in tables.items()}
    if selection.table == LINKS:
        aliases: Sequence[str] = tuple(VIEW_PARTS)
        columns, rows = joined_rows(sources, dialect.name)
    else:
        aliases = ("t",)
        columns = pick({"t": sources[selection.table]}, dialect.name)
        rows = f"{sources[selection.table].sql} t"
    wanted = list(selection.columns or columns.names)
    before = _told_apart(selection.table, wanted, columns, engine)
    picked = ",\n  ".join(columns.expressions[name] for name in wanted)
    limit = "" if selection.limit is None else f"\nLIMIT {selection.limit}"
    return f"{before}SELECT\n  {picked}\nFROM {rows}{_where(selection, aliases, dialect)}{limit}"


def _source(name: str, table: Table, dialect: Dialect, catalog: str | None) -> SqlSource:
    columns = [field.name for field in table.schema().fields]
    if catalog is None and dialect is DIALECTS["duckdb"]:
        sql = f"iceberg_scan({dialect.text(table.metadata_location)})"
    else:
        parts = ([] if catalog is None else [catalog]) + name.split(".", 1)
        sql = ".".join(map(dialect.name, parts))
    return SqlSource(sql, dict(zip(columns, columns, strict=True)))


def _told_apart(table: str, wanted: Sequence[str], columns: Picked, engine: str) -> str:
    """What must stand before the statement for the engine to find the columns.

    Raises
    ------
    QueryError
        If it cannot find them.
    """
    for name in wanted:
        if name not in columns.names:
            msg = f"{table} has no column {name!r}; names are spelled as `cp-assets read` has them"
            raise QueryError(msg)
    spelled = Counter(name.lower() for name in columns.names)
    alike = [name for name in wanted if spelled[name.lower()] > 1]
    case = DIALECTS[engine].case
    if alike and case is None:
        msg = (
            f"{table}: {' and '.join(alike[:4])} differ from each other, or from other columns, in "
            f"letter case only, which {engine} does not tell apart; name other columns"
        )
        raise QueryError(msg)
    return f"{case};\n" if alike else ""


def _where(selection: Selection, aliases: Sequence[str], dialect: Dialect) -> str:
    """The predicates: of plates for each table that is joined, so that each is pruned."""
    plates = [(alias, selection.plate_terms()) for alias in aliases]
    terms = [
        _is_in(f"{alias}.{dialect.name(name)}", values, dialect)
        for alias, wanted in [*plates, (aliases[0], selection.row_terms())]
        for name, values in wanted.items()
    ]
    return f"\nWHERE {' AND '.join(terms)}" if terms else ""


def _is_in(column: str, values: Sequence[str], dialect: Dialect) -> str:
    if len(values) == 1:
        return f"{column} = {dialect.text(values[0])}"
    return f"{column} IN ({', '.join(map(dialect.text, values))})"
