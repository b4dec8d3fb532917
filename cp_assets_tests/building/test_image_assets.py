"""`images.image_assets` and `images.chunk_index` of a plate, against tifffile and the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

import cp_assets
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.test_conversion import write_plate
from cp_assets_tests.warehouses import rejected, replace_text

PIXELS = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)
ASSETS, CHUNKS = "images.image_assets", "images.chunk_index"


def build(folder: Path, warehouse: Path, **options: Any) -> Warehouse:
    return cp_assets.convert(folder, warehouse, image_dir=folder / "images", **options)


def test_each_image_mask_and_outline_of_a_plate_is_known(built: Warehouse) -> None:
    rows = built.read_table(ASSETS).to_pylist()
    sources = built.read_table(
        "source_images",
        columns=["image_id", "Metadata_ImageID", "Metadata_Channel", "source_image_column"],
    ).to_pylist()
    images = [row for row in rows if row["kind"] == "image"]
    names = ("image_id", "Metadata_ImageID", "Metadata_Channel", "source_image_column")
    assert sorted(tuple(row[name] for name in names) for row in images) == sorted(
        tuple(row[name] for name in names) for row in sources
    )
    assert {row["kind"] for row in rows} >= {"image", "outline"}
    for row in rows:
        if not row["uri"].endswith(".tif"):
            continue
        with tifffile.TiffFile(row["uri"]) as file:
            assert json.loads(row["shape_json"]) == list(file.series[0].shape)
            assert row["dtype"] == str(file.series[0].dtype)
            assert row["axes"] == file.series[0].axes
    profiles = built.read_table("joined_profiles", columns=["image_id"])["image_id"]
    assert set(profiles.to_pylist()) <= {row["image_id"] for row in images}


def test_tiles_of_an_image_are_where_its_index_says(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate")
    file = plate / "images" / "A01_s1_DNA.tif"
    tifffile.imwrite(file, PIXELS, tile=(16, 32), compression=None)
    rows = build(plate, tmp_path / "wh").read_table(CHUNKS).to_pylist()
    assert len(rows) == 3 * 2
    stored = file.read_bytes()
    for row in rows:
        assert row["file"] == str(file)
        tile = np.frombuffer(stored, "<u2", 16 * 32, row["byte_offset"]).reshape(16, 32)
        y, x = row["chunk_start"]
        height, width = row["chunk_shape"]
        np.testing.assert_array_equal(tile[:height, :width], PIXELS[y : y + height, x : x + width])


def test_image_without_chunks_has_none(tmp_path: Path) -> None:
    warehouse = build(write_plate(tmp_path / "plate"), tmp_path / "wh")
    assert not warehouse.has_table(CHUNKS)


def test_chunks_are_taken_out_when_the_images_have_none_any_more(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate")
    file = plate / "images" / "A01_s1_DNA.tif"
    tifffile.imwrite(file, PIXELS, tile=(16, 32))
    assert build(plate, tmp_path / "wh").read_table(CHUNKS).num_rows == 6
    tifffile.imwrite(file, PIXELS)
    assert build(plate, tmp_path / "wh").read_table(CHUNKS).num_rows == 0


def test_levels_of_an_ome_zarr_are_arrays_of_one_image(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate")
    replace_text(plate / "Image.csv", "A01_s1_DNA.tif", "A01_s1_DNA.ome.zarr")
    group = zarr.create_group(plate / "images" / "A01_s1_DNA.ome.zarr", zarr_format=2)
    for level, pixels in enumerate((PIXELS, PIXELS[::2, ::2])):
        group.create_array(str(level), data=pixels, chunks=(20, 25))
    axes = [{"name": name, "type": "space"} for name in "yx"]
    datasets = [
        {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": [2**n] * 2}]}
        for n in (0, 1)
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    warehouse = build(plate, tmp_path / "wh")
    rows = warehouse.read_table(ASSETS).to_pylist()
    assert [row["array_path"] for row in rows] == ["0", "1"]
    assert len({row["image_id"] for row in rows}) == 1
    # Crops are of the full resolution.
    (source,) = set(warehouse.read_table("image_crops")["Metadata_ImageID"].to_pylist())
    assert [row["Metadata_ImageID"] for row in rows] == [source, None]
    assert warehouse.read_table(CHUNKS, where="array_path = '0'").num_rows == 4


def test_planes_of_one_stack_share_its_chunks(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate")
    stack = np.stack([PIXELS, PIXELS])
    file = plate / "images" / "A01_s1_DNA.tif"
    tifffile.imwrite(file, stack, tile=(16, 32), ome=True, metadata={"axes": "ZYX"})
    head, row = (plate / "Image.csv").read_text().splitlines()
    head += ",Frame_DNA,FileName_ER,PathName_ER,Frame_ER"
    row += ",0,A01_s1_DNA.tif,file:/home/ubuntu/local_input/P1,1"
    (plate / "Image.csv").write_text(f"{head}\n{row}\n")
    warehouse = build(plate, tmp_path / "wh")
    rows = warehouse.read_table(ASSETS).to_pylist()
    assert [(row["Metadata_Channel"], row["size_z"]) for row in rows] == [("DNA", 2), ("ER", 2)]
    assert warehouse.read_table(CHUNKS).num_rows == 2 * 6


@pytest.mark.parametrize("fault", ["missing", "corrupt"])
def test_image_that_cannot_be_scanned_is_in_the_books(tmp_path: Path, fault: str) -> None:
    plate = write_plate(tmp_path / "plate")
    file = plate / "images" / "A01_s1_DNA.tif"
    if fault == "missing":
        file.rename(file.with_name("other.tif"))
    else:
        file.write_bytes(b"II*\x00" + bytes(60))
    warehouse = build(plate, tmp_path / "wh")
    assert not warehouse.has_table(ASSETS)
    (row,) = rejected(warehouse, ASSETS)
    assert row["reason"] == {"missing": "missing_image", "corrupt": "unreadable_image"}[fault]
    assert (row["well_id"], row["channel"]) == ("A01", "DNA")


def test_unchanged_images_are_not_scanned_again(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate")
    first = build(plate, tmp_path / "wh").describe().to_pylist()
    assert build(plate, tmp_path / "wh").describe().to_pylist() == first
    tifffile.imwrite(plate / "images" / "A01_s1_DNA.tif", PIXELS)
    (row,) = build(plate, tmp_path / "wh").read_table(ASSETS).to_pylist()
    assert (row["size_y"], row["size_x"]) == PIXELS.shape


def test_chunks_that_cannot_be_listed_are_in_the_books(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate")
    replace_text(plate / "Image.csv", "A01_s1_DNA.tif", "A01_s1_DNA.zarr")
    store = plate / "images" / "A01_s1_DNA.zarr"
    zarr.create_array(store, data=PIXELS + 1, chunks=(10, 10), shards=PIXELS.shape)
    (store / "c" / "0" / "0").write_bytes(b"cut")
    warehouse = build(plate, tmp_path / "wh")
    (row,) = rejected(warehouse, CHUNKS)
    assert (row["reason"], row["outcome"]) == ("unreadable_chunks", "rejected")
    assert (row["well_id"], row["channel"]) == ("A01", "DNA")
