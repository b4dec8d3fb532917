"""The same measurements in other dialects, written with sqlite3 and pandas from CSV files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

MOST_COLUMNS = 2000
"""Of a table of SQLite."""

Tables = Mapping[str, pd.DataFrame]
"""Compartment -> its table as CellProfiler's CSV files have it."""


def read_csv_tables(folder: Path, columns: int = MOST_COLUMNS - 10) -> dict[str, pd.DataFrame]:
    """The tables of a folder, of wide ones the keys and as many columns as SQLite takes."""
    found = {}
    for name in ("Image", "Cells", "Cytoplasm", "Nuclei"):
        header = list(pd.read_csv(folder / f"{name}.csv", nrows=0).columns)
        keys = [c for c in header if "Number" in c.split("_")[0] or c.startswith("Parent_")]
        keys += [c for c in ("Number_Object_Number",) if c in header]
        wanted = set(keys) | set([c for c in header if c not in keys][:columns])
        text = {c: str for c in header if c.startswith(("Metadata_", "URL_", "MD5"))}
        found[name] = pd.read_csv(
            folder / f"{name}.csv",
            usecols=[c for c in header if c in wanted],
            float_precision="round_trip",
            dtype=text,
        )
    return found


def write_csv_tables(folder: Path, tables: Tables, ending: str = ".csv") -> Path:
    """CellProfiler's CSV files, gzipped where the ending says so."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}{ending}", index=False)
    return folder


def write_parquet_tables(folder: Path, tables: Tables) -> Path:
    """One Parquet file a compartment."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def write_database(path: Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    """A database of tables by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        for name, table in tables.items():
            write_table(connection, name, table.columns, table.itertuples(index=False, name=None))
    connection.close()
    return path


def write_table(
    connection: sqlite3.Connection,
    name: str,
    columns: Iterable[str],
    rows: Iterable[tuple[object, ...]],
) -> None:
    """One table whose columns have no type, so that every value keeps its own."""
    quoted = ['"' + column.replace('"', '""') + '"' for column in columns]
    table = '"' + name.replace('"', '""') + '"'
    connection.execute(f"CREATE TABLE {table} ({', '.join(quoted)})")
    marks = ", ".join("?" for _ in quoted)
    plain = ([None if pd.isna(value) else value for value in row] for row in rows)
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", plain)


def cellprofiler_names(tables: Tables, prefix: str = "") -> dict[str, pd.DataFrame]:
    """Tables of ExportToDatabase: Per_Image, Per_Cells, ..."""
    found = {}
    for name, table in tables.items():
        keys = {"ImageNumber", "TableNumber"}
        renamed = {c: c if c in keys else f"{name}_{c}" for c in table.columns}
        dropped = [c for c in ("ObjectNumber",) if c in table.columns and name != "Image"]
        if dropped and "Number_Object_Number" not in table.columns:
            renamed["ObjectNumber"], dropped = f"{name}_Number_Object_Number", []
        found[f"{prefix}Per_{name}"] = table.drop(columns=dropped).rename(columns=renamed)
    return found


def cytominer_names(tables: Tables) -> dict[str, pd.DataFrame]:
    """Tables of cytominer-database: Image, Cells, ... with prefixed columns."""
    keys = {"TableNumber", "ImageNumber", "ObjectNumber"}
    return {
        name: table.rename(columns={c: c if c in keys else f"{name}_{c}" for c in table.columns})
        for name, table in tables.items()
    }


def merged(folders: Iterable[Path], columns: int = MOST_COLUMNS - 10) -> dict[str, pd.DataFrame]:
    """The tables of several folders below each other, told apart by TableNumber."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for number, folder in enumerate(folders, 1):
        for name, table in read_csv_tables(folder, columns).items():
            numbers = pd.Series(1000 - number, index=table.index, name="TableNumber")
            parts.setdefault(name, []).append(pd.concat([numbers, table], axis=1))
    return {name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()}
