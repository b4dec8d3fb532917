from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cp_assets.datasets import Dataset, PlateKey, find_plates
from cp_assets.datasets.plate_files import DatasetFiles, dataset_files
from cp_assets.errors import PlateNotFoundError
from cp_assets.sample import SampleTruth
from cp_assets.watching.plate_state import PlateState, plate_state


@pytest.fixture
def dataset(small_sample: SampleTruth, tmp_path: Path) -> Dataset:
    return Dataset(dataset_id="s", root=shutil.copytree(small_sample.root, tmp_path / "prefix"))


def state(dataset: Dataset, key: PlateKey) -> PlateState:
    return plate_state(dataset_files(dataset).files(key))


def changed_kinds(before: PlateState, after: PlateState) -> set[str]:
    return {kind for kind, version in after.versions.items() if version != before.versions[kind]}


def below(pattern: str) -> Callable[[Dataset], Path]:
    return lambda dataset: sorted(dataset.root.glob(pattern))[0]


def test_gallery_plates_are_those_that_are_found_by_reading(dataset: Dataset) -> None:
    files = dataset_files(dataset)
    assert list(files.keys()) == list(find_plates(dataset))
    assert files.keys()[0] in files
    assert PlateKey("s", "b", "p") not in files


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (below("workspace/analysis/*/*1/analysis/*/Nuclei.csv"), "measurement_files"),
        (below("workspace/load_data_csv/*/*1/load_data.csv"), "measurement_files"),
        (below("workspace/analysis/*/*1/analysis/*/outlines/*"), "image_files"),
        (below("images/*/images/*1__*/**/*.tiff"), "image_files"),
        (below("workspace/metadata/platemaps/*/barcode_platemap.csv"), "annotation_files"),
        (below("workspace/metadata/platemaps/*/platemap/*.txt"), "annotation_files"),
    ],
    ids=["table", "LoadData", "outline", "image", "barcodes", "plate map"],
)
def test_changed_file_changes_its_kind_and_no_other(
    dataset: Dataset, place: Callable[[Dataset], Path], kind: str
) -> None:
    key = dataset_files(dataset).keys()[0]
    before = state(dataset, key)
    assert state(dataset, key) == before
    path = place(dataset)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**12))
    after = state(dataset, key)
    assert changed_kinds(before, after) == {kind}
    assert after.newest == pytest.approx(status.st_mtime + 1000)
    assert (after.files, after.bytes) == (before.files, before.bytes)


def test_file_of_one_plate_is_no_change_of_another(dataset: Dataset) -> None:
    first, second = dataset_files(dataset).keys()
    before = state(dataset, second)
    for path in dataset.root.glob(f"workspace/analysis/*/{first.plate_id}/analysis/*/Cells.csv"):
        path.write_text("other")
    for path in dataset.root.glob(f"images/*/images/{first.plate_id}__*/**/*.tiff"):
        path.unlink()
    assert state(dataset, second) == before


def test_files_that_are_added_or_removed_are_changes(dataset: Dataset) -> None:
    key = dataset_files(dataset).keys()[0]
    before = state(dataset, key)
    folder = below("workspace/analysis/*/*1/analysis/*")(dataset)
    (folder / "Extra.csv").write_text("")
    assert changed_kinds(before, state(dataset, key)) == {"measurement_files"}
    (folder / "Extra.csv").unlink()
    assert state(dataset, key).versions == before.versions


def test_dataset_that_moves_as_a_whole_has_not_changed(dataset: Dataset, tmp_path: Path) -> None:
    key = dataset_files(dataset).keys()[0]
    moved = replace(dataset, root=dataset.root.rename(tmp_path / "elsewhere"))
    before = state(moved, key)
    again = replace(dataset, root=moved.root.rename(tmp_path / "prefix"))
    assert state(again, key).versions == before.versions


def test_image_folder_is_that_of_the_plate_with_the_longest_name(tmp_path: Path) -> None:
    for name in ("BR-1", "BR-1-2", "BR-3"):
        (tmp_path / "workspace/analysis/B" / name / "analysis").mkdir(parents=True)
    for name in ("BR-1__m1", "BR-1-2__m1", "BR-1-2__m2", "BR-11__m1", "BR-1-27__m1"):
        folder = tmp_path / "images/B/images" / name
        folder.mkdir(parents=True)
        (folder / "x.tiff").write_text(name)
    files = dataset_files(Dataset(dataset_id="s", root=tmp_path))

    def images(plate: str) -> list[str]:
        found = files.files(PlateKey("s", "B", plate))
        return sorted(one.name.split("/")[3] for one in found if one.kind == "image_files")

    assert images("BR-1") == ["BR-1-27__m1", "BR-1__m1"]
    assert images("BR-1-2") == ["BR-1-2__m1", "BR-1-2__m2"]
    # No folder has its name: only what is no other plate's may be its own.
    assert images("BR-3") == ["BR-11__m1"]


def test_plates_of_one_folder_and_what_is_read_of_them(
    small_sample: SampleTruth, tmp_path: Path
) -> None:
    plate_folder = next((small_sample.root / "workspace/analysis").glob("*/*1/analysis"))
    root = shutil.copytree(plate_folder, tmp_path / "CellProfiler")
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.tiff").write_text("a")
    dataset = Dataset(dataset_id="s", root=root, layout="cellprofiler", image_dir=images)
    (key,) = dataset_files(dataset).keys()
    (sources,) = find_plates(dataset).values()
    before = state(dataset, key)
    read = [table.path for folder in sources.folders for table in folder.tables.values()]
    assert before.by_kind["measurement_files"].files == len(read)
    (images / "b.tiff").write_text("b")
    assert changed_kinds(before, state(dataset, key)) == {"image_files"}
    read[0].write_text(read[0].read_text() + "\n")
    assert changed_kinds(before, state(dataset, key)) == {"image_files", "measurement_files"}


def test_annotation_that_cannot_be_read_is_a_state_of_its_own(dataset: Dataset) -> None:
    key = dataset_files(dataset).keys()[0]
    missing = replace(dataset, annotations=(dataset.root / "missing.csv",))
    assert changed_kinds(state(dataset, key), state(missing, key)) == {"annotation_files"}


@pytest.mark.parametrize("make", [False, True], ids=["no folder", "no plate in it"])
def test_no_plate_is_told(tmp_path: Path, make: bool) -> None:
    root = tmp_path / "prefix"
    if make:
        (root / "workspace" / "analysis").mkdir(parents=True)
    with pytest.raises(PlateNotFoundError, match="prefix"):
        dataset_files(Dataset(dataset_id="s", root=root))


def test_no_file_of_measurements_is_opened(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = Path.open

    def spy(path: Path, *args: object, **options: object) -> object:
        opened.append(path.name)
        return real(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", spy)
    files: DatasetFiles = dataset_files(dataset)
    assert all(plate_state(files.files(key)).files for key in (*files.keys(),))
    assert set(opened) == {"barcode_platemap.csv"}
