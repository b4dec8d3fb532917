"""What an independent reader finds in a warehouse: PyIceberg's own, with nothing of cp_assets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlparse

import duckdb
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from sqlalchemy.exc import DBAPIError

MANIFEST = "provenance.manifest"
_MANIFEST_ROWS = ("plate_id", "table_name", "rows", "input_fingerprint")
"""Columns that do not say where files lie: of the same plate built twice only these are equal."""

_PAUSE_SECONDS = 0.1
_NOT_THERE = ("unable to open", "no such table")

Counts = dict[str, int]


class Reader:
    """Reads the tables of a catalog; there may be none yet."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @classmethod
    def of_folder(cls, folder: Path, name: str = "cp_assets") -> Reader:
        """Of a folder's warehouse, whose catalog is opened as it is: nothing is made in it."""
        uri = f"sqlite:///file:{folder}/catalog.db?mode=rw&uri=true&timeout=30"
        return cls(SqlCatalog(name, uri=uri, init_catalog_tables="false"))

    @classmethod
    def configured(cls, name: str, properties: Mapping[str, str]) -> Reader:
        """Of a catalog with these properties."""
        return cls(load_catalog(name, **properties, init_catalog_tables="false"))

    def tables(self) -> dict[str, Table]:
        try:
            names = [
                name
                for namespace in self._catalog.list_namespaces()
                for name in self._catalog.list_tables(namespace)
            ]
        except DBAPIError as error:
            if any(said in str(error) for said in _NOT_THERE):
                return {}
            raise
        return {".".join(name): self._catalog.load_table(name) for name in names}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._catalog.close()

    def counts(self, dataset: str) -> Counts:
        """Rows of a dataset in each table, as the footers of its files say."""
        return {
            name: sum(
                _rows_of(table, task.file.file_path)
                for task in table.scan(f"dataset_id == '{dataset}'").plan_files()
            )
            for name, table in self.tables().items()
        }

    def rows(self) -> dict[str, str]:
        """A digest of all rows of each table, whatever their order; none where there are none.

        Of tables on this disk: their files are read by DuckDB.
        """
        found = {}
        with closing(duckdb.connect()) as connection:
            for name, table in self.tables().items():
                files = [task.file.file_path for task in table.scan().plan_files()]
                wanted = _MANIFEST_ROWS if name == MANIFEST else table.schema().column_names
                if files:
                    found[name] = _digest(connection, files, wanted)
        return found

    def misplaced(self) -> set[str]:
        """Files in the tables' folders that nothing names, and named ones that are not there."""
        return {file for one in self.tables().values() for file in _stored(one) ^ _named(one)}

    def manifest_is_true(self) -> bool:
        """Whether the manifest names the files that the tables have now."""
        tables = self.tables()
        told: dict[str, set[str]] = {}
        for row in tables[MANIFEST].scan().to_arrow().to_pylist():
            told.setdefault(row["table_name"], set()).update(f["url"] for f in row["data_files"])
        found = {
            name: {task.file.file_path for task in table.scan().plan_files()}
            for name, table in tables.items()
        }
        return all(found[name] == files for name, files in told.items())


class ReaderBeside:
    """Reads again and again while a plate is built, in a ``with``.

    Parameters
    ----------
    reader
        Opens a reader; called for each look, since what is there may come and go.
    states
        What the tables may hold of the dataset: as before, and as after.

    Attributes
    ----------
    looks
        How often all tables were read.
    faults
        What was seen that may not be.
    """

    def __init__(
        self, reader: Callable[[], Reader], dataset: str, states: Sequence[Counts]
    ) -> None:
        self._reader = reader
        self._dataset = dataset
        self._states = states
        self._over = Event()
        self._thread = Thread(target=self._watch)
        self.looks = 0
        self.faults: list[str] = []

    def __enter__(self) -> ReaderBeside:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            start = time.monotonic()
            try:
                self._look()
            except DBAPIError as error:
                # A catalog that restarts serves nobody; it is no part of a plate.
                if not error.connection_invalidated and "connect" not in str(error):
                    self.faults.append(f"a reader was refused: {error}")
            except Exception as error:  # noqa: BLE001 - a thread's error would be lost
                self.faults.append(f"a reader failed: {error!r}")
            # Looking must not take the machine from what is looked at.
            self._over.wait(max(_PAUSE_SECONDS, 2 * (time.monotonic() - start)))

    def _look(self) -> None:
        with self._reader() as reader:
            found = reader.counts(self._dataset)
        self.looks += bool(found)
        for name, rows in found.items():
            if rows not in [state.get(name, 0) for state in self._states]:
                self.faults.append(f"a reader saw {rows} rows of {name}")


def _rows_of(table: Table, path: str) -> int:
    with table.io.new_input(path).open() as file:
        return int(pq.read_metadata(file).num_rows)


def _digest(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str], wanted: Iterable[str]
) -> str:
    rows = "read_parquet($files, union_by_name=true)"
    given = {"files": files}
    described = connection.execute(f"DESCRIBE SELECT * FROM {rows}", given).fetchall()
    there = {column for column, *_ in described}
    # A column that no file has is null in all rows; files have theirs in any order.
    columns = ", ".join(f'"{name}"' if name in there else "NULL" for name in sorted(wanted))
    query = f"SELECT count(*), sum(hash({columns})::HUGEINT) FROM {rows}"
    return str(connection.execute(query, given).fetchall())


def _stored(table: Table) -> set[str]:
    top = urlparse(table.location()).path
    return {str(Path(folder) / file) for folder, _, files in os.walk(top) for file in files}


def _named(table: Table) -> set[str]:
    found = [table.metadata_location, *(one.metadata_file for one in table.metadata.metadata_log)]
    for snapshot in table.snapshots():
        found.append(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            found.append(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io)
            found += [entry.data_file.file_path for entry in entries]
    return {urlparse(path).path for path in found}
