"""What an independent reader finds in a warehouse: PyIceberg's own, with nothing of cp_assets."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import urlparse

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from sqlalchemy.exc import OperationalError

MANIFEST = "provenance.manifest"
_MANIFEST_ROWS = ("plate_id", "table_name", "rows", "input_fingerprint")
"""Columns that do not say where files lie: of the same plate built twice only these are equal."""

Counts = dict[str, int]


class Reader:
    """Reads the tables of a folder's warehouse; there may be none yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Opens the file as it is: makes none, and no tables in it.
        uri = f"sqlite:///file:{folder}/catalog.db?mode=rw&uri=true&timeout=30"
        self._catalog = SqlCatalog("cp_assets", uri=uri, init_catalog_tables="false")

    def tables(self) -> dict[str, Table]:
        try:
            names = [
                name
                for namespace in self._catalog.list_namespaces()
                for name in self._catalog.list_tables(namespace)
            ]
        except OperationalError as error:
            if "unable to open" in str(error) or "no such table" in str(error):
                return {}
            raise
        return {".".join(name): self._catalog.load_table(name) for name in names}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._catalog.close()

    def counts(self, dataset: str) -> Counts:
        """Rows of a dataset in each table."""
        fields = ("dataset_id",)
        return {
            name: len(table.scan(f"dataset_id == '{dataset}'", selected_fields=fields).to_arrow())
            for name, table in self.tables().items()
        }

    def rows(self) -> dict[str, str]:
        """A digest of all rows of each table, whatever their order; none where there are none."""
        found = {}
        for name, table in self.tables().items():
            fields = _MANIFEST_ROWS if name == MANIFEST else ("*",)
            rows = sorted(map(repr, table.scan(selected_fields=fields).to_arrow().to_pylist()))
            if rows:
                found[name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
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
