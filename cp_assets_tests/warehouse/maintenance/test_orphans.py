"""Orphans, against what PyIceberg says that a table names."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from pyiceberg.table.statistics import StatisticsFile

from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.errors import MaintenanceError, WarehouseWriteError
from cp_assets.warehouse.maintenance import TableMaintainer, TableMaintenance
from cp_assets.warehouse.maintenance.listing import Folder, StoredFile
from cp_assets.warehouse.spec import TableSpec
from cp_assets.warehouse.tables import open_table
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouse.maintenance.truth import named, stored
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers, scope, write

AT_ONCE = MaintenanceOptions(timedelta(), 1, timedelta())
DAY = 86_400


def maintain(
    warehouse: Warehouse, options: MaintenanceOptions = AT_ONCE, *, dry_run: bool = False
) -> TableMaintenance:
    return TableMaintainer(warehouse, options, dry_run).maintain("profiles.small")


def folder(warehouse: Warehouse, name: str = "small") -> Path:
    return Path(warehouse.table(name).location().removeprefix("file://"))


def stray(warehouse: Warehouse, place: str, days: float = 0) -> Path:
    file = folder(warehouse) / place
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"half a file")
    os.utime(file, (time.time() - days * DAY,) * 2)
    return file


STRAYS = (
    "data/18ea2a5dbd44681b-9bf43082026e4806a4503ad3099ada81-00000.parquet",
    "metadata/0e3165d5-28bd-4b0d-8701-240c1f5de4cd-m1.avro",
    "metadata/snap-5034093219382653468-0-9c8d6d02-fb3d-40c0-b2f4-5d8c183daca9.avro",
    "metadata/00007-d6180dac-2f5e-4e5c-8672-6039da9e4509.metadata.json",
    "metadata/00008-d6180dac-2f5e-4e5c-8672-6039da9e4509.metadata.json.gz",
    "metadata/5034093219382653468-9c8d6d02.stats",
)


def test_what_nothing_names_goes_and_what_something_names_stays(warehouse: Warehouse) -> None:
    for number in range(6):
        write(warehouse, batch([number]), plate="P1")
        write(warehouse, batch([number], "P2"), plate="P2")
    kept = warehouse.table("small").current_snapshot().snapshot_id
    with warehouse.table("small").manage_snapshots() as manage:
        manage.create_tag(kept, "release-1")
    write(warehouse, batch([100]))
    strays = [stray(warehouse, place) for place in STRAYS]
    done = maintain(warehouse)
    assert done.files_removed > len(strays)
    assert (done.health.orphans, done.health.delete_candidates) == (0, 0)
    assert stored(warehouse, "small") == named(warehouse, "small")
    assert not any(file.exists() for file in strays)
    table = warehouse.table("small")
    assert sorted(table.scan(snapshot_id=kept).to_arrow()["number"].to_pylist()) == [5, 5]
    assert numbers(warehouse) == [5, 100]


def test_young_files_stay_until_the_grace_period_is_over(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    old, young = stray(warehouse, STRAYS[1], days=4), stray(warehouse, STRAYS[2], days=2)
    done = maintain(warehouse, MaintenanceOptions())
    assert (done.files_removed, old.exists(), young.exists()) == (1, False, True)
    assert (done.health.orphans, done.health.delete_candidates) == (1, 0)
    assert (done.bytes_removed, done.health.orphan_bytes) == (len(b"half a file"),) * 2


def test_old_file_of_a_write_that_still_runs_stays(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    name = "data/18ea2a5dbd44681b-9bf43082026e4806a4503ad3099ada81-0000{}.parquet"
    first, last = stray(warehouse, name.format(0), days=5), stray(warehouse, name.format(1), days=1)
    assert maintain(warehouse, MaintenanceOptions()).files_removed == 0
    assert first.exists()
    os.utime(last, (time.time() - 4 * DAY,) * 2)
    assert maintain(warehouse, MaintenanceOptions()).files_removed == 2


def test_files_of_unknown_kind_and_place_stay(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    places = ("metadata/version-hint.text", "data/README", "notes.parquet", "other/x.parquet")
    files = [stray(warehouse, place, days=100) for place in places]
    assert maintain(warehouse).files_removed == 0
    assert all(file.exists() for file in files)


def test_a_dry_run_tells_what_would_go_and_changes_nothing(warehouse: Warehouse) -> None:
    for number in range(4):
        write(warehouse, batch([number]))
    stray(warehouse, STRAYS[0])
    before = stored(warehouse, "small")
    location = warehouse.table("small").metadata_location
    told = maintain(warehouse, dry_run=True)
    assert stored(warehouse, "small") == before
    assert warehouse.table("small").metadata_location == location
    done = maintain(warehouse)
    assert (told.snapshots_expired, told.dry_run) == (done.snapshots_expired, True)
    # Merging and expiring write metadata of their own, which is named.
    assert told.files_removed <= done.files_removed
    assert told.health.delete_candidates == told.files_removed


def test_statistics_of_other_engines_stay(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    table = warehouse.table("small")
    file = stray(warehouse, "metadata/20260101-stats.puffin", days=100)
    statistics = StatisticsFile(
        snapshot_id=table.current_snapshot().snapshot_id,
        statistics_path=f"file://{file}",
        file_size_in_bytes=11,
        file_footer_size_in_bytes=1,
        blob_metadata=[],
    )
    with table.update_statistics() as update:
        update.set_statistics(statistics)
    assert maintain(warehouse).files_removed == 0
    assert file.exists()


@pytest.mark.parametrize("sign", ["#", "?"])
def test_name_that_a_url_ends_before_takes_no_other_file_along(
    warehouse: Warehouse, sign: str
) -> None:
    write(warehouse, batch([1]))
    (file,) = warehouse.partitions.files(warehouse.table("small"), scope())
    stray(warehouse, f"data/{file.file_path.rpartition('/')[2]}{sign}x.parquet")
    assert maintain(warehouse).files_removed == 0
    assert warehouse.table("small").scan().to_arrow()["number"].to_pylist() == [1]


@pytest.fixture
def neighbours(warehouse: Warehouse) -> Warehouse:
    """Two more tables: one whose name goes on where the first's ends, one inside its folder."""
    write(warehouse, batch([1]))
    write(warehouse, batch([2]), spec=_named("profiles.small_2"))
    inner = _named("profiles.inner")
    open_table(warehouse, inner)
    schema = warehouse.table("inner").schema()
    warehouse.catalog.drop_table("profiles.inner")
    place = f"{warehouse.table('small').location()}/data"
    made = warehouse.catalog.create_table(
        "profiles.inner",
        schema,
        location=place,
        partition_spec=warehouse.table("small").spec(),
    )
    write(warehouse, batch([3]), spec=inner)
    assert made.location() == place
    return warehouse


