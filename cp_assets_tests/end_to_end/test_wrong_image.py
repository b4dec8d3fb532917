"""A missing file is never replaced by another image's, whatever lies about."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import cp_assets
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.files import image_row, write_folder
from cp_assets_tests.warehouses import pixels, rejected

CROPS = "images.image_crops"
WELLS = ("A01", "A02")
SHAPE = (40, 50)


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """Two wells of one cell, with an image ``ch1.tif`` and an outline ``ch1.png`` a well folder."""
    images, rows, cells = tmp_path / "images", [], []
    for number, well in enumerate(WELLS, start=1):
        record = {"FileName_DNA": "ch1.tif", "PathName_DNA": f"/acquired/{well}", "Frame_DNA": 0}
        rows.append(image_row(number, Metadata_Well=well, Metadata_Site=1, **record))
        box = {f"AreaShape_BoundingBox{end}": value for end, value in _BOX.items()}
        cells.append({"ImageNumber": number, "ObjectNumber": 1, **box})
        for folder, value in ((images, number), (tmp_path / "outlines", 100 + number)):
            path = folder / well / "ch1.tif"
            path.parent.mkdir(parents=True)
            tifffile.imwrite(path, np.full(SHAPE, value, np.uint8))
    write_folder(tmp_path / "tables", {"Image": rows, "Cells": cells})
    return tmp_path


_BOX = {"Minimum_X": 2, "Minimum_Y": 3, "Maximum_X": 12, "Maximum_Y": 9}


def _convert(plate: Path, **options: Any) -> Warehouse:
    given = {"image_dir": plate / "images", "outline_dir": plate / "outlines", **options}
    return cp_assets.convert(plate / "tables", plate / "warehouse", plate_id="P", **given)


def _values(warehouse: Warehouse, column: str) -> dict[str, set[int]]:
    """Well -> the pixel values of its crops."""
    rows = warehouse.read_table(CROPS, columns=["well_id", column]).to_pylist()
    return {
        row["well_id"]: set(np.unique(pixels(row[column])).tolist()) for row in rows if row[column]
    }


def _reasons(warehouse: Warehouse) -> dict[str | None, str]:
    return {row["well_id"]: row["reason"] for row in rejected(warehouse, CROPS)}


def test_each_well_has_its_own_pixels(plate: Path) -> None:
    warehouse = _convert(plate)
    assert _values(warehouse, "ome_arrow_image") == {"A01": {1}, "A02": {2}}
    assert _values(warehouse, "ome_arrow_outline") == {"A01": {101}, "A02": {102}}
    assert _reasons(warehouse) == {}


@pytest.mark.parametrize("moved", ["A02", "elsewhere", "."], ids=["own-folder", "moved", "flat"])
def test_missing_image_is_not_another_wells(plate: Path, moved: str) -> None:
    shutil.rmtree(plate / "images" / "A01")
    if moved != "A02":
        (plate / "images" / moved).mkdir(exist_ok=True)
        (plate / "images" / "A02" / "ch1.tif").rename(plate / "images" / moved / "ch1.tif")
    warehouse = _convert(plate)
    if moved == "A02":
        assert _values(warehouse, "ome_arrow_image") == {"A02": {2}}
        assert _reasons(warehouse) == {"A01": "missing_image"}
    else:
        assert not warehouse.has_table(CROPS)
        assert _reasons(warehouse) == dict.fromkeys(WELLS, "ambiguous_image")


def test_missing_overlay_is_not_another_wells(plate: Path) -> None:
    shutil.rmtree(plate / "outlines" / "A01")
    warehouse = _convert(plate)
    assert _values(warehouse, "ome_arrow_image") == {"A01": {1}, "A02": {2}}
    assert _values(warehouse, "ome_arrow_outline") == {"A02": {102}}


def test_overlay_that_nobody_can_be_given_is_told(plate: Path) -> None:
    shutil.rmtree(plate / "outlines" / "A01")
    (plate / "outlines" / "A02").rename(plate / "outlines" / "elsewhere")
    warehouse = _convert(plate)
    assert _values(warehouse, "ome_arrow_outline") == {}
    assert _reasons(warehouse) == dict.fromkeys(WELLS, "ambiguous_overlay")


def test_missing_image_is_not_an_outline_below_the_image_folder(plate: Path) -> None:
    shutil.rmtree(plate / "images" / "A01")
    shutil.move(plate / "outlines", plate / "images" / "outlines")
    shutil.rmtree(plate / "images" / "outlines" / "A02")
    warehouse = _convert(plate, outline_dir=plate / "images" / "outlines")
    assert _values(warehouse, "ome_arrow_image") == {"A02": {2}}
    assert _reasons(warehouse) == {"A01": "missing_image"}


def test_link_out_of_the_image_folder_is_refused_unless_asked_for(plate: Path) -> None:
    shutil.move(plate / "images" / "A01", plate / "secret")
    (plate / "images" / "A01").symlink_to(plate / "secret")
    warehouse = _convert(plate)
    assert _values(warehouse, "ome_arrow_image") == {"A02": {2}}
    (row,) = rejected(warehouse, CROPS)
    assert (row["well_id"], row["reason"]) == ("A01", "unsafe_path")
    assert str(plate / "secret") in row["detail"]
    followed = _convert(plate, follow_links=True)
    assert _values(followed, "ome_arrow_image") == {"A01": {1}, "A02": {2}}


def test_image_behind_the_prefix_map_is_watched(plate: Path) -> None:
    shutil.move(plate / "images", plate / "far")
    (plate / "images").mkdir()
    options = {"path_prefix_map": {"/acquired": str(plate / "far")}}
    assert _values(_convert(plate, **options), "ome_arrow_image") == {"A01": {1}, "A02": {2}}
    tifffile.imwrite(plate / "far" / "A01" / "ch1.tif", np.full(SHAPE, 9, np.uint8))
    assert _values(_convert(plate, **options), "ome_arrow_image") == {"A01": {9}, "A02": {2}}
