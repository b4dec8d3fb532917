"""The commit of a partition, against PyIceberg's own reading of what it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table import Table

from cp_assets.errors import WarehouseConflictError
from cp_assets.warehouse.commits import replace_files
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.warehouse.plates import batch, numbers, scope, write

Rows = dict[str, list[int]]


def manifests(table: Table) -> list[tuple[int, int, int]]:
    """Added, existing and deleted files of each manifest of the current snapshot."""
    return [
        (one.added_files_count, one.existing_files_count, one.deleted_files_count)
        for one in table.current_snapshot().manifests(table.io)
    ]


def planned(table: Table) -> list[str]:
    return sorted(task.file.file_path for task in table.scan().plan_files())


def avro_files(warehouse: Warehouse) -> set[str]:
    return {path.name for path in Path(warehouse.name).rglob("*.avro")}


def test_replacing_keeps_the_files_beside_it_and_names_what_went(warehouse: Warehouse) -> None:
    for plate in ("P1", "P2"):
        write(warehouse, batch([1, 2], plate), plate=plate)
    write(warehouse, batch([3], "P1"), plate="P1")
    table = warehouse.table("small")
    swap, beside = manifests(table)
    assert swap == (1, 0, 1)
    assert beside == (1, 0, 0)
    first = table.current_snapshot().manifests(table.io)[0]
    entries = first.fetch_manifest_entry(table.io, discard_deleted=False)
    assert [entry.status for entry in entries] == [
        ManifestEntryStatus.ADDED,
        ManifestEntryStatus.DELETED,
    ]
    assert table.current_snapshot().summary.operation.value == "overwrite"


def test_summary_counts_what_was_added_taken_out_and_is_there(warehouse: Warehouse) -> None:
    write(warehouse, batch(range(5), "P1"), plate="P1")
    write(warehouse, batch(range(3), "P2"), plate="P2")
    write(warehouse, batch(range(2), "P1"), plate="P1")
    summary = warehouse.table("small").current_snapshot().summary
    told = {name: summary[name] for name in ("added-records", "deleted-records", "total-records")}
    assert told == {"added-records": "2", "deleted-records": "5", "total-records": "5"}
    assert (summary["total-data-files"], summary["deleted-data-files"]) == ("2", "1")


@pytest.mark.slow
def test_manifests_stay_few_while_plates_grow_many(warehouse: Warehouse) -> None:
    plates = [f"P{number}" for number in range(45)]
    for number, plate in enumerate(plates):
        write(warehouse, batch([number], plate), plate=plate)
    table = warehouse.table("small")
    assert len(manifests(table)) < 20
    assert numbers(warehouse) == list(range(45))
    assert len(planned(table)) == 45
    write(warehouse, batch([100], "P7"), plate="P7")
    assert numbers(warehouse, plate="P7") == [100]
    assert len(numbers(warehouse)) == 45
    # An old snapshot is as it was: merging wrote manifests, and changed none.
    first = table.metadata.snapshots[9].snapshot_id
    assert len(table.scan(snapshot_id=first).to_arrow()) == 10


@given(st.lists(st.tuples(st.sampled_from(["P1", "P2", "é/ %"]), st.integers(0, 3)), max_size=8))
@settings(max_examples=8, deadline=None)
def test_any_series_of_writes_reads_as_a_dictionary_of_plates(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, int]]
) -> None:
    warehouse = open_warehouse(tmp_path_factory.mktemp("series") / "wh", create=True)
    truth: Rows = {}
    for step, (plate, rows) in enumerate(writes):
        truth[plate] = [10 * step + row for row in range(rows)]
        write(warehouse, batch(truth[plate], plate), plate=plate)
    if not any(truth.values()):
        return
    table = warehouse.table("small")
    found = table.scan(selected_fields=("plate_id", "number")).to_arrow().to_pylist()
    for plate, wanted in truth.items():
        rows = sorted(row["number"] for row in found if row["plate_id"] == plate)
        assert rows == wanted
        assert sum(f.record_count for f in warehouse.partitions.files(table, scope(plate))) == len(
            wanted
        )


def test_another_plate_committed_meanwhile_is_built_upon(warehouse: Warehouse) -> None:
    write(warehouse, batch([1], "P1"), plate="P1")
    stale = warehouse.table("small")
    write(warehouse, batch([2], "P2"), plate="P2")
    replace_files(warehouse.partitions, stale, scope("P1"), [], {})
    assert numbers(warehouse) == [2]


def test_same_plate_committed_meanwhile_is_refused(warehouse: Warehouse) -> None:
    write(warehouse, batch([1], "P1"), plate="P1")
    stale = warehouse.table("small")
    write(warehouse, batch([2], "P1"), plate="P1")
    before = avro_files(warehouse)
    with pytest.raises(
        WarehouseConflictError, match=r"d/b/P1: another run wrote the same partition"
    ):
        replace_files(warehouse.partitions, stale, scope("P1"), [], {})
    assert numbers(warehouse) == [2]
    assert avro_files(warehouse) == before


def test_writers_that_leave_no_gap_end_in_an_error_that_says_so(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(warehouse, batch([1], "P1"), plate="P1")
    table = warehouse.table("small")

    def refuse(*_: object) -> None:
        raise CommitFailedException("the catalog is busy")

    monkeypatch.setattr("cp_assets.warehouse.attempts._PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(type(table.catalog), "commit_table", refuse)
    before = avro_files(warehouse)
    with pytest.raises(WarehouseConflictError, match="left no gap to commit"):
        replace_files(warehouse.partitions, table, scope("P1"), [], {})
    assert avro_files(warehouse) == before