def _named(name: str) -> TableSpec:
    return TableSpec(name=name, doc="another", schema=SPEC.schema)


def test_tables_beside_and_inside_are_left(neighbours: Warehouse) -> None:
    warehouse = neighbours
    before = {name: stored(warehouse, name) for name in ("small_2", "inner")}
    for name in ("profiles.small", "profiles.inner", "profiles.small_2"):
        assert TableMaintainer(warehouse, AT_ONCE).maintain(name).files_removed == 0
    assert {name: stored(warehouse, name) for name in ("small_2", "inner")} == before
    for name, number in (("small", 1), ("small_2", 2), ("inner", 3)):
        assert warehouse.table(name).scan().to_arrow()["number"].to_pylist() == [number]


def test_two_names_of_one_table_keep_each_others_files(warehouse: Warehouse) -> None:
    for number in range(3):
        write(warehouse, batch([number]))
    old = warehouse.table("small")
    warehouse.catalog.register_table("profiles.copy", old.metadata_location)
    write(warehouse, batch([100]))
    maintain(warehouse)
    assert numbers(warehouse) == [100]
    assert warehouse.table("copy").scan().to_arrow()["number"].to_pylist() == [2]


def spell_paths(warehouse: Warehouse, spelled: str) -> None:
    """Let the table's location be spelled in another way than its files' paths are."""
    table = warehouse.table("small")
    path = Path(table.metadata_location.removeprefix("file://"))
    metadata = json.loads(path.read_text())
    metadata["location"] = spelled
    changed = path.with_name("00099-5e2a1b34-0000-4000-8000-000000000000.metadata.json")
    changed.write_text(json.dumps(metadata))
    warehouse.catalog.drop_table("profiles.small")
    warehouse.catalog.register_table("profiles.small", f"file:{changed}")


