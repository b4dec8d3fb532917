"""Same inputs, same rows: in another order, another folder, with other workers, a second time."""

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

WRITTEN = {
    "profiles.raw_measurements": "written",
    "profiles.joined_profiles": "written",
    "images.image_assets": "written",
    "images.chunk_index": "skipped",
    "images.image_crops": "written",
    "images.source_images": "skipped",
    "profiles.profile_with_images": "written",
    "provenance.manifest": "written",
}
UNCHANGED = {table: state.replace("written", "unchanged") for table, state in WRITTEN.items()}


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

    def of(self, plate: str) -> dict[str, str]:
        """Table -> state of one plate."""
        return {table: state for (name, table), state in self.states.items() if name == plate}


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def shuffle_rows(file: Path, seed: int) -> None:
    """Write a CSV's rows in another order."""
    with file.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    random.Random(seed).shuffle(rows)  # noqa: S311 - order of rows, no secret
    with file.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def test_another_folder_and_one_worker_give_the_same_rows(
    first: Warehouse, copied: Path, tmp_path: Path
) -> None:
    assert_same_rows(first, cp_assets.convert(copied, tmp_path / "wh", workers=1))


def test_another_order_of_rows_gives_the_same_rows(
    first: Warehouse, copied: Path, tmp_path: Path
) -> None:
    for seed, file in enumerate(sorted(copied.glob("workspace/analysis/**/*.csv"))):
        shuffle_rows(file, seed)
    other = cp_assets.convert(copied, tmp_path / "wh")
    assert_same_rows(first, other, without=("source_row",))


def states_of(
    root: Path, warehouse: Warehouse, *, force: bool = False
) -> dict[str, dict[str, str]]:
    """Convert again: plate -> table -> state."""
    builds = Builds()
    cp_assets.convert(root, warehouse, force=force, report=builds)
    return {plate: builds.of(plate) for plate in OPTIONS.plate_names}


def test_running_again_writes_what_changed_and_nothing_else(copied: Path, tmp_path: Path) -> None:
    warehouse = cp_assets.convert(copied, tmp_path / "wh")
    before = snapshots(warehouse)
    files = all_files(tmp_path / "wh")
    plate, other = OPTIONS.plate_names

    again = states_of(copied, warehouse)
    assert snapshots(warehouse) == before
    assert all_files(tmp_path / "wh") == files
    assert again == {plate: UNCHANGED, other: UNCHANGED}

    os.utime(next(copied.glob(f"images/*/images/{plate}*/Images/*ch1*")), ns=(0, 0))
    image_changed = states_of(copied, warehouse)
    assert image_changed[other] == UNCHANGED
    assert image_changed[plate] == {
        **UNCHANGED,
        "images.image_assets": "written",
        "images.chunk_index": "skipped",
        "images.image_crops": "written",
        "profiles.profile_with_images": "written",
        "provenance.manifest": "written",
    }

    rows = written(warehouse, "profiles.joined_profiles").num_rows
    cells = next(copied.glob(f"workspace/analysis/*/{plate}/analysis/*/Cells.csv"))
    cells.write_text("".join(cells.read_text().splitlines(keepends=True)[:-1]))
    cells_changed = states_of(copied, warehouse)
    assert cells_changed == {plate: WRITTEN, other: UNCHANGED}
    assert written(warehouse, "profiles.joined_profiles").num_rows == rows - 1


def test_force_writes_the_same_rows_again(
    sample: SampleTruth, first: Warehouse, tmp_path: Path
) -> None:
    warehouse = cp_assets.convert(sample.root, tmp_path / "wh", workers=2)
    before = snapshots(warehouse)
    states = states_of(sample.root, warehouse, force=True)
    assert states == dict.fromkeys(OPTIONS.plate_names, WRITTEN)
    assert all(snapshot != before[table] for table, snapshot in snapshots(warehouse).items())
    assert_same_rows(first, warehouse)


def test_equal_file_names_on_two_plates_stay_apart(first: Warehouse, sample: SampleTruth) -> None:
    columns = ["plate_id", "source_image_file", "source_image_original_path", "Metadata_ImageID"]
    rows = first.read_table("image_crops", columns=columns).to_pylist()
    files = {
        plate: {r["source_image_file"] for r in rows if r["plate_id"] == plate}
        for plate in OPTIONS.plate_names
    }
    one, other = files.values()
    assert one == other
    assert all(row["plate_id"] in row["source_image_original_path"] for row in rows)
    assert len({row["Metadata_ImageID"] for row in rows}) == 2 * len(one)
