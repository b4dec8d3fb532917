"""Reading: Iceberg plans which files hold the rows, DuckDB reads the columns asked for.

The files of the current snapshot become a pyarrow dataset with the table's schema, so that a column
that a plate lacks is null, and DuckDB pushes projection and predicate into it. Where objects are
asked for by their ids, the dataset has only the row groups that hold them. DuckDB's own Iceberg
reader is an extension fetched at run time; nothing here depends on one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads

from cp_assets.datasets.databases import quoted
from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.errors import QueryError
from cp_assets.warehouse.lookup import OBJECT_ID, DataFiles
from cp_assets.warehouse.sql_names import SqlSource, register
from cp_assets.warehouse.view_sql import LINKS, VIEW_PARTS, joined_rows

if TYPE_CHECKING:
    from pyiceberg.table import Table


BATCH_ROWS = 1024
"""Rows of a batch that a scan yields: small, since a row may hold pixels."""

QUERY_ERRORS = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.ParserException,
)
"""What DuckDB raises where a column or a predicate is at fault, not a file."""

_SHOWN = 5

_OBJECTS_ONLY = re.compile(rf"\s*\"?{OBJECT_ID}\"?\s*=\s*'([^']*)'\s*", re.IGNORECASE)

_OneOrMore = str | int | Sequence[str] | Sequence[int] | None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which rows and columns of a table to read; see `Warehouse.read_table`."""

    table: str
    dataset: _OneOrMore = None
    batch: _OneOrMore = None
    plate: _OneOrMore = None
    well: _OneOrMore = None
    site: _OneOrMore = None
    object_id: str | Sequence[str] | None = None
    columns: Sequence[str] | None = None
    where: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.object_id is not None:
            object.__setattr__(self, "object_id", _object_ids(self.object_id))

    def plate_terms(self) -> dict[str, tuple[str, ...]]:
        """Partition column -> values to keep."""
        given = {"dataset_id": self.dataset, "batch_id": self.batch, "plate_id": self.plate}
        return {name: _values(value) for name, value in given.items() if value is not None}

    def row_terms(self) -> dict[str, tuple[str, ...]]:
        """Column -> values to keep, for wells and sites in their normal form."""
        terms: dict[str, tuple[str, ...]] = {}
        if self.well is not None:
            terms["well_id"] = tuple(normalise_well(well) or well for well in _values(self.well))
        if self.site is not None:
            terms["site_id"] = tuple(normalise_site(site) or site for site in _values(self.site))
        if self.object_id is not None:
            terms[OBJECT_ID] = _values(self.object_id)
        return terms

    def objects(self) -> tuple[str, ...] | None:
        """The only objects whose rows can match, or None where that is not known.

        Known from ``object_id``, and from a predicate that is ``Metadata_ObjectID = '...'``.
        """
        if self.object_id is not None:
            return _values(self.object_id)
        said = _OBJECTS_ONLY.fullmatch(self.where or "")
        return (said.group(1),) if said else None

    @property
    def is_lookup(self) -> bool:
        """Whether this asks for objects by their ids, and for nothing that only SQL can say."""
        by_id = self.where is None if self.object_id is not None else self.objects() is not None
        return by_id and self.table != LINKS


def _values(value: str | int | Sequence[str] | Sequence[int]) -> tuple[str, ...]:
    return (str(value),) if isinstance(value, str | int) else tuple(map(str, value))


def _object_ids(given: object) -> tuple[str, ...]:
    """Ids of objects, one or several.

    Raises
    ------
    QueryError
        If they are no text.
    """
    listed = given.to_pylist() if isinstance(given, pa.Array | pa.ChunkedArray) else given
    ids = (
        tuple(listed) if isinstance(listed, Iterable) and not isinstance(listed, str) else (given,)
    )
    if any(not isinstance(one, str) for one in ids):
        msg = f"object_id is {given!r}: expected a {OBJECT_ID} as text, or a sequence of them"
        raise QueryError(msg)
    return ids


def open_connection() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that spills to the system's temporary folder, not to the current one."""
    return duckdb.connect(config={"temp_directory": str(Path(gettempdir()) / "cp_assets-duckdb")})


def scan_selection(
    load: Callable[[str], Table], files: DataFiles, selection: Selection
) -> pa.RecordBatchReader:
    """Stream the rows of a selection.

    Parameters
    ----------
    load
        Gives the table of a name.
    files
        What is known of the warehouse's files.

    Raises
    ------
    QueryError
        If a column or the predicate does not fit the table.
    """
    if selection.is_lookup:
        found = _look_up(load(selection.table), files, selection)
        if found is not None:
            return found
    connection = open_connection()
    is_view = selection.table == LINKS
    terms, objects = selection.plate_terms(), selection.objects()
    parts = {
        name: register(connection, _alias(name), files.dataset(load(name), terms, objects))
        for name in (VIEW_PARTS.values() if is_view else (selection.table,))
    }
    source = _joined_rows(parts) if is_view else parts[selection.table]
    try:
        reader = connection.sql(select_sql(source, selection)).to_arrow_reader(BATCH_ROWS)
    except QUERY_ERRORS as error:
        msg = f"{selection.table} cannot be read with {_shown(selection)}: {told(error)}"
        raise QueryError(msg) from error
    return own_names(reader, source, selection)


