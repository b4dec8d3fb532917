"""The same questions to a warehouse or to a Parquet file: what is there, how much, the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from cp_assets.errors import NoSuchTableError, QueryError
from cp_assets.warehouse.query import (
    QUERY_ERRORS,
    Selection,
    open_connection,
    own_names,
    select_sql,
    told,
)
from cp_assets.warehouse.sql_names import register
from cp_assets.warehouse.warehouse import DESCRIPTION, open_warehouse


def list_tables(path: str | Path) -> list[str]:
    """Names of the tables of a warehouse; of a Parquet file, its stem."""
    file = _parquet_file(path)
    return [file.stem] if file else open_warehouse(path).list_tables()


def describe_warehouse(path: str | Path) -> pa.Table:
    """One row a table, see `Warehouse.describe`; a Parquet file is described as one table."""
    file = _parquet_file(path)
    if file is None:
        return open_warehouse(path).describe()
    row = {
        "table": file.stem,
        "kind": "parquet",
        "rows": pq.read_metadata(file).num_rows,
        "data_files": 1,
        "bytes": file.stat().st_size,
    }
    return pa.Table.from_pylist([row], schema=DESCRIPTION)


def read_table(path: str | Path, name: str | None = None, **selection: Any) -> pa.Table:
    """Read rows of a table of a warehouse, or of a Parquet file; see `Warehouse.read_table`.

    Parameters
    ----------
    name
        The table. May be left out for a Parquet file, or for a warehouse with one table.

    Raises
    ------
    NoSuchTableError
        If there is no such table.
    QueryError
        If a column or the predicate does not fit.
    """
    file = _parquet_file(path)
    if file is None:
        warehouse = open_warehouse(path)
        return warehouse.read_table(name or _only(warehouse.list_tables(), path), **selection)
    if name not in (None, file.stem):
        msg = f"{file} is one Parquet file: it has the table {file.stem}, not {name}"
        raise NoSuchTableError(msg)
    connection = open_connection()
    source = register(connection, "file", pads.dataset(file, format="parquet"))
    selected = Selection(table=file.stem, **selection)
    try:
        reader = connection.sql(select_sql(source, selected)).to_arrow_reader()
        return own_names(reader, source, selected).read_all()
    except QUERY_ERRORS as error:
        msg = f"{file} cannot be read so: {told(error)}"
        raise QueryError(msg) from error


def _parquet_file(path: str | Path) -> Path | None:
    file = Path(path)
    return file if file.suffix in {".parquet", ".pq"} and file.is_file() else None


def _only(names: list[str], path: str | Path) -> str:
    if len(names) != 1:
        msg = f"{path} has the tables {', '.join(names) or '(none)'}: say which to read"
        raise NoSuchTableError(msg)
    return names[0]
