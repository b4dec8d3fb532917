"""Maintenance where the tables lie on S3 and the catalog in PostgreSQL, SQLite or behind REST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyiceberg.table import Table

from cp_assets.errors import MaintenanceError
from cp_assets.warehouse.maintenance import TableMaintainer, TableMaintenance
from cp_assets.warehouse.maintenance.small_files import rewritable, rewrite
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Server
from cp_assets_tests.warehouse.configured import KINDS, catalog_of, configured
from cp_assets_tests.warehouse.maintenance.test_orphans import AT_ONCE, STRAYS
from cp_assets_tests.warehouse.maintenance.truth import write_in_pieces
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers, write


@pytest.fixture(params=KINDS)
def served(
    request: pytest.FixtureRequest, postgres: Postgres, s3_server: S3Server, tmp_path: Path
) -> Iterator[Warehouse]:
    with (
        catalog_of(request.param, tmp_path, postgres, s3_server) as properties,
        configured({"lab": properties}, tmp_path),
    ):
        yield open_warehouse("lab")


def maintain(warehouse: Warehouse) -> TableMaintenance:
    return TableMaintainer(warehouse, AT_ONCE).maintain("profiles.small")


def place(location: str, s3: S3Server) -> Path:
    """Where the server, or the disk, keeps what a location names."""
    scheme, _, path = location.partition("://")
    return s3.folder / path if scheme == "s3" else Path(path)


def stored(table: Table, s3: S3Server) -> set[Path]:
    return {path for path in place(table.location(), s3).rglob("*") if path.is_file()}


def named(table: Table, s3: S3Server) -> set[Path]:
    found = table.inspect.all_files()["file_path"].to_pylist()
    found += table.inspect.all_manifests()["path"].to_pylist()
    found += table.inspect.metadata_log_entries()["file"].to_pylist()
    found += [one.manifest_list for one in table.snapshots()]
    return {place(path, s3) for path in found}


def stray(table: Table, name: str) -> None:
    with table.io.new_output(f"{table.location()}/{name}").create() as stream:
        stream.write(b"half a file")


def test_orphans_go_and_what_is_named_stays(
    served: Warehouse, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_in_pieces(served, 3, monkeypatch)
    for number in range(4):
        write(served, batch([number], "P2"), plate="P2")
    table = served.table("small")
    for name in STRAYS:
        stray(table, name)
    for one in rewritable(served.partitions, table):
        rewrite(served, table, SPEC, one)
    done = maintain(served)
    assert done.files_removed > len(STRAYS)
    assert (done.health.snapshots, done.health.data_files, done.health.orphans) == (1, 2, 0)
    table = served.table("small")
    assert stored(table, s3_server) == named(table, s3_server)
    assert numbers(served) == [0, 1, 2, 3, 3, 4, 5]


def test_nothing_is_removed_where_a_current_file_is_missing(served: Warehouse) -> None:
    write(served, batch([1]))
    table = served.table("small")
    stray(table, STRAYS[0])
    (task,) = table.scan().plan_files()
    table.io.delete(task.file.file_path)
    with pytest.raises(MaintenanceError, match="1 files of the current snapshot are not in"):
        maintain(served)
    assert table.io.new_input(f"{table.location()}/{STRAYS[0]}").exists()


def test_a_neighbour_whose_name_goes_on_is_left(served: Warehouse, s3_server: S3Server) -> None:
    write(served, batch([1]))
    write(served, batch([2]), spec=replace(SPEC, name="profiles.small_2"))
    before = stored(served.table("small_2"), s3_server)
    assert before
    maintain(served)
    assert stored(served.table("small_2"), s3_server) == before
