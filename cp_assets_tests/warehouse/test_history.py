"""What a commit reads, writes and keeps does not grow with the plates that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from cp_assets.warehouse import history
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouse.plates import batch, numbers, write


def metadata_bytes(warehouse: Warehouse) -> int:
    location = warehouse.table("small").metadata_location
    return Path(location.removeprefix("file://")).stat().st_size


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(history, "KEPT_SNAPSHOTS", 5)
    return 5


def test_added_plates_leave_the_newest_snapshots(warehouse: Warehouse, few: int) -> None:
    sizes = []
    for number in range(4 * few):
        write(warehouse, batch([number], f"P{number}"), plate=f"P{number}")
        sizes.append(metadata_bytes(warehouse))
    assert numbers(warehouse) == list(range(4 * few))
    snapshots = warehouse.table("small").snapshots()
    # The newest as they were when the last commit began, and that commit's own.
    assert len(snapshots) == few + 1
    assert [one.sequence_number for one in snapshots] == list(range(15, 21))
    assert sizes[-1] < 1.1 * sizes[few + 1]


def test_the_state_before_a_plate_was_replaced_stays(warehouse: Warehouse, few: int) -> None:
    write(warehouse, batch([0], "P0"), plate="P0")
    write(warehouse, batch([1], "P1"), plate="P1")
    before = warehouse.table("small").current_snapshot()
    write(warehouse, batch([7], "P0"), plate="P0")
    for number in range(2, 4 * few):
        write(warehouse, batch([number], f"P{number}"), plate=f"P{number}")
    table = warehouse.table("small")
    old = table.scan(snapshot_id=before.snapshot_id).to_arrow()
    assert sorted(old["number"].to_pylist()) == [0, 1]
    assert len(table.snapshots()) == few + 2


def test_what_a_tag_names_stays(warehouse: Warehouse, few: int) -> None:
    write(warehouse, batch([0], "P0"), plate="P0")
    table = warehouse.table("small")
    tagged = table.current_snapshot().snapshot_id
    table.manage_snapshots().create_tag(tagged, "release").commit()
    for number in range(1, 4 * few):
        write(warehouse, batch([number], f"P{number}"), plate=f"P{number}")
    table = warehouse.table("small")
    assert table.scan(snapshot_id=tagged).to_arrow()["number"].to_pylist() == [0]
    assert len(table.snapshots()) == few + 2
