"""`convert`: its options, and how it answers those that contradict each other."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import cp_assets
from cp_assets.building import STEPS
from cp_assets.datasets import ImageOptions, PlateKey, PlateSources
from cp_assets.errors import (
    BoxColumnsError,
    ConfigurationError,
    JoinError,
    MeasurementError,
    PlateNotFoundError,
    PlatesFailedError,
)
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouses import pixels, rejected

BOX = {
    "AreaShape_BoundingBoxMinimum_X": 2,
    "AreaShape_BoundingBoxMaximum_X": 9,
    "AreaShape_BoundingBoxMinimum_Y": 3,
    "AreaShape_BoundingBoxMaximum_Y": 8,
}


def write_plate(folder: Path, *, plate: str = "P1", value: int = 0, cells: int = 2) -> Path:
    """A folder of CellProfiler's output: one image set of DNA, cells with boxes, known pixels."""
    (folder / "images").mkdir(parents=True)
    image = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24) + value
    tifffile.imwrite(folder / "images" / "A01_s1_DNA.tif", image)
    columns = "ImageNumber,Metadata_Plate,Metadata_Well,Metadata_Site,FileName_DNA,PathName_DNA"
    row = f"1,{plate},a1,01,A01_s1_DNA.tif,file:/home/ubuntu/local_input/{plate}"
    (folder / "Image.csv").write_text(f"{columns}\n{row}\n")
    header = ",".join(("ImageNumber", "ObjectNumber", "Parent_Nuclei", "AreaShape_Area", *BOX))
    lines = [
        ",".join(map(str, (1, n, n, 20.5 + n, *(edge + n for edge in BOX.values()))))
        for n in range(1, cells + 1)
    ]
    (folder / "Cells.csv").write_text("\n".join([header, *lines, ""]))
    nuclei = [f"1,{n},{9.5 + n}" for n in range(1, cells + 1)]
    (folder / "Nuclei.csv").write_text(
        "\n".join(["ImageNumber,ObjectNumber,AreaShape_Area", *nuclei, ""])
    )
    return folder


def write_three_plates(folder: Path) -> Path:
    """Plates P1, P2 and P3, of which P2 has no object numbers."""
    for name in ("P1", "P2", "P3"):
        write_plate(folder / name, plate=name)
    cells = folder / "P2" / "Cells.csv"
    cells.write_text(cells.read_text().replace("ObjectNumber", "Number", 1))
    return folder


def test_defaults_are_those_of_the_image_options() -> None:
    said = inspect.signature(cp_assets.convert).parameters
    for one in fields(ImageOptions):
        expected = None if one.name == "path_prefix_map" else getattr(ImageOptions(), one.name)
        assert said[one.name].default == expected


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    return write_plate(tmp_path / "plate")


def test_identity_comes_from_the_image_table_or_the_call(plate: Path, tmp_path: Path) -> None:
    found = cp_assets.convert(plate, tmp_path / "a").plates("profiles.joined_profiles")
    assert list(map(str, found)) == ["plate/unbatched/P1"]
    given = {"dataset_id": "cpg1", "batch_id": "B1", "plate_id": "X"}
    found = cp_assets.convert(plate, tmp_path / "b", **given).plates("profiles.joined_profiles")
    assert list(map(str, found)) == ["cpg1/B1/X"]


def test_without_image_dir_there_are_profiles_and_no_crops(plate: Path, tmp_path: Path) -> None:
    warehouse = cp_assets.convert(plate, tmp_path / "wh")
    assert "images.image_crops" not in warehouse.list_tables()
    assert "profiles.profile_with_images" not in warehouse.list_tables()
    row = warehouse.read_table("joined_profiles", well="A-1", site="1", limit=1).to_pylist()[0]
    assert row["Metadata_Well"] == row["well_id"] == "A01"
    assert row["Metadata_SourceBBoxXMin"] == 3.0


def test_join_false_keeps_measurements_only(plate: Path, tmp_path: Path) -> None:
    warehouse = cp_assets.convert(plate, tmp_path / "wh", join=False)
    tables = ["profiles.raw_measurements", "provenance.manifest"]
    assert [t for t in warehouse.list_tables() if not t.startswith("quality_control")] == tables


def test_include_source_images_writes_whole_images(plate: Path, tmp_path: Path) -> None:
    warehouse = cp_assets.convert(
        plate, tmp_path / "wh", image_dir=plate / "images", include_source_images=True
    )
    (row,) = warehouse.read_table("source_images").to_pylist()
    expected = tifffile.imread(plate / "images" / "A01_s1_DNA.tif")
    assert np.array_equal(pixels(row["ome_arrow_image"]), expected)
    assert row["source_image_original_path"].startswith("file:/home/ubuntu/local_input/P1")
    assert row["source_image_path"] == "A01_s1_DNA.tif"