@pytest.mark.parametrize("spelling", ["file:{}", "{}", "file://{}/", "file://{}/../small"])
def test_any_spelling_of_the_location_removes_orphans_only(
    warehouse: Warehouse, spelling: str
) -> None:
    for number in range(3):
        write(warehouse, batch([number]))
    here = folder(warehouse)
    spell_paths(warehouse, spelling.format(here))
    mine = stray(warehouse, str(here / STRAYS[0]))
    maintain(warehouse)
    assert not mine.exists()
    assert numbers(warehouse) == [2]
    write(warehouse, batch([3]))
    maintain(warehouse)
    assert warehouse.table("small").scan().to_arrow()["number"].to_pylist() == [3]


def test_location_that_is_a_link_removes_orphans_only(warehouse: Warehouse, tmp_path: Path) -> None:
    write(warehouse, batch([1]))
    here = folder(warehouse)
    (tmp_path / "link").symlink_to(here)
    spell_paths(warehouse, f"file://{tmp_path}/link")
    mine = stray(warehouse, str(here / STRAYS[0]))
    maintain(warehouse)
    assert not mine.exists()
    assert numbers(warehouse) == [1]


def test_nothing_is_removed_where_a_current_file_is_missing(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    strays = [stray(warehouse, place) for place in STRAYS]
    (file,) = warehouse.partitions.files(warehouse.table("small"), scope())
    Path(file.file_path.removeprefix("file://")).unlink()
    with pytest.raises(MaintenanceError, match=r"small: 1 files .*are not in its folders.*parquet"):
        maintain(warehouse)
    assert all(one.exists() for one in strays)


def test_nothing_is_removed_where_data_lie_outside_of_the_location(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(warehouse, batch([1]))
    table = warehouse.table("small")
    with table.transaction() as change:
        change.set_properties({"write.data.path": f"file://{tmp_path}/elsewhere"})
    table.append(table.scan().to_arrow())
    mine = stray(warehouse, STRAYS[1])
    with pytest.raises(MaintenanceError, match="If the table's data lie elsewhere"):
        maintain(warehouse)
    assert mine.exists()
    assert len(table.scan().to_arrow()) == 2


def test_plate_committed_while_files_are_listed_is_kept(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(warehouse, batch([1]))
    listed = Folder.files

    def and_meanwhile(self: Folder) -> list[StoredFile]:
        write(warehouse, batch([2], "P2"), plate="P2")
        found = listed(self)
        write(warehouse, batch([3], "P3"), plate="P3")
        return found

    monkeypatch.setattr(Folder, "files", and_meanwhile)
    maintain(warehouse)
    assert numbers(warehouse) == [1, 2, 3]
    assert len(warehouse.table("small").scan().to_arrow()) == 3


def test_a_store_that_refuses_is_told_with_the_table(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(warehouse, batch([1]))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Folder, "files", refuse)
    with pytest.raises(WarehouseWriteError, match=r"profiles\.small: maintenance stopped .*denied"):
        maintain(warehouse)


def test_file_that_another_maintenance_removed_is_no_error(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(warehouse, batch([1]))
    mine = stray(warehouse, STRAYS[0])
    listed = Folder.files

    def then_gone(self: Folder) -> list[StoredFile]:
        found = listed(self)
        mine.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Folder, "files", then_gone)
    maintain(warehouse)
    assert numbers(warehouse) == [1]


def test_table_of_no_snapshot_is_healthy(warehouse: Warehouse) -> None:
    open_table(warehouse, SPEC)
    done = maintain(warehouse)
    assert (done.health.snapshots, done.health.oldest_snapshot) == (0, None)
