"""What a table's metadata names, found without the code under test: by PyIceberg's own tables."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pytest

from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouse.plates import SPEC, batch, write


def stored(warehouse: Warehouse, name: str) -> set[str]:
    """All files below a table's location on local disk."""
    top = urlparse(warehouse.table(name).location()).path
    return {str(Path(folder) / file) for folder, _, files in os.walk(top) for file in files}


def named(warehouse: Warehouse, name: str) -> set[str]:
    """All files that the table's metadata names, data to metadata."""
    table = warehouse.table(name)
    found = table.inspect.all_files()["file_path"].to_pylist()
    found += table.inspect.all_manifests()["path"].to_pylist()
    found += table.inspect.metadata_log_entries()["file"].to_pylist()
    found += [one.manifest_list for one in table.snapshots()]
    return {urlparse(path).path for path in found}


def write_in_pieces(
    warehouse: Warehouse, pieces: int, monkeypatch: pytest.MonkeyPatch, plate: str = "P1"
) -> None:
    """Write a plate of which each batch of two rows is a file of its own."""
    batches = [batch([2 * n, 2 * n + 1], plate) for n in range(pieces)]
    with monkeypatch.context() as bounds:
        bounds.setattr("cp_assets.warehouse.files.FILE_CHUNKS", 0)
        write(warehouse, *batches, plate=plate, spec=replace(SPEC, row_group_bytes=1))
