"""Reading: Iceberg plans which files hold the rows, DuckDB reads the columns asked for.

The files of the current snapshot become a pyarrow dataset with the table's schema, so that a column
that a plate lacks is null, and DuckDB pushes projection and predicate into it. DuckDB's own Iceberg
reader is an extension fetched at run time; nothing here depends on one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, In
from pyiceberg.io.pyarrow import PyArrowFileIO

from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.errors import QueryError
from cp_assets.warehouse.schemas import arrow_schema

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

LINKS = "profiles.profile_with_images"
PROFILES = "profiles.joined_profiles"
CROPS = "images.image_crops"

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
    columns: Sequence[str] | None = None
    where: str | None = None
    limit: int | None = None

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
        return terms


def _values(value: str | int | Sequence[str] | Sequence[int]) -> tuple[str, ...]:
    return (str(value),) if isinstance(value, str | int) else tuple(map(str, value))


def table_dataset(
    table: Table, plate_terms: dict[str, tuple[str, ...]] | None = None
) -> pads.Dataset:
    """The table's current rows as a pyarrow dataset, limited to the partitions that can match."""
    schema = arrow_schema(table.schema())
    if table.current_snapshot() is None:
        return pads.dataset(schema.empty_table())
    row_filter: BooleanExpression = AlwaysTrue()
    for name, values in (plate_terms or {}).items():
        row_filter = And(row_filter, In(term=name, literals=values))
    columns = tuple(plate_terms or ()) or (schema.names[0],)
    tasks = table.scan(row_filter=row_filter, selected_fields=columns).plan_files()
    paths = sorted(task.file.file_path for task in tasks)
    if not paths:
        return pads.dataset(schema.empty_table())
    scheme, netloc, _ = PyArrowFileIO.parse_location(paths[0], table.io.properties)
    filesystem = PyArrowFileIO(table.io.properties).fs_by_scheme(scheme, netloc)
    plain = [PyArrowFileIO.parse_location(path, table.io.properties)[2] for path in paths]
    return pads.dataset(plain, schema=schema, filesystem=filesystem, format="parquet")


def open_connection() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that spills to the system's temporary folder, not to the current one."""
    return duckdb.connect(config={"temp_directory": str(Path(gettempdir()) / "cp_assets-duckdb")})


def scan_selection(load: Callable[[str], Table], selection: Selection) -> pa.RecordBatchReader:
    """Stream the rows of a selection.

    Parameters
    ----------
    load
        Gives the table of a name.

    Raises
    ------
    QueryError
        If a column or the predicate does not fit the table.
    """
    connection = open_connection()
    is_view = selection.table == LINKS
    parts = (LINKS, PROFILES, CROPS) if is_view else (selection.table,)
    for name in parts:
        table = load(name)
        connection.register(_alias(name), table_dataset(table, selection.plate_terms()))
    source = _joined_rows(connection) if is_view else _quote(_alias(selection.table))
    try:
        reader = connection.sql(select_sql(source, selection)).to_arrow_reader(BATCH_ROWS)
    except QUERY_ERRORS as error:
        msg = f"{selection.table} cannot be read with {_shown(selection)}: {told(error)}"
        raise QueryError(msg) from error
    names = list(selection.columns or (() if is_view else arrow_schema(table.schema()).names))
    return _renamed(reader, names) if names not in ([], reader.schema.names) else reader


def _renamed(reader: pa.RecordBatchReader, names: list[str]) -> pa.RecordBatchReader:
    """The same rows under the table's own names: to DuckDB names in other letter case are equal."""
    schema = pa.schema([f.with_name(name) for f, name in zip(reader.schema, names, strict=True)])
    batches = (batch.rename_columns(names) for batch in reader)
    return pa.RecordBatchReader.from_batches(schema, batches)


def select_sql(source: str, selection: Selection) -> str:
    """The SELECT statement of a selection from a table, view or FROM clause."""
    columns = ", ".join(map(_quote, selection.columns)) if selection.columns else "*"
    terms = [_is_in(name, values) for name, values in selection.row_terms().items()]
    terms += [_is_in(name, values) for name, values in selection.plate_terms().items()]
    if selection.where:
        terms.append(f"({selection.where}\n)")
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    limit = f" LIMIT {_limit(selection.limit)}" if selection.limit is not None else ""
    return f"SELECT {columns} FROM {source} AS t{where}{limit}"


def _limit(limit: int) -> int:
    if limit < 0:
        msg = f"limit is {limit}: expected a number of rows, 0 or more"
        raise QueryError(msg)
    return limit


def _joined_rows(connection: duckdb.DuckDBPyConnection) -> str:
    """The view's FROM clause: link rows with their profile and crop, each column once."""
    seen: set[str] = set()
    picked: list[str] = []
    for alias, name in (("l", LINKS), ("p", PROFILES), ("c", CROPS)):
        for column in connection.table(_alias(name)).columns:
            if column not in seen:
                seen.add(column)
                picked.append(f"{alias}.{_quote(column)}")
    return (
        f"(SELECT {', '.join(picked)} FROM {_quote(_alias(LINKS))} l "
        f"JOIN {_quote(_alias(PROFILES))} p ON l.image_id = p.image_id "
        'AND l."Metadata_ObjectID" = p."Metadata_ObjectID" '
        f"JOIN {_quote(_alias(CROPS))} c ON l.image_id = c.image_id "
        'AND l."Metadata_ImageCropID" = c."Metadata_ImageCropID")'
    )


def connect(tables: Mapping[str, Table]) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with these tables; see `Warehouse.duckdb`."""
    connection = open_connection()
    for name, loaded in tables.items():
        connection.register(_alias(name), table_dataset(loaded))
    short = [name.split(".", 1)[1] for name in tables]
    for name in tables:
        namespace, table = name.split(".", 1)
        is_view = name == LINKS and {PROFILES, CROPS} <= set(tables)
        source = _joined_rows(connection) if is_view else _quote(_alias(name))
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quote(namespace)}")
        qualified = f"{_quote(namespace)}.{_quote(table)}"
        connection.execute(f"CREATE VIEW {qualified} AS SELECT * FROM {source} AS t")
        if short.count(table) == 1:
            connection.execute(f"CREATE VIEW {_quote(table)} AS SELECT * FROM {qualified}")
    return connection


def _alias(name: str) -> str:
    return name.replace(".", "__")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_in(column: str, values: tuple[str, ...]) -> str:
    if not values:
        return "FALSE"
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"t.{_quote(column)} IN ({listed})"


def told(error: Exception) -> str:
    """What DuckDB says, in one line: without the statement, which the user did not write."""
    return " ".join(str(error).partition("\n\n")[0].split())


def _shown(selection: Selection) -> str:
    asked = {"columns": selection.columns, "where": selection.where}
    return (
        ", ".join(f"{name}={value!r}" for name, value in asked.items() if value) or "no arguments"
    )
