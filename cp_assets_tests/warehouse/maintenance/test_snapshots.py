from __future__ import annotations

import time
from datetime import timedelta

import pytest
from pyiceberg.exceptions import CommitFailedException

from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.errors import ConfigurationError
from cp_assets.warehouse.maintenance.snapshots import _Expiry, expirable, expire_snapshots
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouse.plates import batch, numbers, write

NOW = MaintenanceOptions(older_than=timedelta(), keep_snapshots=1, grace=timedelta())


def five_writes(warehouse: Warehouse) -> list[int]:
    for number in range(5):
        write(warehouse, batch([number]), fingerprint=str(number))
    return [one.snapshot_id for one in warehouse.table("small").snapshots()]


def left(warehouse: Warehouse) -> list[int]:
    return [one.snapshot_id for one in warehouse.table("small").snapshots()]


def test_the_newest_are_kept(warehouse: Warehouse) -> None:
    ids = five_writes(warehouse)
    expire_snapshots(warehouse.table("small"), MaintenanceOptions(timedelta(), 2, timedelta()))
    assert left(warehouse) == ids[3:]
    assert numbers(warehouse) == [4]


def test_the_young_are_kept(warehouse: Warehouse) -> None:
    ids = five_writes(warehouse)
    expire_snapshots(warehouse.table("small"), MaintenanceOptions(keep_snapshots=1))
    assert left(warehouse) == ids


def test_what_a_tag_or_a_branch_names_is_kept(warehouse: Warehouse) -> None:
    ids = five_writes(warehouse)
    table = warehouse.table("small")
    with table.manage_snapshots() as manage:
        manage.create_tag(ids[1], "release-1").create_branch(ids[2], "trial")
    expire_snapshots(warehouse.table("small"), NOW)
    assert left(warehouse) == [ids[1], ids[2], ids[4]]
    assert table.scan(snapshot_id=ids[1]).to_arrow()["number"].to_pylist() == [1]


def test_age_counts_from_when_a_snapshot_was_superseded(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    time.sleep(1.2)
    for number in (2, 3):
        write(warehouse, batch([number]))
    # The first is older than a second, but who began to read it did so less than a second ago.
    a_second = MaintenanceOptions(timedelta(seconds=1), 1, timedelta())
    assert expirable(warehouse.table("small"), a_second) == frozenset()
    time.sleep(1)
    assert len(expirable(warehouse.table("small"), a_second)) == 2


def test_a_tag_set_after_the_table_was_loaded_is_kept(warehouse: Warehouse) -> None:
    ids = five_writes(warehouse)
    stale = warehouse.table("small")
    with warehouse.table("small").manage_snapshots() as manage:
        manage.create_tag(ids[0], "release-1")
    with pytest.raises(CommitFailedException, match="has been named"):
        _Expiry(stale, frozenset(ids[:2])).send()
    expire_snapshots(stale, NOW)
    assert left(warehouse) == [ids[0], ids[4]]
    assert "release-1" in warehouse.table("small").refs()


def test_nothing_is_committed_where_nothing_expires(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    before = warehouse.table("small").metadata_location
    expire_snapshots(warehouse.table("small"), NOW)
    assert warehouse.table("small").metadata_location == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"keep_snapshots": 0}, "keep_snapshots is 0"),
        ({"grace": timedelta(-1)}, "grace is negative"),
        ({"older_than": timedelta(-1)}, "older_than is negative"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        MaintenanceOptions(**options)
