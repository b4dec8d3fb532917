"""A plate that asked for crops never ends well with none of them and not a word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

import cp_assets
from cp_assets.errors import ConfigurationError
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.files import image_row, write_folder
from cp_assets_tests.warehouses import pixels, rejected

CROPS = "images.image_crops"
PIXELS = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)
_BOX = {"Minimum_X": 2, "Minimum_Y": 3, "Maximum_X": 12, "Maximum_Y": 9}


def _plate(root: Path, **record: object) -> Path:
    """One cell of one image set with the columns of a record; ``a.tif`` and ``a.ome.zarr``."""
    (root / "images").mkdir()
    tifffile.imwrite(root / "images" / "a.tif", PIXELS)
    level = zarr.open_group(root / "images" / "a.ome.zarr", mode="w", zarr_format=2)
    level.create_array("0", data=PIXELS)
    level.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": name, "type": "space"} for name in "yx"],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0]}],
                }
            ],
        }
    ]
    box = {f"AreaShape_BoundingBox{end}": value for end, value in _BOX.items()}
    cells = [{"ImageNumber": 1, "ObjectNumber": 1, **box}]
    image = image_row(1, Metadata_Well="A01", Metadata_Site=1, **record)
    write_folder(root / "tables", {"Image": [image], "Cells": cells})
    return root


def _convert(plate: Path, **options: Any) -> Warehouse:
    given = {"image_dir": plate / "images", **options}
    return cp_assets.convert(plate / "tables", plate / "warehouse", plate_id="P", **given)


def _crop(warehouse: Warehouse) -> Any:
    (row,) = warehouse.read_table(CROPS).to_pylist()
    return pixels(row["ome_arrow_image"])


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({}, "found none that is filled"),
        ({"FileName_A": ""}, "found none that is filled"),
        ({"FileName_A": "0", "PathName_A": "/x"}, "FileName_A = '0'"),
        ({"FileName_A": "1", "PathName_A": "/x/a.ome.zarr"}, "FileName_A = '1'"),
        ({"FileName_IllumA": "a.npy"}, "FileName_IllumA = 'a.npy'"),
    ],
    ids=["no-column", "empty", "number", "smaller-level", "illumination"],
)
def test_image_folder_without_any_image_name_is_an_error(
    tmp_path: Path, record: dict[str, object], found: str
) -> None:
    plate = _plate(tmp_path, **record)
    with pytest.raises(ConfigurationError, match="leave image_dir out") as caught:
        _convert(plate)
    assert found in str(caught.value)
    assert _convert(plate, image_dir=None).read_table("joined_profiles").num_rows == 1


@pytest.mark.parametrize(
    "record",
    [
        {"PathName_A": "/x/a.ome.zarr"},
        {"PathName_A": "C:\\x\\a.ome.zarr\\"},
        {"URL_A": "file:///x/a.ome.zarr"},
        {"URL_A": "file:///x/a.ome.zarr/0"},
    ],
    ids=["path", "windows", "url", "url-of-level"],
)
def test_full_size_level_of_a_zarr_is_that_zarr(tmp_path: Path, record: dict[str, object]) -> None:
    warehouse = _convert(_plate(tmp_path, FileName_A="0", **record))
    np.testing.assert_array_equal(_crop(warehouse), PIXELS[3:9, 2:12])


@pytest.mark.parametrize("follow", [False, True])
def test_links_that_lead_round_are_passed_over(tmp_path: Path, *, follow: bool) -> None:
    plate = _plate(tmp_path, FileName_A="a.tif")
    for link, target in (("x.tif", "x.tif"), ("b.tif", "c.tif"), ("c.tif", "b.tif"), ("d", "d")):
        (plate / "images" / link).symlink_to(target)
    warehouse = _convert(plate, follow_links=follow)
    np.testing.assert_array_equal(_crop(warehouse), PIXELS[3:9, 2:12])
    assert rejected(warehouse, CROPS) == []


def test_image_that_is_a_link_to_itself_is_missing(tmp_path: Path) -> None:
    plate = _plate(tmp_path, FileName_A="x.tif")
    (plate / "images" / "x.tif").symlink_to("x.tif")
    (row,) = rejected(_convert(plate), CROPS)
    assert row["reason"] == "missing_image"


def test_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = _plate(tmp_path, FileName_A="a.tif")
    locked = plate / "images" / "locked"
    locked.mkdir()
    listed = os.scandir

    def scandir(folder: Path) -> Any:
        if Path(folder) == locked:
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ConfigurationError, match=f"folder {locked}: cannot be listed"):
        _convert(plate)
