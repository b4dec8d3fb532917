"""Maintaining a whole warehouse: what is read, checked and recorded is as before."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from cp_assets.building.maintaining import maintain_warehouse
from cp_assets.conversion import convert
from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.errors import NoSuchTableError
from cp_assets.sample import SampleOptions, write_sample
from cp_assets.warehouse.files import PartitionFiles
from cp_assets.warehouse.maintenance import TableMaintenance
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.end_to_end.states import Reader
from cp_assets_tests.warehouse.plates import SPEC, batch, write

AT_ONCE = MaintenanceOptions(timedelta(), 1, timedelta())


def maintain(warehouse: Warehouse, **options: object) -> dict[str, TableMaintenance]:
    return {done.table: done for done in maintain_warehouse(warehouse, **options)}


def ordered(warehouse: Warehouse) -> dict[str, object]:
    """Rows of each table, in the order in which they are read; the manifest's are others."""
    others = {"provenance.manifest", "profiles.profile_with_images"}
    return {name: warehouse.read_table(name) for name in set(warehouse.list_tables()) - others}


@dataclass(frozen=True)
class Maintained:
    """A warehouse whose files were small, what it was before, and what was done."""

    root: Path
    warehouse: Warehouse
    before: dict[str, object]
    dry: dict[str, TableMaintenance]
    changed_by_dry_run: set[Path]
    done: dict[str, TableMaintenance]


@pytest.fixture(scope="module")
def maintained(tmp_path_factory: pytest.TempPathFactory) -> Maintained:
    """One plate, three rows a file, then maintained."""
    folder = tmp_path_factory.mktemp("maintained")
    options = SampleOptions(plates=1, wells=1, sites=1, cells=20, seed=5, image_size=(100, 100))
    root = write_sample(folder / options.prefix, options).root

    def add(self: PartitionFiles, batch: pa.RecordBatch, size: int) -> None:
        for start in range(0, batch.num_rows, 3):
            whole(self, batch.slice(start, 3), size)
            self._close()

    whole = PartitionFiles.add
    with pytest.MonkeyPatch.context() as pieces:
        pieces.setattr(PartitionFiles, "add", add)
        warehouse = convert(root, folder / "wh", dataset_id="sample")
    before = ordered(warehouse)
    times = _times(folder)
    dry = maintain(warehouse, options=AT_ONCE, dry_run=True)
    changed = {path for path, time in _times(folder).items() if times.get(path) != time}
    done = maintain(warehouse, options=AT_ONCE)
    return Maintained(root, warehouse, before, dry, changed, done)


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_small_files_of_every_table_became_few(maintained: Maintained) -> None:
    for name in ("profiles.raw_measurements", "profiles.joined_profiles", "images.image_crops"):
        rewriting = maintained.done[name].rewriting
        assert len(rewriting.partitions) == 1, name
        assert rewriting.files_after
        assert rewriting.files_after < rewriting.files_before
    # One file a compartment.
    assert maintained.done["profiles.raw_measurements"].rewriting.files_after == 4
    crops = maintained.done["images.image_crops"].health
    assert (crops.data_files, crops.small_files, crops.orphans) == (1, 0, 0)


def test_rows_and_their_order_are_as_before(maintained: Maintained) -> None:
    found = ordered(maintained.warehouse)
    assert found.keys() == maintained.before.keys()
    for name, rows in maintained.before.items():
        assert found[name].equals(rows), name


def test_manifest_names_the_new_files_and_their_bytes(maintained: Maintained) -> None:
    with Reader.of_folder(Path(maintained.warehouse.name)) as reader:
        assert reader.manifest_is_true()
        assert not reader.misplaced()
    for row in maintained.warehouse.read_table("manifest").to_pylist():
        for file in row["data_files"]:
            content = Path(file["url"].removeprefix("file://")).read_bytes()
            assert file["etag"] == hashlib.md5(content).hexdigest()  # noqa: S324 - as S3 does


def test_the_manifest_comes_last(maintained: Maintained) -> None:
    assert list(maintained.done)[-1] == "provenance.manifest"


def test_dry_run_told_the_same_and_changed_nothing(maintained: Maintained) -> None:
    assert maintained.changed_by_dry_run == set()
    for name, told in maintained.dry.items():
        if name != "provenance.manifest":
            assert told.rewriting.partitions == maintained.done[name].rewriting.partitions
            assert told.rewriting.files_before == maintained.done[name].rewriting.files_before


def test_nothing_is_built_again_and_maintaining_again_finds_nothing(
    maintained: Maintained,
) -> None:
    states: list[str] = []
    warehouse = convert(
        maintained.root,
        maintained.warehouse.name,
        dataset_id="sample",
        report=lambda _plate, build: states.append(build.state),
    )
    assert set(states) <= {"unchanged", "skipped"}
    before = {name: warehouse.table(name).metadata_location for name in warehouse.list_tables()}
    for done in maintain(warehouse, options=AT_ONCE).values():
        assert done.rewriting.partitions == ()
        assert (done.manifests_fewer, done.snapshots_expired, done.files_removed) == (0, 0, 0)
    after = {name: warehouse.table(name).metadata_location for name in warehouse.list_tables()}
    assert after == before


@pytest.fixture
def two_tables(warehouse: Warehouse) -> Warehouse:
    for name in ("profiles.one", "profiles.two"):
        for number in range(3):
            write(warehouse, batch([number]), spec=replace(SPEC, name=name))
    return warehouse


def test_named_tables_only(two_tables: Warehouse) -> None:
    before = two_tables.table("one").metadata_location
    assert list(maintain(two_tables, tables=["two"], options=AT_ONCE)) == ["profiles.two"]
    assert two_tables.table("one").metadata_location == before
    assert len(two_tables.table("two").snapshots()) == 1


def test_table_that_does_not_exist_is_told_before_anything_is_done(two_tables: Warehouse) -> None:
    before = two_tables.table("one").metadata_location
    with pytest.raises(NoSuchTableError, match="no table three"):
        maintain(two_tables, tables=["one", "three"], options=AT_ONCE)
    assert two_tables.table("one").metadata_location == before


def test_empty_warehouse_has_nothing_to_maintain(warehouse: Warehouse) -> None:
    assert maintain(warehouse) == {}
