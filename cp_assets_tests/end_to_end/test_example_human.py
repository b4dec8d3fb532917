"""CellProfiler's ExampleHuman, real data, from its files to the warehouse."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

import cp_assets
from cp_assets.payloads import payload_to_numpy, to_ome_arrow
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.warehouses import pixels


@pytest.fixture(scope="module")
def human(test_data: Path) -> Path:
    return test_data / "example_human"


@pytest.fixture(scope="module")
def warehouse(human: Path, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("human") / "warehouse"
    return cp_assets.convert(human, folder, image_dir=human, dataset_id="human")


def test_example_human_has_289_profiles_and_867_crops(warehouse: Warehouse) -> None:
    rows = {row["table"]: row["rows"] for row in warehouse.describe().to_pylist()}
    assert rows["profiles.joined_profiles"] == 289
    assert rows["images.image_crops"] == 867
    assert rows["profiles.profile_with_images"] == 867


def test_every_crop_is_the_slice_of_its_box(warehouse: Warehouse, human: Path) -> None:
    with (human / "Cells.csv").open(newline="") as file:
        cells = {int(row["ObjectNumber"]): row for row in csv.DictReader(file)}
    crops = warehouse.read_table("image_crops").to_pylist()
    images = {
        name: tifffile.imread(human / name) for name in {c["source_image_file"] for c in crops}
    }
    assert len(images) == 3
    for crop in crops:
        cell = cells[crop["Metadata_ObjectNumber"]]
        x_min, x_max, y_min, y_max = (
            int(cell[f"AreaShape_BoundingBox{edge}"])
            for edge in ("Minimum_X", "Maximum_X", "Minimum_Y", "Maximum_Y")
        )
        # Half-open: with inclusive ends the area would be larger.
        assert (x_max - x_min) * (y_max - y_min) == int(cell["AreaShape_BoundingBoxArea"])
        expected = images[crop["source_image_file"]][y_min:y_max, x_min:x_max]
        payload = crop["ome_arrow_image"]
        assert payload["chunks"][0]["pixel_bytes"] == expected.tobytes()
        assert payload["chunks"][0]["dtype"] == expected.dtype.name == "uint8"
        assert pixels(payload).shape == expected.shape
        box = [crop[f"Metadata_SourceBBox{edge}"] for edge in ("XMin", "XMax", "YMin", "YMax")]
        assert box == [x_min, x_max, y_min, y_max]


def test_crops_without_overlay_folder_have_none(warehouse: Warehouse) -> None:
    crops = warehouse.read_table("image_crops", limit=5).to_pylist()
    assert {crop["label_source_kind"] for crop in crops} == {None}
    assert {crop["ome_arrow_mask"] is None for crop in crops} == {True}


def test_ome_arrow_opens_a_payload(warehouse: Warehouse) -> None:
    payload = warehouse.read_table("image_crops", limit=1)["ome_arrow_image"][0]
    opened = to_ome_arrow(payload)
    array = np.asarray(opened.export(how="numpy", dtype=np.uint8))
    assert np.array_equal(array, payload_to_numpy(payload))


def test_joined_view_has_profile_and_crop_side_by_side(warehouse: Warehouse) -> None:
    columns = [
        "Metadata_ObjectNumber",
        "Cells_AreaShape_Area",
        "Metadata_Channel",
        "ome_arrow_image",
    ]
    rows = warehouse.read_table("profile_with_images", columns=columns)
    assert rows.column_names == columns
    assert rows.num_rows == 867
    profiles = warehouse.read_table("joined_profiles", columns=columns[:2]).to_pylist()
    areas = {row["Metadata_ObjectNumber"]: row["Cells_AreaShape_Area"] for row in profiles}
    assert all(
        row["Cells_AreaShape_Area"] == areas[row["Metadata_ObjectNumber"]]
        for row in rows.select(columns[:2]).to_pylist()
    )
