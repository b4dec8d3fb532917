from __future__ import annotations

from dataclasses import replace

import pytest

from cp_assets.errors import PartitionChangedError, WarehouseWriteError
from cp_assets.warehouse.maintenance import small_files
from cp_assets.warehouse.maintenance.small_files import Write, rewritable, rewrite
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.warehouse.maintenance.truth import named, stored, write_in_pieces
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers, scope, write


def planned(warehouse: Warehouse) -> list[Write]:
    return rewritable(warehouse.partitions, warehouse.table("small"))


def rewrite_all(warehouse: Warehouse) -> list[int]:
    table = warehouse.table("small")
    return [rewrite(warehouse, table, SPEC, one) for one in planned(warehouse)]


def in_order(warehouse: Warehouse) -> list[int]:
    return warehouse.read_table("small", columns=["number"])["number"].to_pylist()


def test_rows_are_the_same_in_the_same_order_in_one_file(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_in_pieces(warehouse, 4, monkeypatch)
    write(warehouse, batch([77], "P2"), plate="P2")
    before = warehouse.table("small").scan().to_arrow().sort_by("number")
    order = in_order(warehouse)
    assert len(warehouse.partitions.files(warehouse.table("small"), scope())) == 4
    assert rewrite_all(warehouse) == [1]
    table = warehouse.table("small")
    assert table.scan().to_arrow().sort_by("number") == before
    assert in_order(warehouse) == order
    summary = table.current_snapshot().summary
    assert summary.operation.value == "replace"
    assert (summary["total-records"], summary["total-data-files"]) == ("9", "2")
    assert planned(warehouse) == []


def test_fingerprint_and_count_of_books_are_kept(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cp_assets.warehouse.files.FILE_CHUNKS", 0)
    spec = replace(SPEC, row_group_bytes=1)
    rows = [batch([1]), batch([2])]
    write_partition(warehouse, spec, scope(), rows, "inputs", rejected=lambda: 7)
    monkeypatch.undo()
    before = warehouse.partitions.state(warehouse.table("small"), scope())
    assert (len(before.files), before.fingerprint, before.rejected) == (2, "inputs", 7)
    rewrite_all(warehouse)
    after = warehouse.partitions.state(warehouse.table("small"), scope())
    assert (len(after.files), after.fingerprint, after.rejected) == (1, "inputs", 7)


def test_files_of_other_columns_are_not_made_one(warehouse: Warehouse) -> None:
    write(warehouse, batch([1], x=[1.0]), batch([2], y=[2.0]), batch([3], x=[3.0]))
    assert len(warehouse.partitions.files(warehouse.table("small"), scope())) == 3
    assert planned(warehouse) == []


def test_neighbours_of_the_same_columns_are_made_one(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cp_assets.warehouse.files.FILE_CHUNKS", 0)
    spec = replace(SPEC, row_group_bytes=1)
    rows = (batch([1]), batch([2]), batch([3], x=[3.0]), batch([4]))
    write(warehouse, *rows, spec=spec)
    monkeypatch.undo()
    assert rewrite_all(warehouse) == [3]
    schemas = PartitionRows(warehouse, "profiles.small", scope()).schemas()
    assert ["x" in schema.names for schema in schemas] == [False, True, False]
    assert in_order(warehouse) == [1, 2, 3, 4]


def test_other_partitions_of_a_write_keep_their_files_order(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that goes back and forth between two partition values."""
    monkeypatch.setattr("cp_assets.warehouse.files.FILE_CHUNKS", 0)
    spec = replace(SPEC, name="profiles.small", partition_by=("well_id",), row_group_bytes=1)
    write(warehouse, *(batch([n]) for n in (0, 1, 24, 25, 48)), spec=spec)
    monkeypatch.undo()
    table = warehouse.table("small")
    before = PartitionRows(warehouse, "profiles.small", scope())
    told = {well: _numbers(before, well) for well in before.values("well_id")}
    assert told == {"A01": [0, 24, 48], "A02": [1, 25]}
    (found,) = rewritable(warehouse.partitions, table)
    assert (
        rewrite(warehouse, table, replace(spec, row_group_bytes=SPEC.row_group_bytes), found) == 2
    )
    after = PartitionRows(warehouse, "profiles.small", scope())
    assert {well: _numbers(after, well) for well in after.values("well_id")} == told


def _numbers(rows: PartitionRows, well: str) -> list[int]:
    batches = rows.batches(["number"], {"well_id": well})
    return [number for one in batches for number in one["number"].to_pylist()]


def test_partition_that_was_written_meanwhile_is_left(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_in_pieces(warehouse, 3, monkeypatch)
    stale = warehouse.table("small")
    (found,) = planned(warehouse)
    write(warehouse, batch([100]))
    with pytest.raises(PartitionChangedError, match="another run wrote the same partition"):
        rewrite(warehouse, stale, SPEC, found)
    assert numbers(warehouse) == [100]
    assert stored(warehouse, "small") == named(warehouse, "small")


def test_another_plate_written_meanwhile_is_built_upon(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_in_pieces(warehouse, 3, monkeypatch)
    stale = warehouse.table("small")
    (found,) = planned(warehouse)
    write(warehouse, batch([100], "P2"), plate="P2")
    assert rewrite(warehouse, stale, SPEC, found) == 1
    assert numbers(warehouse) == [0, 1, 2, 3, 4, 5, 100]


def test_failure_leaves_table_and_folder_as_before(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_in_pieces(warehouse, 3, monkeypatch)
    before = stored(warehouse, "small")
    (found,) = planned(warehouse)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(small_files, "replace_files", full)
    with pytest.raises(WarehouseWriteError, match="No space left on device"):
        rewrite(warehouse, warehouse.table("small"), SPEC, found)
    assert stored(warehouse, "small") == before
    assert numbers(warehouse) == list(range(6))


def test_files_of_others_are_left(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    write_in_pieces(warehouse, 3, monkeypatch)
    table = warehouse.table("small")
    table.append(table.scan().to_arrow())
    assert planned(warehouse) == []
