from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cp_assets.datasets import PlateKey
from cp_assets.showing import crops_of_some_cells, sheet_png
from cp_assets.warehouse.warehouse import Warehouse


@pytest.fixture
def plate(built: Warehouse) -> PlateKey:
    return built.plates("images.image_crops")[1]


def test_first_cells_come_with_all_their_channels(built: Warehouse, plate: PlateKey) -> None:
    crops = crops_of_some_cells(built, plate, cells=3)
    first = built.read_table(
        "image_crops", plate=plate.plate_id, limit=15, columns=["Metadata_ObjectID"]
    )
    ids = crops["Metadata_ObjectID"].to_pylist()
    assert ids[:15] == first["Metadata_ObjectID"].to_pylist()
    assert len(set(ids)) >= 3


def test_cells_of_a_well_and_site_only(built: Warehouse, plate: PlateKey) -> None:
    wells = sorted(set(built.read_table("image_crops", columns=["well_id"])["well_id"].to_pylist()))
    crops = crops_of_some_cells(built, plate, well=wells[-1], site="2")
    assert crops.num_rows
    assert set(crops["Metadata_Well"].to_pylist()) == {wells[-1]}
    assert set(crops["Metadata_Site"].to_pylist()) == {"2"}


def test_nothing_to_show_is_an_empty_table(built: Warehouse, plate: PlateKey) -> None:
    assert crops_of_some_cells(built, plate, well="P24").num_rows == 0
    nobody = PlateKey("sample", "none", "none")
    assert crops_of_some_cells(built, nobody).num_rows == 0


def test_sheet_is_a_picture_with_something_on_it(built: Warehouse, plate: PlateKey) -> None:
    png = sheet_png(crops_of_some_cells(built, plate, cells=6), cells=6, columns=3)
    with Image.open(io.BytesIO(png)) as opened:
        picture = np.asarray(opened)
    assert picture.shape[0] > 50
    assert picture.shape[1] > 100
    assert len(np.unique(picture)) > 20