def test_overlays_are_matched_by_pattern(plate: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((20, 24), np.uint16)
    mask[4:9, 3:10] = 1
    tifffile.imwrite(masks / "seg-of-A01_s1.tif", mask)
    warehouse = cp_assets.convert(
        plate,
        tmp_path / "wh",
        image_dir=plate / "images",
        mask_dir=masks,
        segmentation_file_regex={r"^seg-of-": r"^(.+)_DNA\.tif$"},
    )
    row = warehouse.read_table("image_crops", where="Metadata_ObjectNumber = 1").to_pylist()[0]
    assert np.array_equal(pixels(row["ome_arrow_mask"]), mask[4:9, 3:10])
    assert row["label_source_kind"] == "mask"


def test_path_prefix_map_decides_between_equal_names(plate: Path, tmp_path: Path) -> None:
    other = plate / "images" / "other"
    other.mkdir()
    image = np.full((20, 24), 7, np.uint16)
    tifffile.imwrite(other / "A01_s1_DNA.tif", image)
    prefixes = {"/home/ubuntu/local_input/P1": str(other)}
    warehouse = cp_assets.convert(
        plate, tmp_path / "wh", image_dir=plate / "images", path_prefix_map=prefixes
    )
    rows = warehouse.read_table("image_crops").to_pylist()
    assert len(rows) == 2
    assert all((pixels(row["ome_arrow_image"]) == 7).all() for row in rows)


def test_bbox_column_map_names_the_columns(plate: Path, tmp_path: Path) -> None:
    edges = zip(("x_min", "x_max", "y_min", "y_max"), BOX, strict=True)
    boxes = {edge: f"Cells_{name}" for edge, name in edges}
    warehouse = cp_assets.convert(plate, tmp_path / "wh", bbox_column_map=boxes)
    row = warehouse.read_table("joined_profiles", limit=1).to_pylist()[0]
    assert row["Metadata_SourceBBoxYMax"] == 9.0
    with pytest.raises(BoxColumnsError, match="No_Such"):
        cp_assets.convert(plate, tmp_path / "bad", bbox_column_map={**boxes, "x_min": "No_Such"})


def test_two_plates_of_equal_file_names(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_plate(root / "one", plate="P1", value=100)
    write_plate(root / "two", plate="P2", value=900)
    warehouse = cp_assets.convert(
        root,
        tmp_path / "wh",
        path_prefix_map={
            "/home/ubuntu/local_input/P1": str(root / "one" / "images"),
            "/home/ubuntu/local_input/P2": str(root / "two" / "images"),
        },
        image_dir=root,
    )
    assert not rejected(warehouse, "images.image_crops")
    for plate_id, value in (("P1", 100), ("P2", 900)):
        rows = warehouse.read_table("image_crops", plate=plate_id).to_pylist()
        lowest = min(int(pixels(row["ome_arrow_image"])[0, 0]) for row in rows)
        assert lowest == value + 4 * 24 + 3


@pytest.fixture
def three_plates(tmp_path: Path) -> Path:
    return write_three_plates(tmp_path / "set")


def joined_plates(warehouse: Path) -> list[str]:
    found = cp_assets.open_warehouse(warehouse).plates("joined_profiles")
    return [key.plate_id for key in found]


def test_plate_that_fails_holds_up_no_other(three_plates: Path, tmp_path: Path) -> None:
    with pytest.raises(PlatesFailedError, match=r"^1 of 3 plates failed, .*are built:\n") as caught:
        cp_assets.convert(three_plates, tmp_path / "wh")
    assert joined_plates(tmp_path / "wh") == ["P1", "P3"]
    told = "set/unbatched/P2: P2/Cells.csv has no column ObjectNumber"
    assert told in str(caught.value)
    (failure,) = caught.value.failed.values()
    assert list(caught.value.failed) == ["set/unbatched/P2"]
    assert isinstance(failure, MeasurementError)
    assert caught.value.__cause__ is failure
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert str(again) == str(caught.value)


def test_plate_that_fails_by_a_fault_of_ours_holds_up_no_other(
    three_plates: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def step(sources: PlateSources, warehouse: Warehouse) -> Any:
        return 1 / 0 if sources.key.plate_id == "P1" else join(sources, warehouse)

    join = STEPS["joined_profiles"]
    monkeypatch.setitem(STEPS, "joined_profiles", step)
    with pytest.raises(PlatesFailedError, match="2 of 3 plates failed") as caught:
        cp_assets.convert(three_plates, tmp_path / "wh")
    assert joined_plates(tmp_path / "wh") == ["P3"]
    assert "set/unbatched/P1: ZeroDivisionError: division by zero" in str(caught.value)
    assert [type(one) for one in caught.value.failed.values()] == [
        ZeroDivisionError,
        MeasurementError,
    ]
    # Where it happened is told for a fault of ours alone.
    assert [bool(record.exc_info) for record in caplog.records] == [True, False]


def test_fail_fast_stops_at_the_first_plate_that_fails(three_plates: Path, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="has no column ObjectNumber"):
        cp_assets.convert(three_plates, tmp_path / "wh", fail_fast=True)
    assert joined_plates(tmp_path / "wh") == ["P1"]


def test_the_only_plate_fails_with_its_own_error(three_plates: Path, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="has no column ObjectNumber"):
        cp_assets.convert(three_plates / "P2", tmp_path / "wh")


def test_error_of_the_report_ends_the_run(three_plates: Path, tmp_path: Path) -> None:
    def report(key: PlateKey, _: object) -> None:
        raise BrokenPipeError(key.plate_id)

    with pytest.raises(BrokenPipeError, match="P1"):
        cp_assets.convert(three_plates, tmp_path / "wh", report=report)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_dir": "."}, "mask_dir was given without image_dir"),
        ({"outline_dir": "."}, "outline_dir was given without image_dir"),
        ({"include_source_images": True}, "include_source_images was given without image_dir"),
        ({"segmentation_file_regex": {"a": "b"}}, "segmentation_file_regex was given without"),
        ({"channels": ("DNA",)}, "channels was given without image_dir"),
        ({"image_dir": "nowhere"}, "image_dir: nowhere is not a folder"),
        ({"image_dir": ".", "join": False}, "images need the join"),
        ({"preset": "harmony"}, "preset 'harmony' is not known; there are: cellprofiler-csv"),
        ({"measurements": "backend"}, "measurements chooses between the folders of a gallery"),
        ({"workers": 0}, "workers is 1 or more"),
        ({"plate_id": "a\nb"}, "without control characters"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    plate: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        cp_assets.convert(plate, tmp_path / "wh", **options)
    assert not (tmp_path / "wh").exists()


def test_channel_that_does_not_exist_lists_those_that_do(plate: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"channels: Mito not among .* DNA"):
        cp_assets.convert(plate, tmp_path / "wh", image_dir=plate / "images", channels=("Mito",))


def test_folder_without_measurements_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PlateNotFoundError, match="empty"):
        cp_assets.convert(tmp_path / "empty", tmp_path / "wh")
    with pytest.raises((PlateNotFoundError, ConfigurationError), match="nowhere"):
        cp_assets.convert(tmp_path / "nowhere", tmp_path / "wh")


def test_gallery_prefix_names_its_own_plates(small_sample: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="leave batch_id and plate_id out"):
        cp_assets.convert(small_sample.root, tmp_path / "wh", plate_id="X")


def as_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere.csv")


@pytest.mark.parametrize(
    ("make", "told"),
    [(as_dangling_link, "is a link that leads to no file"), (Path.mkdir, "is a folder")],
    ids=["dangling link", "folder"],
)
def test_table_that_is_no_file_is_named(tmp_path: Path, make: Any, told: str) -> None:
    folder = write_three_plates(tmp_path / "plates")
    (folder / "P3" / "Cells.csv").unlink()
    make(folder / "P3" / "Cells.csv")
    with pytest.raises(PlatesFailedError) as caught:
        cp_assets.convert(folder, tmp_path / "wh")
    assert f"{folder / 'P3'}: Cells.csv {told}" in str(caught.value.failed["plates/unbatched/P3"])
    with pytest.raises(MeasurementError, match=f"Cells.csv {told}"):
        cp_assets.convert(folder / "P3", tmp_path / "alone")


def test_plate_without_a_cell_says_that_the_files_are_there(tmp_path: Path) -> None:
    folder = write_three_plates(tmp_path / "plates") / "P1"
    for name in ("Cells.csv", "Nuclei.csv"):
        header = (folder / name).read_text().partition("\n")[0]
        (folder / name).write_text(f"{header}\n")
    with pytest.raises(JoinError, match=r"no object was measured: Cells.csv and 1 more without"):
        cp_assets.convert(folder, tmp_path / "wh")
