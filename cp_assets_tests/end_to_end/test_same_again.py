"""Same inputs, same rows: in another order, from another folder, with other workers, a second time."""

from __future__ import annotations

import csv
import os
import random
import shutil
from pathlib import Path

import pytest

import cp_assets
from cp_assets.building import PlateBuild
from cp_assets.datasets import PlateKey
from cp_assets.sample import SampleOptions, SampleTruth, write_sample
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouses import assert_same_rows, snapshots, written

OPTIONS = SampleOptions(plates=2, wells=1, sites=2, cells=8, seed=5, image_size=(110, 130))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleTruth:
    return write_sample(tmp_path_factory.mktemp("again") / OPTIONS.prefix, OPTIONS)


@pytest.fixture(scope="module")
def first(sample: SampleTruth, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return cp_assets.convert(sample.root, tmp_path_factory.mktemp("first") / "wh", workers=2)


@pytest.fixture
def copied(sample: SampleTruth, tmp_path: Path) -> Path:
    """The prefix in another folder, of the same name, to be changed."""
    return Path(shutil.copytree(sample.root, tmp_path / "moved" / sample.root.name))


class Builds:
    """Collects what `convert` reports."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], str] = {}

    def __call__(self, plate: PlateKey, build: PlateBuild) -> None:
        self.states[plate.plate_id, build.table] = build.state


def shuffle_rows(file: Path, seed: int) -> None:
    """Write a CSV's rows in another order."""
    with file.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    random.Random(seed).shuffle(rows)  # noqa: S311 - order of rows, no secret
    with file.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def test_one_worker_gives_the_same_rows_as_two(
    sample: SampleTruth, first: Warehouse, tmp_path: Path
) -> None:
    assert_same_rows(first, cp_assets.convert(sample.root, tmp_path / "wh", workers=1))


def test_another_folder_gives_the_same_rows(first: Warehouse, copied: Path, tmp_path: Path) -> None:
    assert_same_rows(first, cp_assets.convert(copied, tmp_path / "wh"))


def test_another_order_of_rows_gives_the_same_rows(
    first: Warehouse, copied: Path, tmp_path: Path
) -> None:
    for seed, file in enumerate(sorted(copied.glob("workspace/analysis/**/*.csv"))):
        shuffle_rows(file, seed)
    other = cp_assets.convert(copied, tmp_path / "wh")
    assert_same_rows(first, other, without=("source_row",))


def test_second_run_changes_nothing_and_says_so(sample: SampleTruth, tmp_path: Path) -> None:
    builds = Builds()
    warehouse = cp_assets.convert(sample.root, tmp_path / "wh")
    before = snapshots(warehouse)
    files = sorted(path for path in (tmp_path / "wh").rglob("*") if path.is_file())
    cp_assets.convert(sample.root, warehouse, report=builds)
    assert snapshots(warehouse) == before
    assert sorted(path for path in (tmp_path / "wh").rglob("*") if path.is_file()) == files
    states = {table: state for (_, table), state in builds.states.items()}
    assert states.pop("images.source_images") == "skipped"
    assert set(states.values()) == {"unchanged"}
    assert len(builds.states) == 2 * 6


def test_force_writes_the_same_rows_again(
    sample: SampleTruth, first: Warehouse, tmp_path: Path
) -> None:
    warehouse = cp_assets.convert(sample.root, tmp_path / "wh")
    before = snapshots(warehouse)
    builds = Builds()
    cp_assets.convert(sample.root, warehouse, force=True, report=builds)
    assert set(builds.states.values()) == {"written", "skipped"}
    assert all(snapshot != before[table] for table, snapshot in snapshots(warehouse).items())
    assert_same_rows(first, warehouse)


def test_changed_file_rebuilds_only_its_plate(copied: Path, tmp_path: Path) -> None:
    warehouse = cp_assets.convert(copied, tmp_path / "wh")
    changed, other = OPTIONS.plate_names
    before = written(warehouse, "profiles.joined_profiles").num_rows
    file = next(copied.glob(f"workspace/analysis/*/{changed}/analysis/*/Cells.csv"))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]))
    builds = Builds()
    cp_assets.convert(copied, warehouse, report=builds)
    states = {plate: {s for (p, _), s in builds.states.items() if p == plate} for plate in (changed, other)}
    assert states == {changed: {"written", "skipped"}, other: {"unchanged", "skipped"}}
    assert written(warehouse, "profiles.joined_profiles").num_rows == before - 1


def test_changed_image_rebuilds_crops_and_not_profiles(copied: Path, tmp_path: Path) -> None:
    warehouse = cp_assets.convert(copied, tmp_path / "wh")
    image = next(copied.glob(f"images/*/images/{OPTIONS.plate_names[0]}*/Images/*ch1*"))
    os.utime(image, ns=(0, 0))
    builds = Builds()
    cp_assets.convert(copied, warehouse, report=builds)
    states = {t: s for (p, t), s in builds.states.items() if p == OPTIONS.plate_names[0]}
    assert states["profiles.joined_profiles"] == "unchanged"
    assert states["images.image_crops"] == "written"


def test_equal_file_names_on_two_plates_stay_apart(first: Warehouse, sample: SampleTruth) -> None:
    columns = ["plate_id", "source_image_file", "source_image_path", "Metadata_ImageID"]
    rows = first.read_table("image_crops", columns=columns).to_pylist()
    files = {plate: {r["source_image_file"] for r in rows if r["plate_id"] == plate} for plate in OPTIONS.plate_names}
    one, other = files.values()
    assert one == other
    assert all(row["source_image_path"].startswith(row["plate_id"]) for row in rows)
    assert len({row["Metadata_ImageID"] for row in rows}) == 2 * len(one)
