from __future__ import annotations

import pytest

from cp_assets.warehouse.maintenance import manifests
from cp_assets.warehouse.maintenance.manifests import merge_manifests, surplus_manifests
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouse.plates import batch, numbers, write


def counts(warehouse: Warehouse) -> list[tuple[int, int, int]]:
    table = warehouse.table("small")
    return [
        (one.added_files_count, one.existing_files_count, one.deleted_files_count)
        for one in table.current_snapshot().manifests(table.io)
    ]


def merge(warehouse: Warehouse) -> int | None:
    return merge_manifests(warehouse.partitions, warehouse.table("small"))


def test_merged_manifests_name_the_same_files(warehouse: Warehouse) -> None:
    for number in range(5):
        write(warehouse, batch([number], f"P{number}"), plate=f"P{number}")
    table = warehouse.table("small")
    before = (
        table.inspect.files()
        .select(["file_path", "record_count", "partition"])
        .sort_by("file_path")
    )
    assert len(counts(warehouse)) == 5
    assert surplus_manifests(warehouse.partitions, table) == 4
    assert merge(warehouse) == warehouse.table("small").current_snapshot().snapshot_id
    assert counts(warehouse) == [(0, 5, 0)]
    table = warehouse.table("small")
    after = (
        table.inspect.files()
        .select(["file_path", "record_count", "partition"])
        .sort_by("file_path")
    )
    assert after == before
    summary = table.current_snapshot().summary
    assert (summary.operation.value, summary["total-records"]) == ("replace", "5")
    assert numbers(warehouse) == list(range(5))


def test_merging_again_does_nothing(warehouse: Warehouse) -> None:
    for plate in ("P1", "P2"):
        write(warehouse, batch([1], plate), plate=plate)
    assert merge(warehouse) is not None
    assert merge(warehouse) is None


def test_a_manifest_is_bounded_and_holds_plates_that_lie_side_by_side(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "FILES", 2)
    for plate in ("P3", "P1", "P4", "P2"):
        write(warehouse, batch([1], plate), plate=plate)
    merge(warehouse)
    table = warehouse.table("small")
    found = [
        [entry.data_file.partition[2] for entry in one.fetch_manifest_entry(table.io)]
        for one in table.current_snapshot().manifests(table.io)
    ]
    assert found == [["P1", "P2"], ["P3", "P4"]]


def test_plates_are_replaced_and_removed_after_merging(warehouse: Warehouse) -> None:
    for plate in ("P1", "P2", "P3"):
        write(warehouse, batch([1], plate), plate=plate)
    merge(warehouse)
    write(warehouse, batch([2], "P1"), plate="P1")
    write(warehouse, plate="P2")
    assert numbers(warehouse) == [1, 2]
    merge(warehouse)
    assert counts(warehouse) == [(0, 2, 0)]
    assert numbers(warehouse) == [1, 2]


def test_commit_meanwhile_is_built_upon(warehouse: Warehouse) -> None:
    for plate in ("P1", "P2"):
        write(warehouse, batch([1], plate), plate=plate)
    stale = warehouse.table("small")
    write(warehouse, batch([7], "P3"), plate="P3")
    merge_manifests(warehouse.partitions, stale)
    assert numbers(warehouse) == [1, 1, 7]
    assert counts(warehouse) == [(0, 3, 0)]


def test_table_without_a_snapshot_has_nothing_to_merge(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    write(warehouse)
    assert merge(warehouse) in (None, warehouse.table("small").current_snapshot().snapshot_id)
    assert numbers(warehouse) == []