def _look_up(table: Table, files: DataFiles, selection: Selection) -> pa.RecordBatchReader | None:
    """The rows without DuckDB, which takes longer to start than to find one cell.

    None where a column is not in the table under exactly that name: DuckDB tells what is wrong.
    """
    rows = files.dataset(table, selection.plate_terms(), selection.objects())
    columns = list(selection.columns or rows.schema.names)
    terms = {**selection.row_terms(), **selection.plate_terms()}
    terms[OBJECT_ID] = selection.objects() or ()
    if not set(rows.schema.names).issuperset((*columns, *terms)):
        return None
    keep = reduce(
        and_, (pads.field(name).isin(pa.array(v, pa.string())) for name, v in terms.items())
    )
    scanner = rows.scanner(columns=columns, filter=keep)
    if selection.limit is None:
        return scanner.to_reader()
    return scanner.head(_limit(selection.limit)).to_reader()


def own_names(
    reader: pa.RecordBatchReader, source: SqlSource, selection: Selection
) -> pa.RecordBatchReader:
    """The same rows under the names asked for, or the table's own; DuckDB may have others."""
    names = list(selection.columns or source.columns)
    if names == reader.schema.names:
        return reader
    schema = pa.schema([f.with_name(name) for f, name in zip(reader.schema, names, strict=True)])
    batches = (batch.rename_columns(names) for batch in reader)
    return pa.RecordBatchReader.from_batches(schema, batches)


def select_sql(source: SqlSource, selection: Selection) -> str:
    """The SELECT statement of a selection.

    Raises
    ------
    QueryError
        If a name is that of several columns in other letter case.
    """
    columns = ", ".join(map(source.column, selection.columns)) if selection.columns else "*"
    wanted = {**selection.row_terms(), **selection.plate_terms()}
    terms = [_is_in(source.column(name), values) for name, values in wanted.items()]
    if selection.where:
        terms.append(f"({source.predicate(selection.where)}\n)")
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    limit = f" LIMIT {_limit(selection.limit)}" if selection.limit is not None else ""
    return f"SELECT {columns} FROM {source.sql} AS t{where}{limit}"


def _limit(limit: int) -> int:
    if limit < 0:
        msg = f"limit is {limit}: expected a number of rows, 0 or more"
        raise QueryError(msg)
    return limit


def _joined_rows(parts: Mapping[str, SqlSource]) -> SqlSource:
    """The view's rows as one source."""
    columns, join = joined_rows(parts)
    chosen = ", ".join(columns.expressions.values())
    return SqlSource(f"(SELECT {chosen} FROM {join})", columns.names)


def connect(tables: Mapping[str, Table], files: DataFiles) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with these tables; see `Warehouse.duckdb`."""
    connection = open_connection()
    sources = {
        name: register(connection, _alias(name), files.dataset(loaded))
        for name, loaded in tables.items()
    }
    if set(VIEW_PARTS.values()) <= set(tables):
        sources[LINKS] = _joined_rows(sources)
    short = [name.split(".", 1)[1] for name in tables]
    for name, source in sources.items():
        namespace, table = name.split(".", 1)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(namespace)}")
        qualified = f"{quoted(namespace)}.{quoted(table)}"
        connection.execute(f"CREATE VIEW {qualified} AS SELECT * FROM {source.sql} AS t")
        if short.count(table) == 1:
            connection.execute(f"CREATE VIEW {quoted(table)} AS SELECT * FROM {qualified}")
        _warn_of_other_names(name, source)
    return connection


def _warn_of_other_names(table: str, source: SqlSource) -> None:
    """Tell whoever writes SQL which columns have another name there."""
    others = [f"{column} is {name}" for column, name in source.columns.items() if column != name]
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        msg = (
            f"{table}: SQL does not tell names apart that differ in letter case only; in this "
            f"connection {', '.join(others[:_SHOWN])}{more}"
        )
        warnings.warn(msg, UserWarning, stacklevel=4)


def _alias(name: str) -> str:
    return name.replace(".", "__")


def _is_in(column: str, values: tuple[str, ...]) -> str:
    if not values:
        return "FALSE"
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"t.{column} IN ({listed})"


def told(error: Exception) -> str:
    """What DuckDB says, in one line: without the statement, which the user did not write."""
    return " ".join(str(error).partition("\n\n")[0].split())


def _shown(selection: Selection) -> str:
    names = ("columns", "where", "object_id")
    asked = {name: getattr(selection, name) for name in names}
    return (
        ", ".join(f"{name}={value!r}" for name, value in asked.items() if value) or "no arguments"
    )
